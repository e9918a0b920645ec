import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { until } from '../../support/until.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { seededRandom } from '../../support/random.ts';
import { ok, scriptedUpstream } from '../../support/upstream.ts';

const EXCHANGES = 400;

contract('leaks', (behaves) => {
  behaves('nothing is left after many exchanges that end in all ways', async (create) => {
    const random = seededRandom(7);
    const oneOf = <T>(...choices: T[]): T => choices[Math.floor(random() * choices.length)]!;
    await using upstream = await scriptedUpstream(async (connection) => {
      for (;;) {
        const { startLine } = await connection.head();
        const [, path = ''] = startLine.split(' ');
        if (path === '/silent') return;
        if (path === '/reset') return connection.reset();
        if (path === '/half') {
          connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
          return connection.reset();
        }
        if (path === '/tunnel') {
          connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n');
          await connection.ended;
          return connection.end();
        }
        connection.send(ok('whole'));
      }
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);

    async function exchange(): Promise<void> {
      using client = await rawClient(proxy.port);
      const path = oneOf('/silent', '/reset', '/half', '/whole', '/whole', '/tunnel');
      if (path === '/tunnel') client.send(get(path, 'Connection: Upgrade', 'Upgrade: raw'));
      else
        client.send(
          oneOf(get(path), request('PUT', path, ''), 'nonsense\r\n\r\n', get(path).replace('app', 'other')),
        );
      const leave = oneOf('at once', 'after a byte', 'after a while');
      // A client that leaves before its request has been read has made none.
      if (leave === 'at once') await until(() => proxy.engine.gauges().clientConnections > 0);
      if (leave === 'after a byte' && path !== '/silent')
        await client.until((text) => text !== '').catch(() => null);
      oneOf(client.reset, client.end)();
      await client.closed;
    }
    for (let done = 0; done < EXCHANGES; done += 8) await Promise.all(Array.from({ length: 8 }, exchange));

    await until(() => {
      const { clientConnections, inFlight, tunnels } = proxy.engine.gauges();
      return clientConnections === 0 && inFlight === 0 && tunnels === 0;
    });
    expect(proxy.endpoint()?.inFlight).toBe(0);
    expect(proxy.exchanges.length).toBeLessThanOrEqual(EXCHANGES);
    expect(proxy.exchanges.length).toBeGreaterThan(EXCHANGES / 4);
    // What is still open towards the upstream is idle and can be closed.
    const idle = proxy.engine.gauges().upstreamConnections;
    expect(upstream.connections.filter(({ socket }) => !socket.destroyed).length).toBeGreaterThanOrEqual(
      idle,
    );
    proxy.adopt([]);
    await until(() => proxy.engine.gauges().upstreamConnections === 0);
  });
});
