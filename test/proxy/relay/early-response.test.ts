import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { type TLSSocket, createServer } from 'node:tls';
import { expect, test } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { ok, scriptedUpstream } from '../../support/upstream.ts';
import type { Wire } from '../../support/wire.ts';
import { happens } from '../../support/until.ts';

const TOO_LARGE = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge';
const POST = 'POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000000\r\n\r\nfirst';

/** Says its last words to a relay that has more of the request to send, and resets the connection. */
function answerAndReset(client: Wire, connection: Wire, answer: string): void {
  // All in one turn of the loop: by the next, the relay has the answer, the reset, and something to write before.
  client.send('more of the body');
  connection.send(answer);
  connection.reset();
}

test('a pod that answers within the request and resets: its answer arrives, every time', async () => {
  await using upstream = await scriptedUpstream(() => undefined);
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }]);
  for (let i = 0; i < 40; i++) {
    using client = await rawClient(proxy.port);
    client.send(POST);
    const connection = await upstream.connection(i);
    await connection.until('first');
    answerAndReset(client, connection, TOO_LARGE);
    expect(await client.message()).toMatchObject({ status: 413, body: 'large' });
    await client.ended;
    expect(await proxy.exchange(i)).toMatchObject({ status: 413, detail: '', attempts: 1 });
  }
});

test('the same with a flood of body, of which the pod reads as much as it likes', async () => {
  await using upstream = await scriptedUpstream(async (connection, index) => {
    await connection.until((text) => text.length > 10_000 * (index + 1));
    connection.send(TOO_LARGE);
    connection.reset();
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }]);
  const piece = Buffer.alloc(10_000);
  for (let i = 0; i < 40; i++) {
    using client = await rawClient(proxy.port);
    client.send(POST);
    const flood = (): void => {
      while (client.socket.writable && client.socket.write(piece));
    };
    client.socket.on('drain', flood);
    flood();
    expect(await client.message()).toMatchObject({ status: 413, body: 'large' });
  }
});

test('the same from a pod that is spoken to over TLS', async () => {
  const [cert, key] = ['crt', 'key'].map((end) =>
    readFileSync(new URL(`../../support/certificates/api-server.${end}`, import.meta.url)),
  );
  const server = createServer({ cert, key }).listen(0, '127.0.0.1');
  await happens(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await using proxy = await startProxy(nativeEngine, [{ protocol: 'https', ports: [port] }]);
  for (let i = 0; i < 10; i++) {
    using client = await rawClient(proxy.port);
    const carried = once(server, 'connection');
    const secured = once(server, 'secureConnection');
    client.send(POST);
    const [carrier] = (await carried) as [Socket];
    const [connection] = (await secured) as [TLSSocket];
    connection.on('error', () => undefined);
    await happens(connection, 'data');
    client.send('more of the body');
    connection.write(TOO_LARGE);
    carrier.resetAndDestroy();
    expect(await client.message()).toMatchObject({ status: 413, body: 'large' });
  }
  server.close();
});

test('an answer that the reset cut short is not passed off as whole', async () => {
  await using upstream = await scriptedUpstream(() => undefined);
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }]);
  const answers = [
    'Content-Length: 100\r\n\r\nlar',
    'Transfer-Encoding: chunked\r\n\r\n3\r\nlar\r\n',
    '\r\nlar',
  ];
  for (const [i, answer] of answers.entries()) {
    using client = await rawClient(proxy.port);
    client.send(POST);
    const connection = await upstream.connection(i);
    await connection.until('first');
    answerAndReset(client, connection, `HTTP/1.1 413 Content Too Large\r\n${answer}`);
    await expect(client.message()).rejects.toThrow('connection over');
    expect(await proxy.exchange(i)).toMatchObject({ status: 413, detail: 'upstream-reset' });
  }
});

test('a reset without an answer is 502', async () => {
  await using upstream = await scriptedUpstream(() => undefined);
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }]);
  using client = await rawClient(proxy.port);
  client.send(POST);
  const connection = await upstream.connection(0);
  await connection.until('first');
  answerAndReset(client, connection, '');
  expect((await client.message()).status).toBe(502);
  expect(await proxy.exchange(0)).toMatchObject({ status: 502, detail: 'upstream-reset' });
});

test('what a pod said to an idle connection answers no request', async () => {
  await using upstream = await scriptedUpstream(async (connection, index) => {
    await connection.message();
    connection.send(ok('first'));
    if (index > 0) return;
    await connection.until('never');
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }]);
  using client = await rawClient(proxy.port);
  client.send(get('/'));
  expect((await client.message()).body).toBe('first');
  const kept = await upstream.connection(0);
  client.send(request('GET', '/again', ''));
  kept.send('HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  kept.reset();
  expect(await client.message()).toMatchObject({ status: 200, body: 'first' });
  expect(await proxy.exchange(1)).toMatchObject({ status: 200, attempts: 2 });
});

test('a tunnel whose pod resets it ends for the client too', async () => {
  await using upstream = await scriptedUpstream(() => undefined);
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }]);
  using client = await rawClient(proxy.port);
  client.send(get('/', 'Connection: Upgrade', 'Upgrade: chat'));
  const connection = await upstream.connection(0);
  await connection.until('\r\n\r\n');
  connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nhello');
  await client.until('hello');
  answerAndReset(client, connection, 'goodbye');
  await client.ended;
  expect(client.text).toContain('goodbye');
});
