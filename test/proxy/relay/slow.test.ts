import { expect, test } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { startProxy } from '../../support/proxy.ts';
import { type RawClient, rawClient, request } from '../../support/raw-client.ts';
import { recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

const CLIENTS = 50;

test('slowloris: heads that never end are answered with 408, and cost no pod anything', async () => {
  await using upstream = await recordingUpstream();
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }], {
    limits: { clientHeadTimeoutMs: 300 },
  });
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => rawClient(proxy.port)));
  const drip = setInterval(() => clients.forEach((client) => client.send('X: y\r\n')), 20);
  clients.forEach((client) => client.send('GET / HTTP/1.1\r\nHost: app.test\r\n'));
  await Promise.all(clients.map((client) => client.until('HTTP/1.1 408')));
  clearInterval(drip);
  await Promise.all(clients.map((client) => client.ended));
  expect(upstream.connections).toHaveLength(0);
  expect(proxy.exchanges.map(({ detail }) => detail)).toEqual(Array(CLIENTS).fill('request-timed-out'));
  for (const client of clients) client[Symbol.dispose]();
});

test('small bodies that come slowly are gathered before a pod connection is taken', async () => {
  await using upstream = await recordingUpstream();
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }]);
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => rawClient(proxy.port)));
  const sent = request('POST', '/', 'x'.repeat(1000));
  const all = async (act: (client: RawClient) => void): Promise<void> => {
    clients.forEach(act);
    // A whole exchange on another connection: what was sent before it has been read by then.
    using other = await rawClient(proxy.port);
    other.send('GET /nowhere HTTP/1.1\r\nHost: other.test\r\n\r\n');
    await other.message();
  };
  for (let at = 0; at < 1000; at += 250) await all((client) => client.send(sent.slice(at, at + 250)));
  expect(upstream.connections).toHaveLength(0);
  await all((client) => client.send(sent.slice(1000)));
  for (const client of clients) expect((await client.message()).status).toBe(200);
  expect(upstream.requests.map(({ body }) => body.length)).toEqual(Array(CLIENTS).fill(1000));
  for (const client of clients) client[Symbol.dispose]();
});

test('slow read: the pod is held back, and a client that takes nothing is cut', async () => {
  const offered = 64 * 1024 * 1024;
  await using upstream = await scriptedUpstream(async (connection) => {
    await connection.head();
    connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${offered}\r\n\r\n`);
    const block = Buffer.alloc(256 * 1024, 'x');
    for (let sent = 0; sent < offered && !connection.socket.destroyed; sent += block.length) {
      if (!connection.socket.write(block)) {
        await new Promise<void>((resolve) => {
          connection.socket.once('drain', resolve);
          connection.socket.once('close', () => resolve());
        });
      }
    }
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }], {
    limits: { bodyIdleTimeoutMs: 300 },
  });
  using client = await rawClient(proxy.port);
  client.socket.pause();
  client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
  const exchange = await proxy.exchange(0);
  expect(exchange).toMatchObject({ status: 200, detail: 'request-timed-out' });
  // The kernel's buffers take a few MiB; the relay itself keeps next to nothing.
  expect(exchange.responseBytes).toBeLessThan(offered / 2);
  await (
    await upstream.connection(0)
  ).ended;
});

test('slow read: one that reads by and by gets every byte, though we closed long before', async () => {
  const size = 8 * 1024 * 1024;
  await using upstream = await recordingUpstream(
    '',
    () => `HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`,
  );
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }]);
  using client = await rawClient(proxy.port);
  client.send('GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n');
  let received = 0;
  client.socket.on('data', (bytes: Buffer) => {
    received += bytes.length;
    client.socket.pause();
    setImmediate(() => client.socket.resume());
  });
  expect(await client.ended).toBe('end');
  expect(received).toBeGreaterThan(size);
  expect(await proxy.exchange(0)).toMatchObject({ status: 200, responseBytes: size, detail: '' });
});

test('a client that sends requests and reads no answers is not read for ever', async () => {
  await using upstream = await recordingUpstream('x'.repeat(20_000));
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }], {
    limits: { keepAliveIdleTimeoutMs: 300, bodyIdleTimeoutMs: 300 },
  });
  using client = await rawClient(proxy.port);
  client.socket.pause();
  const asked = 20_000;
  client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n'.repeat(asked));
  await new Promise<void>((resolve) => {
    const look = setInterval(() => {
      if (proxy.engine.gauges().clientConnections > 0) return;
      clearInterval(look);
      resolve();
    }, 10);
  });
  expect(proxy.exchanges.length).toBeGreaterThan(0);
  expect(proxy.exchanges.length).toBeLessThan(asked / 2);
});

test('a pod that takes no more of an upload and says no more of its answer is given up', async () => {
  await using pod = await scriptedUpstream(async (connection) => {
    await connection.head();
    connection.socket.pause();
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    // For as long as it takes until the kernel holds all that it can of the upload.
    for (let pieces = 0; pieces < 15; pieces++) {
      connection.send('5\r\npiece\r\n');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await connection.ended;
  });
  const limits = { upstreamIdleTimeoutMs: 500 };
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { limits });
  using client = await rawClient(proxy.port);
  client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 99999999\r\n\r\n');
  client.send('x'.repeat(32 * 1024 * 1024));
  expect(await proxy.exchange(0)).toMatchObject({ status: 200, detail: 'upstream-timed-out' });
  expect(proxy.engine.gauges().inFlight).toBe(0);
});
