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
import { HpackEncoder } from '../../../src/proxy/http2/hpack/encoder.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { authServer } from '../../support/auth-server.ts';
import { ChaosClient } from '../../support/chaos-client.ts';
import { examples } from '../../support/examples.ts';
import { type FramePod, framePod } from '../../support/http2-frame-pod.ts';
import {
  CODE,
  blocks,
  frameClient,
  requestFields,
  reset,
  settings,
  windowUpdate,
} from '../../support/http2-frames.ts';
import { MixedFrames, below, cameOn, message, notOwn, section } from '../../support/own-bytes.ts';
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

for (let seed = 1; seed <= examples(1); seed++) {
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
  await survivesChaos({ engine: proxy.engine, connect }, 100);
});

/**
 * Heads, trailers and what waits behind heads are in memory that is used again. Each message says with every octet whose it
 * is, also those that were cut in two anywhere, wait for a policy, or are taken back.
 */
const HOSTS = ['app.test', 'text.test', 'asked.test', 'text.asked.test'];

const responseOf = (id: string): string => id.replace('q', 'r');

/** Answers in frames, when a request is over, or before. */
async function framesPod(random: () => number, faults: string[]): Promise<FramePod> {
  return await framePod(
    (end) => {
      const encoder = new HpackEncoder();
      const answered = new Set<number>();
      const out = new MixedFrames(random, end);
      end.send(windowUpdate(0, 2 ** 30));
      end.socket.on('data', () => {
        for (const { stream } of blocks(end.frames)) {
          const { fields, body, hasEnded, isReset } = cameOn(end, stream);
          if (answered.has(stream) || (!hasEnded && !isReset && random() < 0.9)) continue;
          answered.add(stream);
          const of = (name: string): string => fields.find(([each]) => each === name)?.[1] ?? '';
          const id = of('x-id');
          if (of(':path') !== `/${id}`) faults.push(`${id}: ${of(':path')}`);
          faults.push(...notOwn(id, fields, body));
          if (isReset) continue;
          const said = responseOf(id);
          const frames = message(random, encoder, stream, [[':status', '200']], said);
          if (random() < 0.1)
            frames.unshift(() =>
              section(
                random,
                encoder,
                stream,
                [
                  [':status', '103'],
                  ['x-own-0', said],
                ],
                false,
              ),
            );
          if (random() < 0.1) frames.splice(1 + below(random, 2), Infinity, () => reset(stream, CODE.cancel));
          out.add(frames);
        }
      });
    },
    settings(random() < 0.5 ? undefined : 200 + below(random, 9_000)),
  );
}

/** The same over HTTP/1.1. */
async function textPod(random: () => number, faults: string[]): Promise<{ port: number } & Disposable> {
  const server = createServer({ ...STAYS_OPEN, maxHeaderSize: 65_536 }, (request, response) => {
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    let body = '';
    request.on('data', (bytes: Buffer) => (body += bytes.toString('latin1')));
    request.on('end', () => {
      const id = String(request.headers['x-id']);
      const fields = Object.entries({ ...request.headers, ...request.trailers });
      faults.push(
        ...notOwn(
          id,
          fields.map(([name, value]) => [name, String(value)] as const),
          body,
        ),
      );
      const said = responseOf(id);
      response.writeHead(200, { 'x-id': said, trailer: 'x-end' });
      for (let i = below(random, 4); i > 0; i--) response.write(said.repeat(below(random, 800)));
      response.addTrailers({ 'x-end': said });
      response.end();
    });
  });
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    [Symbol.dispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Sends requests over one connection, and sees to whose the responses are. */
async function askInFrames(
  port: number,
  random: () => number,
  name: string,
  faults: string[],
): Promise<void> {
  using end = await frameClient(port, settings(random() < 0.6 ? undefined : 100 + below(random, 5_000)));
  end.send(windowUpdate(0, 2 ** 30));
  const encoder = new HpackEncoder();
  const out = new MixedFrames(random, end);
  const asked = new Map<number, string>();
  const dropped = new Set<number>();
  const requests = Array.from({ length: 1 + below(random, 14) }, (_, i) => {
    const stream = 2 * i + 1;
    const id = `q${name}s${stream}z`;
    asked.set(stream, id);
    const fields = requestFields('POST', `/${id}`).map(([each, value]) =>
      each === ':authority'
        ? ([each, HOSTS[below(random, HOSTS.length)] ?? ''] as const)
        : ([each, value] as const),
    );
    const [head, ...rest] = message(random, encoder, stream, fields, id);
    if (random() < 0.06)
      rest.splice(below(random, rest.length + 1), Infinity, () => {
        dropped.add(stream);
        return reset(stream, CODE.cancel);
      });
    // They are opened in their order.
    return (): Buffer => {
      out.add(rest);
      return head?.() ?? Buffer.alloc(0);
    };
  });
  out.add(requests);
  const isOver = (stream: number): boolean => {
    const { hasEnded, isReset } = cameOn(end, stream);
    return hasEnded || isReset || dropped.has(stream);
  };
  await until(() => [...asked.keys()].every(isOver), `the end of each stream of ${name}`);
  for (const [stream, id] of asked) {
    const { fields, body } = cameOn(end, stream);
    const isOfPod = fields.some(([each]) => each === 'x-id');
    faults.push(...notOwn(responseOf(id), fields, isOfPod ? body : ''));
  }
}

it('each client and each Pod gets its own octets, heads and trailers, however they are cut and mixed', async () => {
  for (let seed = 1; seed <= examples(3); seed++) {
    const random = seededRandom(seed);
    const faults: string[] = [];
    await using frames = await framesPod(random, faults);
    using text = await textPod(random, faults);
    await using auth = await authServer((_, response) => void setImmediate(() => response.end()));
    const policies = {
      'external-auth-filter': {
        ...{ namespace: 'default', to: { backend: 'default/auth.test:80' }, prefix: '' },
        ...{ allowedHeaders: [], responseHeaders: null, maxBodyBytes: 0 },
      },
    };
    const sites: readonly Site[] = [
      { ports: [frames.port], protocol: 'h2c' },
      { host: 'text.test', ports: [text.port] },
      { host: 'asked.test', ports: [frames.port], protocol: 'h2c', policies },
      { host: 'text.asked.test', ports: [text.port], policies },
      { host: 'auth.test', ports: [auth.port] },
    ];
    await using proxy = await startProxy(nativeEngine, sites, { h2c: true });
    const names = ['a', 'b', 'c', 'd', 'e'];
    await Promise.all(
      names.map((name, i) => askInFrames(proxy.port, seededRandom(seed * 10 + i), name, faults)),
    );
    expect({ seed, faults: [...faults, ...proxy.faults] }).toEqual({ seed, faults: [] });
  }
});
