import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ServerHttp2Stream,
  createServer,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { type Http2Client, http2Client } from '../../support/http2-client.ts';
import { fieldOf } from '../../support/http2-upstream.ts';
import { startProxy } from '../../support/proxy.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';
import { happens } from '../../support/until.ts';

/** WebSockets over streams (RFC 8441), in all the pairs of a client and a pod that are one on either side. */

const NO_MASK = [0, 0, 0, 0];

function frame(opcode: number, text: string): Buffer {
  const payload = Buffer.from(text);
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, ...NO_MASK]), payload]);
}

const offered = new WeakSet<ClientHttp2Session>();

async function open(client: Http2Client, fields: Record<string, string> = {}): Promise<ClientHttp2Stream> {
  const { session } = client;
  session.setMaxListeners(0);
  // RFC 8441 3: not before it is offered.
  if (!offered.has(session)) await happens(session, 'remoteSettings');
  expect(session.remoteSettings?.enableConnectProtocol).toBe(true);
  offered.add(session);
  const stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'http',
      ':authority': 'app.test',
      ':path': '/chat?x=1',
      'sec-websocket-version': '13',
      ...fields,
    },
    { endStream: false },
  );
  stream.on('error', () => undefined);
  listen(stream);
  return stream;
}

async function statusOf(stream: ClientHttp2Stream): Promise<number> {
  const [headers] = (await happens(stream, 'response')) as [Record<string, unknown>];
  expect(headers['sec-websocket-accept']).toBeUndefined();
  return Number(headers[':status']);
}

const received = new WeakMap<ClientHttp2Stream, { bytes: Buffer[]; length: number; look: () => void }>();

function listen(stream: ClientHttp2Stream): void {
  const heard = { bytes: [] as Buffer[], length: 0, look: () => undefined as void };
  received.set(stream, heard);
  stream.on('data', (bytes: Buffer) => {
    heard.bytes.push(bytes);
    heard.length += bytes.length;
    heard.look();
  });
}

/** What has come on the stream since the last call, once it is so many bytes. */
async function read(stream: ClientHttp2Stream, length: number): Promise<Buffer> {
  const heard = received.get(stream)!;
  await new Promise<void>((resolve) => {
    heard.look = () => (heard.length >= length ? resolve() : undefined);
    heard.look();
  });
  const bytes = Buffer.concat(heard.bytes);
  heard.bytes = [];
  heard.length = 0;
  return bytes;
}

async function echoPod(): Promise<{ port: number; server: WebSocketServer } & Disposable> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await happens(server, 'listening');
  server.on('connection', (socket) => {
    socket.on('message', (message, binary) => socket.send(message, { binary }));
    socket.on('close', (code) => server.emit('closed-with', code));
  });
  const { port } = server.address() as AddressInfo;
  return { port, server, [Symbol.dispose]: () => server.close() };
}

/** A pod that takes WebSockets as streams, and gives every byte back. */
async function streamPod(
  serve: (stream: ServerHttp2Stream, fields: readonly string[]) => void,
  enableConnectProtocol = true,
): Promise<{ port: number } & Disposable> {
  const server = createServer({ settings: { enableConnectProtocol } });
  server.on('session', (session) => session.on('error', () => undefined));
  server.on('stream', (stream, _headers, _flags, fields) => {
    stream.on('error', () => undefined);
    serve(stream, fields as readonly string[]);
  });
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  return { port: (server.address() as AddressInfo).port, [Symbol.dispose]: () => server.close() };
}

const echo = (stream: ServerHttp2Stream): void => {
  stream.respond({ ':status': 200 });
  stream.pipe(stream);
};

it('from a stream to a connection: messages both ways, and the close with its code', async () => {
  using pod = await echoPod();
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = http2Client(proxy.port);
  const stream = await open(client);
  // Before it is known that there will be a tunnel.
  stream.write(frame(1, 'early'));
  expect(await statusOf(stream)).toBe(200);
  expect(await read(stream, 7)).toEqual(Buffer.from([0x81, 5, ...Buffer.from('early')]));
  stream.write(frame(1, 'later'));
  expect(await read(stream, 7)).toEqual(Buffer.from([0x81, 5, ...Buffer.from('later')]));
  expect(proxy.engine.gauges().tunnels).toBe(1);
  const closed = once(pod.server, 'closed-with');
  stream.end(frame(8, '\x0f\xa1').subarray(0, 6));
  stream.destroy();
  await closed;
  expect(await proxy.exchange(0)).toMatchObject({
    status: 101,
    method: 'GET',
    target: '/chat?x=1',
    httpVersion: '2',
    attempts: 1,
  });
  expect(proxy.engine.gauges().tunnels).toBe(0);
});

