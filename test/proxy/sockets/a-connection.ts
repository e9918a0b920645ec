import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { connect as connectTls, createSecureContext, createServer as createTlsServer } from 'node:tls';
import type { ByteSocket, SocketUser } from '../../../src/proxy/sockets/byte-socket.ts';
import { NativeSockets, NodeSockets, type Sockets } from '../../../src/proxy/sockets/sockets.ts';
import { tcpInternals } from '../../../src/proxy/sockets/tcp-internals.ts';
import { tlsInternals } from '../../../src/proxy/sockets/tls-internals.ts';
import { createAuthority } from '../../support/certificates.ts';
import { happens, soon } from '../../support/until.ts';

export const KINDS: readonly (readonly [string, () => Sockets])[] = [
  ['native', () => new NativeSockets(tcpInternals(), tlsInternals())],
  ['node', () => new NodeSockets()],
];

/** Records what it is told, in order; bytes that follow one another are one entry. */
export class Recorder implements SocketUser {
  readonly told: string[] = [];
  readonly faults: unknown[] = [];
  #bytes: Buffer[] = [];
  length = 0;
  readsOnAfterWriteError = false;
  /** Called with each piece, after it was recorded. */
  onPiece: (bytes: Buffer, length: number) => void = () => {};
  onDrain: () => void = () => {};
  readonly #waiting = new Set<() => void>();

