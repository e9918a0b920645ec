import { describe, expect, it } from 'vitest';
import { ConnectedClients, type OldestFirst } from '../../../src/proxy/connected-clients.ts';
import { directConnection } from '../../../src/http/connection-info.ts';
import type { Client } from '../../../src/proxy/client.ts';
import { DescriptorWatch } from '../../../src/proxy/descriptors.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { frameClient } from '../../support/http2-frames.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { recordingUpstream } from '../../support/upstream.ts';

describe('at the limit the oldest idle connection gives way', () => {
  const ways: Readonly<Record<string, (port: number) => Promise<{ readonly gone: Promise<unknown> }>>> = {
    'one that never sent a byte': async (port) => {
      const client = await rawClient(port);
      return { gone: client.ended };
    },
    'one that sent half a head': async (port) => {
      const client = await rawClient(port);
      client.send('GET / HTTP/1.1\r\n');
      return { gone: client.ended };
    },
    'one between two requests': async (port) => {
      const client = await rawClient(port);
      client.send(get('/'));
      await client.message();
      return { gone: client.ended };
    },
    'one of HTTP/2 without a stream': async (port) => {
      const client = await frameClient(port);
      await client.until(({ type }) => type === 4);
      return { gone: client.closed };
    },
  };
  for (const [what, connect] of Object.entries(ways)) {
    it(what, async () => {
      await using pod = await recordingUpstream();
      const limits = { connections: 3 };
      await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true, limits });
      const first = await connect(proxy.port);
      await connect(proxy.port);
      await connect(proxy.port);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      expect((await client.message()).status).toBe(200);
      await first.gone;
      const { clientConnections, evicted, refused } = proxy.engine.gauges();
      expect({ clientConnections, evicted, refused }).toEqual({
        clientConnections: 3,
        evicted: 1,
        refused: 0,
      });
    });
  }

  it('one with a request under way does not', async () => {
    await using pod = await recordingUpstream();
    const limits = { connections: 2 };
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { limits });
    using busy = await rawClient(proxy.port);
    busy.send(request('POST', '/', '', 'Transfer-Encoding: chunked'));
    await (await pod.connection(0)).until('POST /');
    for (let i = 0; i < 5; i++) {
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      expect((await client.message()).status).toBe(200);
    }
    busy.send('0\r\n\r\n');
    expect((await busy.message()).status).toBe(200);
  });
});

describe('a thread without connections', () => {
  const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('notices in the turn of its loop in which something came that no file descriptor is left', async () => {
    let noticed = 0;
    const watch = new DescriptorWatch(
      () => noticed++ === 0,
      () => false,
    );
    await nextTurn();
    expect(noticed).toBe(1);
    watch.stop();
  });

  it('notices soon after it looked, too, and not while it has connections: these look', async () => {
    let looks = 0;
    let isLeft = true;
    const { promise, resolve } = Promise.withResolvers<string>();
    const isOneLeft = (): boolean => ++looks > 0 && isLeft;
    const watch = new DescriptorWatch(() => (resolve('noticed'), true), isOneLeft);
    watch.wake();
    await nextTurn();
    expect(looks).toBe(0);
    watch.rest();
    watch.rest();
    await nextTurn();
    await nextTurn();
    expect(looks).toBe(1);
    isLeft = false;
    // Timers of one loop come in the order of their times.
    const late = setTimeout(resolve, 2_500, 'late');
    expect(await promise).toBe('noticed');
    clearTimeout(late);
    watch.stop();
    watch.rest();
    await nextTurn();
    expect(looks).toBe(2);
  });
});

describe('whose connection gives way', () => {
  function clientsOf(limit: number, peers: readonly string[]) {
    const clients = new ConnectedClients(limit);
    const gone: string[] = [];
    const idle: { owner: Client; since: number }[] = [];
    const list: OldestFirst = { oldest: (count) => idle.slice(0, count) };
    clients.evictFrom(list);
    peers.forEach((peer, index) => {
      const evict = (): void => {
        gone.push(`${peer} ${index}`);
        clients.delete(owner);
        idle.splice(
          idle.findIndex((each) => each.owner === owner),
          1,
        );
      };
      const connectionInfo = directConnection(peer, false, 'http', 80);
      // Nothing else of a client is asked for.
      const owner = { connectionInfo, queuedBytes: 0, evict } as unknown as Client;
      clients.add(owner);
      idle.push({ owner, since: index });
    });
    return { clients, gone };
  }

  it('one of the address that has the most', () => {
    const { clients, gone } = clientsOf(5, ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.2', '10.0.0.4']);
    expect(clients.makeRoom(0)).toBe(true);
    expect(gone).toEqual(['10.0.0.2 1']);
  });

  it('one of the network of IPv6 that has the most', () => {
    const { clients, gone } = clientsOf(4, ['2001:db8:1::1', '2001:db8:2::1', '2001:db8:2::2', '10.0.0.1']);
    clients.makeRoom(0);
    expect(gone).toEqual(['2001:db8:2::1 1']);
  });

  it('the oldest where all have as many', () => {
    const { clients, gone } = clientsOf(2, ['10.0.0.2', '10.0.0.1']);
    clients.makeRoom(0);
    expect(gone).toEqual(['10.0.0.2 0']);
  });

  it('an eighth of all when descriptors run out, and for a minute their number stays below that', () => {
    const { clients, gone } = clientsOf(1_000, Array<string>(16).fill('10.0.0.1'));
    expect(clients.closeIdle(0)).toBe(true);
    expect(gone).toHaveLength(2);
    expect(clients.makeRoom(60_000)).toBe(true);
    expect(gone).toHaveLength(3);
    expect(clients.makeRoom(60_001)).toBe(true);
    expect(gone).toHaveLength(3);
  });
});