it('from a stream to a connection: much of it, in both directions at once', async () => {
  await using pod = await scriptedUpstream(async (connection) => {
    await connection.head();
    connection.send(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n',
    );
    connection.socket.pipe(connection.socket);
    await connection.ended;
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = http2Client(proxy.port);
  const stream = await open(client);
  expect(await statusOf(stream)).toBe(200);
  const bytes = Buffer.alloc(4 * 1024 * 1024, 'portico ');
  stream.end(bytes);
  expect((await read(stream, bytes.length)).equals(bytes)).toBe(true);
  expect(await proxy.exchange(0)).toMatchObject({
    requestBytes: bytes.length,
    responseBytes: bytes.length,
    detail: '',
  });
});

it('from a connection to a stream, as a client of HTTP/1.1 would have it', async () => {
  let seen: readonly string[] = [];
  using pod = await streamPod((stream, fields) => {
    seen = fields;
    stream.respond({ ':status': 200, 'sec-websocket-protocol': 'chat' });
    // A greeting that no mask covers, then what the client says, to be seen as it is.
    stream.write(Buffer.from([0x81, 2, 0x68, 0x69]));
    stream.on('data', (bytes: Buffer) => {
      if ((bytes[0] ?? 0) === 0x88) stream.end(Buffer.from([0x88, 2, 0x0f, 0xa1]));
    });
  });
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  const client = new WebSocket(`ws://127.0.0.1:${proxy.port}/chat?x=1`, 'chat', {
    headers: { Host: 'app.test' },
  });
  const [greeting] = (await happens(client, 'message')) as [Buffer];
  expect(greeting.toString()).toBe('hi');
  expect(client.protocol).toBe('chat');
  expect(fieldOf(seen, ':method')).toBe('CONNECT');
  expect(fieldOf(seen, ':protocol')).toBe('websocket');
  expect(fieldOf(seen, ':path')).toBe('/chat?x=1');
  expect(fieldOf(seen, ':authority')).toBe('app.test');
  expect(fieldOf(seen, 'sec-websocket-version')).toBe('13');
  for (const name of ['sec-websocket-key', 'connection', 'upgrade'])
    expect(fieldOf(seen, name)).toBeUndefined();
  const closed = once(client, 'close');
  client.close(4001);
  expect((await closed)[0]).toBe(4001);
  expect(await proxy.exchange(0)).toMatchObject({ status: 101, detail: '' });
  expect(proxy.engine.gauges().tunnels).toBe(0);
});

it('from a stream to a stream, many on one connection', async () => {
  using pod = await streamPod(echo);
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  using client = http2Client(proxy.port);
  const streams = await Promise.all(Array.from({ length: 20 }, () => open(client)));
  await Promise.all(
    streams.map(async (stream, index) => {
      const bytes = Buffer.alloc(100_000 + index, String(index));
      stream.end(bytes);
      expect((await read(stream, bytes.length)).equals(bytes)).toBe(true);
    }),
  );
  for (let i = 0; i < streams.length; i++)
    expect(await proxy.exchange(i)).toMatchObject({ status: 101, detail: '' });
  expect(proxy.engine.gauges()).toMatchObject({ tunnels: 0, inFlight: 0 });
});

it('a pod that does not offer it is asked in the way it knows, and what it says goes back', async () => {
  let method: string | undefined;
  using pod = await streamPod((stream, fields) => {
    method = fieldOf(fields, ':method');
    stream.respond({ ':status': 426 });
    stream.end('no');
  }, false);
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  using client = http2Client(proxy.port);
  const stream = await open(client);
  expect(await statusOf(stream)).toBe(426);
  expect((await read(stream, 2)).toString()).toBe('no');
  expect(method).toBe('GET');
  const other = new WebSocket(`ws://127.0.0.1:${proxy.port}/`, { headers: { Host: 'app.test' } });
  const [, response] = (await happens(other, 'unexpected-response')) as [unknown, { statusCode: number }];
  expect(response.statusCode).toBe(426);
});

it('a pod that declines answers as any pod, and the connection goes on', async () => {
  await using pod = await recordingUpstream();
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = http2Client(proxy.port);
  const stream = await open(client);
  stream.write(frame(1, 'never read'));
  expect(await statusOf(stream)).toBe(200);
  expect(pod.requests[0]?.field('upgrade')).toBe('websocket');
  expect(pod.requests[0]?.field('sec-websocket-key')).toMatch(/^[A-Za-z0-9+/]{22}==$/);
  expect((await client.ask({})).status).toBe(200);
  expect(pod.connections.map(({ text }) => text).join('')).not.toContain('never read');
});

it('a client that resets its stream ends the connection to the pod, and the pod that fails the stream', async () => {
  using pod = await echoPod();
  const dying = Promise.withResolvers<() => void>();
  await using mortal = await scriptedUpstream(async (connection) => {
    await connection.head();
    connection.send(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n',
    );
    dying.resolve(() => connection.socket.resetAndDestroy());
    await connection.ended;
  });
  const sites = [{ ports: [pod.port] }, { host: 'mortal.test', ports: [mortal.port] }];
  await using proxy = await startProxy(nativeEngine, sites, { h2c: true });
  using client = http2Client(proxy.port);
  const stream = await open(client);
  expect(await statusOf(stream)).toBe(200);
  const closed = once(pod.server, 'closed-with');
  stream.close(8);
  expect(await closed).toEqual([1006]);
  const failing = await open(client, { ':authority': 'mortal.test' });
  expect(await statusOf(failing)).toBe(200);
  const over = new Promise((resolve) => failing.on('close', resolve));
  (await dying.promise)();
  await over;
  expect(failing.rstCode).not.toBe(0);
  expect(proxy.engine.gauges().tunnels).toBe(0);
});

it('draining says goodbye with a Close frame, to both ends, and then with the end of the stream', async () => {
  using pod = await echoPod();
  const proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = http2Client(proxy.port);
  const stream = await open(client);
  expect(await statusOf(stream)).toBe(200);
  const closed = once(pod.server, 'closed-with');
  const drained = proxy.engine.drain(50);
  const goodbye = await read(stream, 4);
  expect([...goodbye.subarray(0, 1), goodbye.readUInt16BE(2)]).toEqual([0x88, 1001]);
  expect(await closed).toEqual([1001]);
  await drained;
  await proxy[Symbol.asyncDispose]();
});

it('what is no WebSocket is refused', async () => {
  await using pod = await recordingUpstream(ok('unasked'));
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = http2Client(proxy.port);
  const stream = await open(client, { ':protocol': 'connect-udp' });
  expect(await statusOf(stream)).toBe(400);
  expect(pod.requests).toEqual([]);
});
