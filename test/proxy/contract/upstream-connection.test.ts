import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
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

contract('a connection to a Pod that is used again', (behaves) => {
  // Somewhere between these sizes the last bytes of a response find no room on the way to a client that does not read.
  behaves('is read on, however slow the client before was to the end', async (create) => {
    await using upstream = await recordingUpstream('', ({ startLine }) =>
      ok('x'.repeat(Number(/^GET \/(\d+)/.exec(startLine)?.[1]))),
    );
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    for (let size = 2_000_000; size < 8_000_000; size += 250_000) {
      expect(await readLate(proxy.port, size)).toBeGreaterThan(size);
      using client = await rawClient(proxy.port);
      client.send(get('/5'));
      expect((await client.message()).body).toBe('xxxxx');
    }
    expect(upstream.connections).toHaveLength(1);
  });
});

/** Asks for a response of this size and reads it after a while; gives how many bytes came. */
async function readLate(port: number, size: number): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.pause();
  socket.write(get(`/${size}`));
  await delay(15);
  let length = 0;
  socket.on('data', (bytes: Buffer) => {
    length += bytes.length;
    if (length > size) socket.destroy();
  });
  socket.resume();
  await once(socket, 'close');
  return length;
}
