import { type Socket, type TcpNetConnectOpts, connect as connectTcp } from 'node:net';
import { TLSSocket } from 'node:tls';
import { reportExternalBytes } from '../gc-pressure.ts';
import { reset } from '../tls/termination.ts';
import { type ByteSocket, NOBODY, type SocketUser } from './byte-socket.ts';
import { readAfterWriteError } from './read-after-write-error.ts';

/** What connections of ours without TLS read into, since what is read is written on before the next read. */
const SHARED = Buffer.allocUnsafeSlow(64 * 1024);
const NOTHING = Buffer.alloc(0);

/** A connection on a socket of Node. */
export class NodeSocket implements ByteSocket {
  readonly socket: Socket;
  readonly isSecure: boolean;
  user: SocketUser = NOBODY;
  /** No read brings more than 64 KiB. */
  mayReadMuch = false;
  #isOver = false;

  constructor(socket: Socket, readsData: boolean) {
    this.socket = socket;
    this.isSecure = socket instanceof TLSSocket;
    socket.pause();
    if (readsData) {
      socket.on('data', (bytes: Buffer) => {
        this.#give(bytes, bytes.length);
        reportExternalBytes(bytes);
      });
    }
    socket.on('end', () => this.#tell((user) => user.onSocketEnd()));
    socket.on('drain', () => this.#tell((user) => user.onSocketDrain()));
    socket.on('finish', () => this.#tell((user) => user.onSocketFinish()));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#close(error));
    socket.on('close', () => this.#close(null));
  }

  /** Connects without TLS; `user` hears of it. */
  static connect(options: TcpNetConnectOpts, user: SocketUser): NodeSocket {
    const callback = (length: number): boolean => {
      made.#give(SHARED, length);
      return true;
    };
    const socket = connectTcp({ ...options, onread: { buffer: SHARED, callback } });
    const made: NodeSocket = new NodeSocket(socket, false);
    made.#serve(user);
    socket.once('connect', () => made.#tell((user) => user.onConnect()));
    return made;
  }

  /** A connection that is made, of which nothing was read; over TLS `onConnect` follows the handshake. */
  static making(socket: Socket, user: SocketUser): NodeSocket {
    const made = new NodeSocket(socket, true);
    made.#serve(user);
    socket.once(made.isSecure ? 'secureConnect' : 'connect', () => made.#tell((user) => user.onConnect()));
    return made;
  }

  #serve(user: SocketUser): void {
    this.user = user;
    readAfterWriteError(this.socket, () => this.user.onWriteFailed());
  }

  #give(bytes: Buffer, length: number): void {
    if (this.#isOver) return;
    try {
      this.user.onBytes(bytes, length);
    } catch (fault) {
      this.user.onSocketFault(fault);
    }
  }

  #tell(news: (user: SocketUser) => void): void {
    if (this.#isOver) return;
    try {
      news(this.user);
    } catch (fault) {
      this.user.onSocketFault(fault);
    }
  }

  #close(error: NodeJS.ErrnoException | null): void {
    if (this.#isOver) return;
    this.#tell((user) => user.onSocketClose(error));
    this.#isOver = true;
    this.socket.destroy();
  }

  get writableLength(): number {
    return this.socket.writableLength;
  }

  get needsDrain(): boolean {
    return this.socket.writableNeedDrain;
  }

  get isWritable(): boolean {
    return this.socket.writable;
  }

  get isFinished(): boolean {
    return this.socket.writableFinished;
  }

  get isPaused(): boolean {
    return this.socket.isPaused();
  }

  get localAddress(): string {
    return this.socket.localAddress ?? '';
  }

  get localPort(): number {
    return this.socket.localPort ?? 0;
  }

  write(bytes: Buffer, done: () => void): boolean {
    const { socket } = this;
    if (!socket.writable) return true;
    // The write of a secure socket never ends at once, and one behind another does not either.
    if (this.isSecure || socket.writableLength > 0) {
      socket.write(bytes, done);
      return false;
    }
    socket.write(bytes);
    if (socket.writableLength === 0) return true;
    // A callback of the write itself would cost each of those that end at once a turn of Node's queue.
    socket.write(NOTHING, done);
    return false;
  }

  writeAll(pieces: readonly Buffer[], done: () => void): boolean {
    const { socket } = this;
    if (!socket.writable) return true;
    socket.cork();
    for (const piece of pieces) socket.write(piece);
    socket.write(NOTHING, done);
    socket.uncork();
    return false;
  }

  end(): void {
    this.socket.end();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  unshift(bytes: Buffer): void {
    this.socket.unshift(bytes);
  }

  destroy(): void {
    this.#isOver = true;
    this.socket.destroy();
  }

  reset(): void {
    this.#isOver = true;
    reset(this.socket);
  }
}
