import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import {
  CODE,
  FLAG,
  FRAME,
  data,
  frameClient,
  headers,
  requestFields,
  reset,
  settings,
  windowUpdate,
} from '../../support/http2-frames.ts';
import { startProxy } from '../../support/proxy.ts';
import { scriptedUpstream } from '../../support/upstream.ts';
import { happens } from '../../support/until.ts';
import { STAYS_OPEN } from '../../support/stays-open.ts';

/** Longer than a client that is not slow needs to read our last frames. */
const PATIENCE_MS = 2_600;

it('a connection that is closed gives a slow client the time to read the responses that are on their way', async () => {
  let told = 0;
  // As much as it is let.
  const server = createServer(STAYS_OPEN, (request, response) => {
    if (request.method === 'HEAD') return void response.end();
    const write = (): void => {
      told++;
      if (response.write(Buffer.alloc(100_000, 'x'))) setImmediate(write);
      else response.once('drain', write);
    };
    write();
  }).listen(0, '127.0.0.1');
  await happens(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await using proxy = await startProxy(nativeEngine, [{ ports: [port] }], {
    h2c: true,
    // The second one is more than a client that heard of the first being the last would send.
    limits: { requestsPerConnection: 1, streamsPerConnection: 1 },
  });
  using client = await frameClient(proxy.port, settings(2 ** 30));
  client.socket.pause();
  client.send(windowUpdate(0, 2 ** 30), headers(1, requestFields('GET', '/')));
  // All buffers are full.
  for (let before = -1; before !== told;) {
    before = told;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  client.send(reset(1, CODE.cancel), headers(3, requestFields('HEAD', '/')));
  expect(await proxy.exchange(1)).toMatchObject({ method: 'HEAD', status: 200 });
  await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  client.socket.resume();
  await client.until(
    ({ type, stream, flags }) => type === FRAME.headers && stream === 3 && (flags & FLAG.endStream) !== 0,
  );
  await client.closed;
  server.close();
  server.closeAllConnections();
});

it('a client that has read its response is still given up when it sends no more of its request', async () => {
  await using pod = await scriptedUpstream(async (connection) => {
    await connection.head();
    connection.send(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n' + 'x'.repeat(1_000) + '\r\n',
    );
    await connection.ended;
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], {
    h2c: true,
    limits: { bodyIdleTimeoutMs: 300 },
  });
  using client = await frameClient(proxy.port, settings(0));
  client.send(headers(1, requestFields('POST', '/'), FLAG.endHeaders), data(1, 'begun', false));
  await client.until(({ type }) => type === FRAME.headers);
  // It falls behind, and then catches up.
  client.send(windowUpdate(1, 100_000));
  await client.until(({ type }) => type === FRAME.data);
  await client.until(({ type }) => type === FRAME.reset);
  expect((await proxy.exchange(0)).detail).toBe('request-timed-out');
});