  #tell(what: string): void {
    this.told.push(what);
    for (const look of [...this.#waiting]) look();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#bytes);
  }

  /** Resolves once `isThere`, which is asked whenever something was told. */
  until(isThere: (user: this) => boolean, what: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = (): void => {
      if (!isThere(this)) return;
      this.#waiting.delete(look);
      resolve();
    };
    this.#waiting.add(look);
    look();
    return soon(promise, () => `${what}; told: ${this.told.slice(-10).join(', ')}`);
  }

  hears(what: string): Promise<void> {
    return this.until(({ told }) => told.includes(what), what);
  }

  onConnect(): void {
    this.#tell('connect');
  }

  onBytes(bytes: Buffer, length: number): void {
    this.#bytes.push(Buffer.from(bytes.subarray(0, length)));
    this.length += length;
    if (this.told.at(-1) !== 'bytes') this.told.push('bytes');
    for (const look of [...this.#waiting]) look();
    this.onPiece(bytes, length);
  }

  onSocketEnd(): void {
    this.#tell('end');
  }

  onSocketDrain(): void {
    this.onDrain();
    this.#tell('drain');
  }

  onSocketFinish(): void {
    this.#tell('finish');
  }

  onSocketClose(error: NodeJS.ErrnoException | null): void {
    this.#tell(`close ${error?.code ?? ''}`.trim());
  }

  onWriteFailed(): boolean {
    this.#tell('write failed');
    return this.readsOnAfterWriteError;
  }

  onSocketFault(fault: unknown): void {
    this.faults.push(fault);
    this.#tell('fault');
  }
}

export interface Pair extends AsyncDisposable {
  readonly socket: ByteSocket;
  readonly user: Recorder;
  readonly peer: Socket;
}

const HIGH_WATER_MARK = 32 * 1024;

/** A connection that `sockets` made to a peer of Node, which does not read yet. */
export async function connected(sockets: Sockets): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1');
  await happens(server, 'listening');
  const accepted = happens(server, 'connection') as unknown as Promise<[Socket]>;
  const user = new Recorder();
  const { port } = server.address() as AddressInfo;
  const socket = sockets.connect('127.0.0.1', port, HIGH_WATER_MARK, user);
  await user.hears('connect');
  const [peer] = await accepted;
  return pair(socket, user, peer, () => server.close());
}

/** A connection that `sockets` accepted from a peer of Node, which does not read yet. */
export async function accepted(sockets: Sockets): Promise<Pair> {
  const user = new Recorder();
  const server = createServer({ allowHalfOpen: true });
  const { promise, resolve } = Promise.withResolvers<ByteSocket>();
  server.on('connection', (raw) => {
    const socket = sockets.take(raw, HIGH_WATER_MARK);
    if (socket) resolve(socket);
  });
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  if (sockets.kind === 'native') {
    const onFault = (fault: unknown): void => void user.faults.push(fault);
    sockets.acceptOn(server, (handle) => resolve(sockets.wrap(handle, HIGH_WATER_MARK)), onFault);
  }
  const { port } = server.address() as AddressInfo;
  const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  peer.pause();
  const socket = await promise;
  socket.user = user;
  return pair(socket, user, peer, () => server.close());
}

/** The same, made by a socket of Node: as one to a name is. */
export async function named(sockets: Sockets): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1');
  return made(sockets, server, 'connection', (options) => connect({ ...options, allowHalfOpen: true }));
}

/** The same over TLS. */
export async function securedByUs(sockets: Sockets): Promise<Pair> {
  const server = createTlsServer({ cert: certificate, key, allowHalfOpen: true }).listen(0, '127.0.0.1');
  return made(sockets, server, 'secureConnection', (options) =>
    connectTls({ ...options, rejectUnauthorized: false }),
  );
}

async function made(
  sockets: Sockets,
  server: Server,
  event: string,
  open: (options: { host: string; port: number; allowHalfOpen: true }) => Socket,
): Promise<Pair> {
  await happens(server, 'listening');
  const accepted = happens(server, event) as unknown as Promise<[Socket]>;
  const user = new Recorder();
  const { port } = server.address() as AddressInfo;
  const raw = open({ host: '127.0.0.1', port, allowHalfOpen: true });
  const socket = sockets.making(raw, HIGH_WATER_MARK, user);
  await user.hears('connect');
  const [peer] = await accepted;
  peer.pause();
  return pair(socket, user, peer, () => server.close());
}

const { certificate, key } = createAuthority().issue(['sockets.test']);

/** The same over TLS, after its handshake. */
export async function secured(
  sockets: Sockets,
  onSecure: (carrier: Socket) => void = () => {},
): Promise<Pair> {
  const user = new Recorder();
  const { promise, resolve } = Promise.withResolvers<ByteSocket>();
  const server = createTlsServer({ cert: certificate, key, allowHalfOpen: true }, (raw) => {
    const socket = sockets.take(raw, HIGH_WATER_MARK);
    if (socket) resolve(socket);
  }).listen(0, '127.0.0.1');
  await happens(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const peer = securePeer(port, onSecure);
  const socket = await promise;
  socket.user = user;
  return pair(socket, user, peer, () => server.close());
}

/** The same, with the handshake on the handle where there is one. `onSecure` is called when the peer is done with its own. */
export async function shaken(
  sockets: Sockets,
  onSecure: (carrier: Socket) => void = () => {},
): Promise<Pair> {
  if (sockets.kind === 'node') return secured(sockets, onSecure);
  const user = new Recorder();
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<ByteSocket>();
  const context = createSecureContext({ cert: certificate, key });
  const terms = { context, named: () => undefined, protocols: Buffer.from('\x08http/1.1') };
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  sockets.acceptOn(
    server,
    (handle) => {
      const first = (bytes: Buffer): void => {
        handle.readStop();
        const handshake = sockets.handshake(handle, terms, HIGH_WATER_MARK, {
          onSecured: resolve,
          onHandshakeFailed: reject,
        });
        handshake.begin(bytes);
      };
      sockets.readFirst(handle, first, () => reject(new Error('the peer left')));
    },
    reject,
  );
  const { port } = server.address() as AddressInfo;
  const peer = securePeer(port, onSecure);
  const socket = await promise;
  socket.user = user;
  return pair(socket, user, peer, () => server.close());
}

function securePeer(port: number, onSecure: (carrier: Socket) => void): Socket {
  const carrier = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  carrier.on('error', () => undefined);
  const peer = connectTls({ socket: carrier, rejectUnauthorized: false });
  peer.pause();
  // What it writes last is with the system then.
  peer.once('secureConnect', () => setImmediate(onSecure, carrier));
  return peer;
}

function pair(socket: ByteSocket, user: Recorder, peer: Socket, close: () => void): Pair {
  peer.on('error', () => undefined);
  return {
    ...{ socket, user, peer },
    async [Symbol.asyncDispose]() {
      socket.destroy();
      peer.destroy();
      close();
    },
  };
}
