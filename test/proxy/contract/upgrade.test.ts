import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { unusedPort } from '../../support/loopback.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';
import { happens } from '../../support/until.ts';

const UPGRADE = get('/tunnel', 'Connection: Upgrade', 'Upgrade: raw');
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n';

contract('upgrades', (behaves) => {
  behaves('WebSocket messages go both ways, and the close with them', async (create) => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await happens(server, 'listening');
    server.on('connection', (socket, { headers, url }) => {
      socket.on('message', (message, binary) => socket.send(message, { binary }));
      socket.send(`${url} ${headers['x-forwarded-for']}`);
      socket.on('close', (code) => server.emit('closed-with', code));
    });
    await using proxy = await startProxy(create, [{ ports: [(server.address() as AddressInfo).port] }]);
    const client = new WebSocket(`ws://127.0.0.1:${proxy.port}/chat?x=1`, { headers: { Host: 'app.test' } });
    const [greeting] = (await happens(client, 'message')) as [Buffer];
    expect(greeting.toString()).toBe('/chat?x=1 127.0.0.1');
    const big = Buffer.alloc(300_000, 'w');
    client.send(big);
    const [echo] = (await happens(client, 'message')) as [Buffer];
    expect(echo.equals(big)).toBe(true);
    expect(proxy.engine.gauges().tunnels).toBe(1);
    const closed = once(server, 'closed-with');
    client.close(4001);
    expect(await closed).toEqual([4001]);
    expect(await proxy.exchange(0)).toMatchObject({
      status: 101,
      method: 'GET',
      target: '/chat?x=1',
      detail: '',
    });
    expect(proxy.engine.gauges().tunnels).toBe(0);
    server.close();
  });

  behaves('any protocol is tunnelled, bytes that came early included', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      const head = await connection.head();
      expect(head.field('upgrade')).toBe('raw');
      connection.send(`${SWITCHED}server first`);
      await connection.until('client early');
      connection.send(' then more');
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(`${UPGRADE}client early`);
    const response = await client.head();
    expect(response.status).toBe(101);
    expect(response.field('upgrade')).toBe('raw');
    expect(response.field('connection')?.toLowerCase()).toBe('upgrade');
    await client.until('server first then more');
  });

  behaves('each half of a tunnel ends on its own', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send(SWITCHED);
      expect(await connection.ended).toBe('end');
      connection.send('after the end');
      connection.end();
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(UPGRADE);
    await client.head();
    client.send('last words');
    client.end();
    await client.until('after the end');
    expect(await client.ended).toBe('end');
    expect((await upstream.connection(0)).text).toContain('last words');
    expect(await proxy.exchange(0)).toMatchObject({ status: 101, requestBytes: 10, responseBytes: 13 });
  });

  behaves("the upstream's half may end first", async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send(`${SWITCHED}bye`);
      connection.end();
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(UPGRADE);
    await client.until('bye');
    expect(await client.ended).toBe('end');
    client.send('still here');
    const connection = await upstream.connection(0);
    await connection.until('still here');
    client.end();
    expect(await connection.ended).toBe('end');
    expect((await proxy.exchange(0)).status).toBe(101);
  });

  behaves('a tunnel whose client breaks is aborted upstream, and the reverse', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send(SWITCHED);
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using first = await rawClient(proxy.port);
    first.send(UPGRADE);
    await first.head();
    first.reset();
    await (
      await upstream.connection(0)
    ).ended;
    using second = await rawClient(proxy.port);
    second.send(UPGRADE);
    await second.head();
    (await upstream.connection(1)).reset();
    await second.ended;
    await proxy.exchange(1);
    expect(proxy.exchanges.map(({ status }) => status)).toEqual([101, 101]);
  });

  for (const how of ['reset', 'end'] as const) {
    behaves(`a client that leaves before the upstream has switched aborts it (${how})`, async (create) => {
      await using upstream = await scriptedUpstream(() => undefined);
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(UPGRADE);
      const connection = await upstream.connection(0);
      await connection.until('\r\n\r\n');
      client[how]();
      await connection.ended;
      expect(await proxy.exchange(0)).toMatchObject({ status: 499, detail: 'client-gone' });
    });
  }

  behaves('an idle tunnel ends after its own time', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send(SWITCHED);
    });
    const limits = { tunnelIdleTimeoutMs: 50 };
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], { limits });
    using client = await rawClient(proxy.port);
    client.send(UPGRADE);
    expect((await client.head()).status).toBe(101);
    await client.ended;
    await (
      await upstream.connection(0)
    ).ended;
  });

  behaves('an upgrade that the upstream declines is answered as it answers', async (create) => {
    await using upstream = await recordingUpstream('', () =>
      ['HTTP/1.1 403 Forbidden', 'Content-Length: 2', 'X-Why: caf\xe9', '', 'no'].join('\r\n'),
    );
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(UPGRADE);
    const response = await client.message();
    expect(response.status).toBe(403);
    expect(response.field('x-why')).toBe('caf\xe9');
    expect(response.body).toBe('no');
    expect(await proxy.exchange(0)).toMatchObject({ status: 403, detail: '' });
  });

  behaves('an upgrade without a route, and one whose endpoints refuse', async (create) => {
    await using proxy = await startProxy(create, [{ host: 'app.test', ports: [await unusedPort()] }]);
    using stray = await rawClient(proxy.port);
    stray.send(UPGRADE.replace('app.test', 'other.test'));
    expect((await stray.message()).status).toBe(404);
    using client = await rawClient(proxy.port);
    client.send(UPGRADE);
    expect((await client.message()).status).toBe(502);
  });

  behaves('a request with a body, or for h2c, is served without its upgrade', async (create) => {
    await using upstream = await recordingUpstream('', () => ok('plain'));
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    for (const bytes of [
      request('POST', '/', 'body', 'Connection: Upgrade', 'Upgrade: raw'),
      get(
        '/',
        'Connection: Upgrade, HTTP2-Settings',
        'Upgrade: h2c',
        'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
      ),
    ]) {
      using client = await rawClient(proxy.port);
      client.send(bytes);
      expect((await client.message()).body).toBe('plain');
    }
    for (const received of upstream.requests) {
      expect(received.values('upgrade')).toEqual([]);
      expect(received.values('http2-settings')).toEqual([]);
    }
  });
});
