import { once } from 'node:events';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import {
  type Http2ServerRequest,
  type Http2ServerResponse,
  createServer as createHttp2Server,
} from 'node:http2';
import { type AddressInfo, type Socket, connect as connectTcp } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { expect, it } from 'vitest';
import { until } from '../../support/until.ts';
import type { Engine } from '../../../src/proxy/engine.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { ChaosClient } from '../../support/chaos-client.ts';
import { isPatternOf, pattern } from '../../support/pattern.ts';
import { type Site, startProxy } from '../../support/proxy.ts';
import { seededRandom } from '../../support/random.ts';
import { startTlsProxy } from '../../support/tls-proxy.ts';
import { happens } from '../../support/until.ts';
import { STAYS_OPEN } from '../../support/stays-open.ts';

/**
 * Any mix of valid traffic, resets, tiny windows and clients that stop reading: each response that is complete is the
 * one to its own request, octet by octet, and nothing is left behind. `/ID/SIZE/HOW` is answered with that much of the
 * pattern of ID, in the ways that the letters of HOW say.
 */

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

async function answer(request: Request, response: Response): Promise<void> {
  const [, id = '', size = '', how = ''] = (request.url ?? '').split('/');
  const says = (letter: string): boolean => how.includes(letter);
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  const uploaded: Buffer[] = [];
  if (says('p')) for (let i = 0; i < 20; i++) await nextTurn();
  request.on('data', (bytes: Buffer) => uploaded.push(bytes));
  const fields: Record<string, string> = {};
  if (!says('e')) {
    if (!request.readableEnded)
      await new Promise((resolve) => request.on('end', resolve).on('close', resolve));
    const upload = Buffer.concat(uploaded);
    fields['x-upload'] = isPatternOf(-Number(id), upload) ? String(upload.length) : 'garbled';
  }
  const body = pattern(Number(id), Number(size));
  if (says('l')) fields['content-length'] = size;
  if (says('i')) response.writeEarlyHints({ link: '</style>; rel=preload' });
  if (response.destroyed) return;
  (response as ServerResponse).writeHead(says('n') ? 204 : 200, fields);
  if (request.method === 'HEAD' || says('n')) return void response.end();
  const write = (bytes: Buffer): unknown => (response as ServerResponse).write(bytes);
  const step = says('s') ? 1_000 : 50_000;
  for (let at = 0; at < body.length && !response.destroyed; at += step) {
    if (says('b') && at >= body.length / 2) {
      // Not close(): with writes under way, node:http2 would send empty DATA frames for ever.
      if ('stream' in response) response.stream.destroy(new Error('broken'));
      else response.destroy();
      return;
    }
    const goesOn = write(body.subarray(at, at + step));
    if (says('s')) await nextTurn();
    if (!goesOn)
      await Promise.race([once(response, 'drain'), once(response, 'close')]).catch(() => undefined);
  }
  if (says('t')) response.addTrailers({ 'x-sum': id });
  response.end();
}

/** To node:http2 it is an error to answer on a stream that was reset meanwhile. */
const gone = (): void => undefined;

async function podOfHttp1(): Promise<{ port: number } & Disposable> {
  const server = createServer(STAYS_OPEN, (request, response) => void answer(request, response).catch(gone));
  server.on('upgrade', (_request, socket, head) => {
    socket.on('error', () => socket.destroy());
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    if (head.length > 0) socket.unshift(head);
    socket.pipe(socket);
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  const end = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { port: (server.address() as AddressInfo).port, [Symbol.dispose]: end };
}

async function podOfHttp2(): Promise<{ port: number } & Disposable> {
  const settings = { enableConnectProtocol: true, maxConcurrentStreams: 20 };
  const server = createHttp2Server(
    { settings },
    (request, response) => void answer(request, response).catch(gone),
  );
  server.on('session', (session) => session.on('error', () => undefined));
  server.on('connect', (request: Http2ServerRequest, response: Http2ServerResponse) => {
    request.stream.on('error', () => undefined);
    response.writeHead(200);
    request.stream.pipe(request.stream);
  });
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  return { port: (server.address() as AddressInfo).port, [Symbol.dispose]: () => server.close() };
}

interface Proxy {
  readonly engine: Engine;
  connect(): Promise<Socket>;
}

/** What comes of it when three clients ask for anything on one connection each. */
async function survivesChaos({ engine, connect }: Proxy, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const sockets = await Promise.all([connect(), connect(), connect()]);
  const clients = sockets.map((socket, nth) => new ChaosClient(socket, random, nth + 1));
  try {
    const outcomes = await Promise.all(clients.map((client) => client.run(120)));
    for (const outcome of outcomes) {
      expect(outcome.faults).toEqual([]);
      expect(outcome.completed).toBeGreaterThan(40);
    }
    // Whatever was reset or given up, the windows of the connection are what they were.
    const uploads = await Promise.all(clients.map((client) => client.uploads(3_000_000)));
    expect(uploads).toEqual(['ended', 'ended', 'ended']);
  } finally {
    for (const client of clients) client.destroy();
  }
  // And one that is lost with all that it has asked.
  const lost = new ChaosClient(await connect(), random, 4);
  const ran = lost.run(Number.POSITIVE_INFINITY);
  await until(() => engine.gauges().tunnels > 0);
  lost.destroy();
  await ran;
  await until(() => engine.gauges().clientConnections === 0);
  expect(engine.gauges()).toMatchObject({ inFlight: 0, tunnels: 0 });
}

async function pods(): Promise<{ sites: Site[] } & Disposable> {
  const stack = new DisposableStack();
  const started = [await podOfHttp1(), await podOfHttp1(), await podOfHttp2(), await podOfHttp2()];
  const [one = 0, two = 0, three = 0, four = 0] = started.map((pod) => stack.use(pod).port);
  const sites: Site[] = [
    { host: 'app.test', ports: [one, two] },
    { host: 'h2.test', ports: [three, four], protocol: 'h2c' },
  ];
  return { sites, [Symbol.dispose]: () => stack.dispose() };
}

for (const seed of [1, 2]) {
  it(`leaves every response whole and nothing behind, seed ${seed}`, async () => {
    using running = await pods();
    await using proxy = await startProxy(nativeEngine, running.sites, { h2c: true });
    const connect = async (): Promise<Socket> => {
      const socket = connectTcp({ port: proxy.port, host: '127.0.0.1' });
      await happens(socket, 'connect');
      return socket;
    };
    await survivesChaos({ engine: proxy.engine, connect }, seed);
    for (const host of ['app.test', 'app.test', 'h2.test', 'h2.test'])
      expect(proxy.endpoint(host)?.inFlight, host).toBe(0);
  });
}

it('and over TLS', async () => {
  using running = await pods();
  await using proxy = await startTlsProxy(nativeEngine, running.sites);
  const connect = async (): Promise<Socket> => {
    const where = { port: proxy.httpsPort, host: '127.0.0.1', servername: 'app.test' };
    const socket = connectTls({ ...where, ALPNProtocols: ['h2'], rejectUnauthorized: false });
    await happens(socket, 'secureConnect');
    return socket;
  };
  await survivesChaos({ engine: proxy.engine, connect }, 3);
});
