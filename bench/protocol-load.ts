import { once } from 'node:events';
import http2, { type ClientHttp2Session } from 'node:http2';
import tls from 'node:tls';
import { Client as GrpcClient, credentials } from '@grpc/grpc-js';
import { WebSocket } from 'ws';
import { Lane, runLoad } from './load.ts';
import { GRPC_HOST, HOST, SOCKET_HOST } from './site.ts';

/** The ports of one proxy. */
export interface Doors {
  readonly http: number;
  readonly https: number;
}

export interface Done {
  /** Without those that failed. */
  readonly count: number;
  readonly failures: number;
}

/** Makes a client of a proxy: connections are opened before anything is measured, and stay. */
export type Work = (doors: Doors) => Promise<Client>;

export interface Client {
  /** Does the work for so long, and says how often it was done. */
  run(durationMs: number): Promise<Done>;
  close(): void;
}

/** HTTP/1.1 without TLS. */
export function http1(request: Buffer, connections: number): Work {
  return ({ http }) =>
    requests(
      Array.from({ length: connections }, () => new Lane(http)),
      request,
    );
}

/** HTTP/1.1 over TLS. */
export function https(request: Buffer, connections: number): Work {
  return ({ https: port }) =>
    requests(
      Array.from({ length: connections }, () => new Lane(port, secureConnection)),
      request,
    );
}

/** One request after the other on each connection. */
async function requests(connections: readonly Lane[], request: Buffer): Promise<Client> {
  const { run } = lanes(connections.length, async (endsAt, index) => {
    return repeat(endsAt, () => connections[index]!.exchange(request));
  });
  const close = (): void => connections.forEach((connection) => connection.close());
  await run(0);
  return { run, close };
}

/** A connection for each request, without TLS. */
export function connectEach(request: Buffer, connections: number): Work {
  return async ({ http: port }) => ({
    run: async (durationMs) => {
      const load = { port, request, connections, durationMs, connectEach: true };
      const { requests: count, failures } = await runLoad(load);
      return { count, failures };
    },
    close: () => {},
  });
}

/** So many of a kind at once, each until its end. */
function lanes(count: number, lane: (endsAt: number, index: number) => Promise<Done>): Pick<Client, 'run'> {
  return {
    run: async (durationMs) => {
      const endsAt = performance.now() + durationMs;
      const parts = await Promise.all(Array.from({ length: count }, (_, index) => lane(endsAt, index)));
      return parts.reduce((total, each) => ({
        count: total.count + each.count,
        failures: total.failures + each.failures,
      }));
    },
  };
}

/** Once at least; ends at the first failure. */
async function repeat(endsAt: number, once: () => Promise<boolean>): Promise<Done> {
  let count = 0;
  do {
    if (!(await once())) return { count, failures: 1 };
    count++;
  } while (performance.now() < endsAt);
  return { count, failures: 0 };
}

const HANDSHAKES_AT_ONCE = 16;

/**
 * A connection for each request. All agree on keys by X25519, so that every server does the same work; only 'hybrid'
 * offers X25519MLKEM768 as well, which not all of them have. 'resumed' takes the session of the last one along.
 */
