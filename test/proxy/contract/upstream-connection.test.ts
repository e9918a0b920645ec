import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

const policies = { 'upstream-connection': { closes: true } };

contract('connections to Pods that serve one request', (behaves) => {
  behaves('each request has one of its own', async (create) => {
    await using upstream = await recordingUpstream('ok', () => ok('ok', 'Connection: close'));
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    for (let i = 0; i < 2; i++) {
      client.send(get('/'));
      expect((await client.message()).status).toBe(200);
    }
    expect(upstream.connections).toHaveLength(2);
    expect(upstream.requests.map((request) => request.values('connection'))).toEqual([['close'], ['close']]);
  });

  behaves('an upgrade stays one', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
    expect((await client.head()).status).toBe(101);
  });
});