export function handshakes(kind: 'full' | 'hybrid' | 'resumed'): Work {
  return async ({ https: port }) => {
    const sessions: (Buffer | undefined)[] = [];
    const one = async (index: number): Promise<boolean> => {
      const session = kind === 'resumed' ? sessions[index] : undefined;
      const socket = tls.connect({
        host: '127.0.0.1',
        port,
        servername: HOST,
        rejectUnauthorized: false,
        ...(kind !== 'hybrid' && { ecdhCurve: 'X25519' }),
        ...(session && { session }),
      });
      let resumed = false;
      socket.on('session', (fresh) => (sessions[index] = fresh));
      socket.on('secureConnect', () => (resumed = socket.isSessionReused()));
      socket.on('error', () => undefined);
      socket.write(`GET /small HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
      let bytes = 0;
      socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
      await new Promise((resolve) => socket.once('close', resolve));
      return bytes > 1024 && resumed === (session !== undefined);
    };
    const { run } = lanes(HANDSHAKES_AT_ONCE, (endsAt, index) => repeat(endsAt, () => one(index)));
    await run(0);
    return { run, close: () => {} };
  };
}

/** A TLS connection that sends what is written to it once it is there. */
export function secureConnection(port: number): tls.TLSSocket {
  return tls.connect({ host: '127.0.0.1', port, servername: HOST, rejectUnauthorized: false });
}

/** HTTP/2 connections with so many streams at once on each. */
export function http2Streams(
  connections: number,
  streams: number,
  path = '/small',
  body: Buffer | null = null,
): Work {
  return async ({ https: port }) => {
    const sessions = await Promise.all(Array.from({ length: connections }, () => http2Session(port)));
    const { run } = lanes(connections * streams, (endsAt, index) =>
      repeat(endsAt, () => exchange(sessions[index % connections]!, path, body)),
    );
    await run(0);
    return { run, close: () => sessions.forEach((session) => session.destroy()) };
  };
}

async function http2Session(port: number): Promise<ClientHttp2Session> {
  const session = http2.connect(`https://127.0.0.1:${port}`, {
    servername: HOST,
    rejectUnauthorized: false,
    // As browsers have them: large enough not to be what is measured.
    settings: { initialWindowSize: 6 * 1024 * 1024 },
    maxSessionMemory: 256,
  });
  await once(session, 'connect');
  session.setLocalWindowSize(15 * 1024 * 1024);
  session.on('error', () => undefined);
  return session;
}

async function exchange(session: ClientHttp2Session, path: string, body: Buffer | null): Promise<boolean> {
  if (session.destroyed || session.closed) return false;
  const stream = session.request({
    ':path': path,
    ':authority': HOST,
    ...(body && { ':method': 'POST', 'content-length': body.length }),
  });
  if (body) stream.end(body);
  let ok = false;
  stream.on('response', (headers) => (ok = headers[':status'] === 200));
  stream.on('error', () => (ok = false));
  stream.resume();
  await new Promise((resolve) => stream.once('close', resolve));
  return ok;
}

/** One connection with so many unary calls at once. */
export function grpcCalls(concurrency: number): Work {
  return async ({ https: port }) => {
    const client = new GrpcClient(`127.0.0.1:${port}`, tlsCredentials(), {
      'grpc.ssl_target_name_override': GRPC_HOST,
      'grpc.default_authority': GRPC_HOST,
    });
    const same = (bytes: Buffer): Buffer => bytes;
    const message = Buffer.alloc(64, 'g');
    const call = (): Promise<boolean> =>
      new Promise((resolve) => {
        client.makeUnaryRequest('/bench.Echo/Unary', same, same, message, (error) => resolve(error === null));
      });
    const { run } = lanes(concurrency, (endsAt) => repeat(endsAt, call));
    await run(0);
    return { run, close: () => client.close() };
  };
}

function tlsCredentials(): ReturnType<typeof credentials.createSsl> {
  return credentials.createSsl(null, null, null, {
    checkServerIdentity: () => undefined,
    rejectUnauthorized: false,
  });
}

const ECHO = 'x'.repeat(64);

/** So many WebSockets, on each the next message as soon as the last one is back. */
export function webSockets(count: number): Work {
  return async ({ http }) => {
    const sockets = Array.from(
      { length: count },
      () => new WebSocket(`ws://127.0.0.1:${http}/`, { headers: { Host: SOCKET_HOST } }),
    );
    await Promise.all(sockets.map((socket) => once(socket, 'open')));
    const { run } = lanes(count, (endsAt, index) => echoes(sockets[index]!, endsAt));
    return { run, close: () => sockets.forEach((socket) => socket.terminate()) };
  };
}

function echoes(socket: WebSocket, endsAt: number): Promise<Done> {
  let count = 0;
  return new Promise((resolve) => {
    const closed = (): void => resolve({ count, failures: 1 });
    const answered = (): void => {
      count++;
      if (performance.now() < endsAt) return socket.send(ECHO);
      socket.off('close', closed).off('message', answered);
      resolve({ count, failures: 0 });
    };
    socket.on('message', answered).once('close', closed).send(ECHO);
  });
}
