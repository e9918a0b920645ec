import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { type ByteSocket, NOBODY, type SocketUser } from './byte-socket.ts';
import { LentBuffer } from './lent-buffer.ts';
import { QueuedWrites } from './queued-writes.ts';
import {
  MOST_ENCRYPTED,
  type StreamHandle,
  type TcpHandle,
  type TcpInternals,
  UV_ECONNRESET,
  UV_EOF,
  type WriteRequest,
  handleOf,
  hasUnreadEnd,
} from './tcp-internals.ts';
import type { TlsHandle } from './tls-internals.ts';

/**
 * What all sockets of a thread read into, since what is read is parsed and written on before the next read. A read that
 * fills it says that there is more: that socket is lent a larger buffer.
 */
const SHARED = Buffer.allocUnsafeSlow(64 * 1024);
/** A read that brings less ends the loan. */
const LEAST_LENT = 16 * 1024;

/** A connection on libuv's handle, without a stream of Node in between. */
export class NativeSocket implements ByteSocket {
  user: SocketUser = NOBODY;
  mayReadMuch = true;
  readonly #native: TcpInternals;
  #handle: StreamHandle;
  /** Whose the handle is; null for a TCP handle of our own. */
  readonly #carrier: SocketCarrier | null;
  readonly #highWaterMark: number;
  #lent: LentBuffer | null = null;
  #unread: Buffer[] | null = null;
  writableLength = 0;
  needsDrain = false;
  isPaused = true;
  #isReading = false;
  #readEnded = false;
  #writeEnds = false;
  isFinished = false;
  #isClosed = false;
  /** The peer takes nothing any more. */
  #isDeaf = false;
  /** A write over TLS is under way; and what waits for it to be over. */
  #isEncrypting = false;
  readonly #queued = new QueuedWrites();
  #endsLater = false;

  constructor(
    native: TcpInternals,
    handle: StreamHandle,
    highWaterMark: number,
    carrier: SocketCarrier | null,
  ) {
    this.#native = native;
    this.#handle = handle;
    this.#highWaterMark = highWaterMark;
    this.#carrier = carrier;
  }

  /** What comes on the handle is for this socket from now on. */
  #own(handle: StreamHandle): this {
    const owned = handle as OwnedHandle;
    owned.owner = this;
    owned.onread = onread;
    handle.useUserBuffer(SHARED);
    this.#handle = handle;
    return this;
  }

  /** A connection that was accepted. */
  static accepted(native: TcpInternals, handle: TcpHandle, highWaterMark: number): NativeSocket {
    return new NativeSocket(native, handle, highWaterMark, null).#own(handle);
  }

  /** A connection whose handshake is done, within OpenSSL. */
  static secured(
    native: TcpInternals,
    handle: TlsHandle,
    carrier: SocketCarrier,
    highWaterMark: number,
  ): NativeSocket {
    const secured = new NativeSocket(native, handle, highWaterMark, carrier).#own(handle);
    Object.assign(handle, { onerror, onhandshakestart: onrenegotiation });
    handle.readStop();
    return secured;
  }

  /** Connects to an IP address; `user` hears of it. */
  static connect(
    native: TcpInternals,
    address: string,
    port: number,
    highWaterMark: number,
    user: SocketUser,
  ): NativeSocket {
    const handle = native.newHandle();
    const socket = new NativeSocket(native, handle, highWaterMark, null).#own(handle);
    socket.user = user;
    const request = native.newConnectRequest();
    request.oncomplete = (status) => socket.#connected(handle, status);
    const status = address.includes(':')
      ? handle.connect6(request, address, port)
      : handle.connect(request, address, port);
    if (status < 0) process.nextTick(() => socket.#fail(status));
    return socket;
  }

  /** Takes a connection over from Node, with what Node has read of it. Null when it is closed already. */
  static take(native: TcpInternals, carrier: PriorSocket, highWaterMark: number): NativeSocket | null {
    const handle = handleOf(carrier.socket);
    if (!handle || carrier.socket.destroyed) return null;
    const taken = new NativeSocket(native, handle, highWaterMark, carrier);
    taken.#takeOver(handle, carrier);
    taken.#closeWith(carrier);
    return taken;
  }

  /** The same for one that Node makes; `user` hears of it once it is made, and over TLS once its handshake is done. */
  static making(
    native: TcpInternals,
    carrier: PriorSocket,
    highWaterMark: number,
    user: SocketUser,
  ): NativeSocket | null {
    const { socket, isSecure } = carrier;
    const handle = handleOf(socket);
    if (!handle) return null;
    const made = new NativeSocket(native, handle, highWaterMark, carrier);
    made.user = user;
    made.#closeWith(carrier);
    // Or Node reads behind our back after 'connect'.
    socket.pause();
    socket.once(isSecure ? 'secureConnect' : 'connect', () => made.#made(carrier));
    return made;
  }

  #takeOver(handle: StreamHandle, { socket }: PriorSocket): void {
    const hasEnd = hasUnreadEnd(socket);
    this.#own(handle);
    for (let bytes = socket.read() as Buffer | null; bytes; bytes = socket.read() as Buffer | null)
      this.#keep(bytes);
    if (hasEnd) this.#keep(NOTHING);
    // Node reads as soon as it has a socket; from now on that is for `resume` to say.
    handle.readStop();
  }

  #closeWith({ socket }: PriorSocket): void {
    socket.on('error', (error) => this.#close(error));
    socket.on('close', () => this.#close(null));
  }

  get isSecure(): boolean {
    return this.#carrier?.isSecure ?? false;
  }

  get isWritable(): boolean {
    return !this.#isClosed && !this.#writeEnds;
  }

  get localAddress(): string {
    if (this.#carrier) return this.#carrier.localAddress;
    return this.#ownName().address ?? '';
  }

  get localPort(): number {
    if (this.#carrier) return this.#carrier.localPort;
    return this.#ownName().port ?? 0;
  }

  #ownName(): { readonly address?: string; readonly port?: number } {
    const name: { address?: string; port?: number } = {};
    (this.#handle as TcpHandle).getsockname(name);
    return name;
  }

  #connected(handle: TcpHandle, status: number): void {
    if (this.#isClosed) return;
    if (status < 0) return this.#fail(status);
    handle.setNoDelay(true);
    this.#tellConnected();
  }

  #made(carrier: PriorSocket): void {
    // Each address that Node tries has a handle of its own.
    const handle = handleOf(carrier.socket);
    if (!handle || this.#isClosed) return;
    this.#takeOver(handle, carrier);
    this.#tellConnected();
  }

  #tellConnected(): void {
    try {
      this.user.onConnect();
    } catch (fault) {
      this.user.onSocketFault(fault);
    }
  }

  // ── What is read ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Gives what is read into from now on, when that is another buffer. */
  read(): Buffer | undefined {
    const length = this.#native.bytesRead();
    if (length === 0 || this.#isClosed) return;
    const before = this.#lent;
    // TLS gives all that it has decrypted, whatever is said meanwhile.
    if ((this.isPaused || this.#unread) && (length > 0 || length === UV_EOF))
      return this.#keep(length > 0 ? Buffer.from((before?.bytes ?? SHARED).subarray(0, length)) : NOTHING);
    try {
      if (length < 0) this.#noMore(length);
      else this.user.onBytes(before ? before.bytes : SHARED, length);
    } catch (fault) {
      this.user.onSocketFault(fault);
    }
    if (length > 0) this.#chooseBuffer(length);
    // Also after the end: Node may still have something that was decrypted, and a write may hold what it would overwrite.
    if (this.#lent !== before) return this.#lent ? this.#lent.bytes : SHARED;
    return undefined;
  }

  /** A buffer that a write holds is not read into: those who stop until the write is done keep it, the others leave it. */
  #chooseBuffer(length: number): void {
    const lent = this.#lent;
    if (!lent) {
      if (length === SHARED.length && this.mayReadMuch && !this.#isClosed) this.#lent = LentBuffer.lend();
    } else if (length < LEAST_LENT || !this.mayReadMuch || (lent.isHeld && !this.isPaused)) {
      this.#leaveBuffer();
      // A user that stopped and went on within its call waits for a buffer that is left now.
      this.#readOn();
    }
  }

  #leaveBuffer(): void {
    this.#lent?.giveBack();
    this.#lent = null;
  }

  #noMore(status: number): void {
    if (status !== UV_EOF) return this.#fail(status);
    this.#ended();
  }

  #ended(): void {
    // TLS ends once with its own word for it, and once with the connection.
    if (this.#readEnded) return;
    if (this.isSecure) this.#noticeReset();
    this.#readEnded = true;
    this.#isReading = false;
    this.user.onSocketEnd();
    if (this.isFinished) this.#close(null);
  }

  /**
   * A write of TLS itself, such as a session ticket, may have met a reset: nobody is told, the read tells an end, and no write
   * ends any more. A connection that both sides have ended has no peer either.
   */
  #noticeReset(): void {
    const isOurEndOut = this.#writeEnds && !this.#endsLater;
    if (isOurEndOut || !this.#carrier?.isPeerGone) return;
    if (this.#isEncrypting) this.#writeFailed(UV_ECONNRESET);
    else this.#isDeaf = true;
  }

  pause(): void {
    this.isPaused = true;
    if (!this.#isReading) return;
    this.#isReading = false;
    this.#handle.readStop();
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    if (this.#unread) process.nextTick(this.#giveUnread);
    else this.#readOn();
  }

  readonly #readOn = (): void => {
    if (this.#isClosed || this.isPaused || this.#isReading || this.#readEnded) return;
    if (this.#lent?.isHeld) return this.#lent.whenFree(this.#readOn);
    this.#isReading = true;
    const status = this.#handle.readStart();
    if (status < 0) process.nextTick(() => this.#fail(status));
  };

  /** For later; empty bytes are the end. */
  #keep(bytes: Buffer): undefined {
    (this.#unread ??= []).push(bytes);
  }

  unshift(bytes: Buffer): void {
    (this.#unread ??= []).unshift(bytes);
  }

  readonly #giveUnread = (): void => {
    while (this.#unread && !this.isPaused && !this.#isClosed) {
      const bytes = this.#unread.shift();
      if (this.#unread.length === 0) this.#unread = null;
      try {
        if (bytes && bytes.length > 0) this.user.onBytes(bytes, bytes.length);
        else if (bytes) this.#ended();
      } catch (fault) {
        this.user.onSocketFault(fault);
      }
    }
    if (!this.#unread) this.#readOn();
  };

  // ── What is written ──────────────────────────────────────────────────────────────────────────────────────────

  write(bytes: Buffer, done: () => void): boolean {
    if (!this.#takes(bytes.length)) return true;
    if (this.isSecure) return this.#encrypt([bytes], bytes.length, done);
    const request = this.#newRequest();
    return this.#sent(request, this.#handle.writeBuffer(request, bytes), bytes, bytes.length, done);
  }

  writeAll(pieces: readonly Buffer[], done: () => void): boolean {
    let length = 0;
    for (const piece of pieces) length += piece.length;
    if (!this.#takes(length)) return true;
    if (this.isSecure) return this.#encrypt(pieces, length, done);
    const request = this.#newRequest();
    return this.#sent(request, this.#handle.writev(request, pieces, true), pieces, length, done);
  }

  /** Otherwise it is dropped. */
  #takes(length: number): boolean {
    return length > 0 && !this.#isDeaf && !this.#isClosed && !this.#writeEnds;
  }

  #newRequest(): WriteRequest {
    const spare = spareRequest;
    spareRequest = null;
    if (spare) return spare;
    const request = this.#native.newWriteRequest();
    request.oncomplete = onwrite;
    request.socket = null;
    request.bytes = null;
    request.done = null;
    return request;
  }

  #sent(
    request: WriteRequest,
    status: number,
    bytes: Buffer | readonly Buffer[],
    length: number,
    done: () => void,
  ): boolean {
    if (status < 0) {
      this.#writeFailed(status);
      return true;
    }
    if (!this.#native.isWriting()) {
      spareRequest = request;
      return true;
    }
    request.socket = this;
    request.length = length;
    request.bytes = bytes;
    request.done = done;
    this.#waits(length);
    return false;
  }

  /**
   * TLS takes one write at a time, and has what it takes in memory of its own. Such a write never ends well at once, but it
   * may fail before the call returns, and its request is told then.
   */
  #encrypt(pieces: readonly Buffer[], length: number, done: () => void): boolean {
    const queued = this.#queued;
    if (!this.#isEncrypting && queued.isEmpty) {
      if (length <= MOST_ENCRYPTED) {
        this.#encryptNow(pieces, length);
        return true;
      }
      queued.add(pieces, done);
      const first = queued.take();
      this.#waits(length - first.length);
      this.#encryptNow(first.pieces, first.length);
    } else {
      queued.add(pieces, done);
      this.#waits(length);
    }
    return false;
  }

  #encryptNow(pieces: readonly Buffer[], length: number): void {
    this.#isEncrypting = true;
    this.#waits(length);
    const request = this.#newRequest();
    request.socket = this;
    request.length = length;
    const [only] = pieces;
    // Node copies several pieces into one first.
    const status =
      only && pieces.length === 1
        ? this.#handle.writeBuffer(request, only)
        : this.#handle.writev(request, pieces, true);
    if (status < 0) this.wrote(request, status);
  }

  #waits(length: number): void {
    this.writableLength += length;
    if (this.writableLength >= this.#highWaterMark) this.needsDrain = true;
  }

  /** A write that was under way is over; also after the socket was closed. */
  wrote(request: WriteRequest, status: number): void {
    const { done } = request;
    this.writableLength -= request.length;
    request.socket = request.bytes = request.done = null;
    done?.();
    this.#isEncrypting = false;
    if (this.#isClosed) return;
    if (status < 0) this.#writeFailed(status);
    if (this.#isDeaf) this.#dropQueued();
    else if (status < 0) return;
    if (!this.#queued.isEmpty) this.#encryptQueued();
    if (this.#endsLater && !this.#isEncrypting) this.#shutdown();
    if (this.writableLength > 0 || !this.needsDrain) return;
    this.needsDrain = false;
    try {
      this.user.onSocketDrain();
    } catch (fault) {
      this.user.onSocketFault(fault);
    }
  }

  #encryptQueued(): void {
    const { pieces, length, done } = this.#queued.take();
    this.writableLength -= length;
    this.#encryptNow(pieces, length);
    for (const each of done) each();
  }

  #dropQueued(): void {
    this.writableLength -= this.#queued.drop();
  }

  #writeFailed(status: number): void {
    if (this.#isDeaf) return;
    const name = getSystemErrorName(status);
    if ((name === 'EPIPE' || name === 'ECONNRESET') && this.user.onWriteFailed()) {
      this.#isDeaf = true;
      return;
    }
    // Who writes is not told within its call.
    process.nextTick(() => this.#fail(status));
  }

  end(): void {
    if (this.#isClosed || this.#writeEnds) return;
    this.#writeEnds = true;
    if (this.#isEncrypting) this.#endsLater = true;
    else this.#shutdown();
  }

  #shutdown(): void {
    this.#endsLater = false;
    const request = this.#native.newShutdownRequest();
    request.oncomplete = () => this.#finished();
    // The peer may have gone: a read will tell of it.
    if (this.#handle.shutdown(request) < 0) process.nextTick(() => this.#finished());
  }

  #finished(): void {
    if (this.#isClosed) return;
    this.isFinished = true;
    this.user.onSocketFinish();
    if (this.#readEnded) this.#close(null);
  }

  // ── The end ──────────────────────────────────────────────────────────────────────────────────────────────────

  destroy(): void {
    if (this.#leave()) this.#closeHandle();
  }

  #closeHandle(): void {
    if (this.#carrier) this.#carrier.destroy();
    else this.#handle.close();
  }

  reset(): void {
    if (!this.#leave()) return;
    // libuv resets none whose end is on its way, and Node closes none that it failed to reset.
    if (this.#writeEnds) this.#closeHandle();
    else if (this.#carrier) this.#carrier.reset();
    else (this.#handle as TcpHandle).reset();
  }

  /** False when it is closed already. */
  #leave(): boolean {
    if (this.#isClosed) return false;
    this.#isClosed = true;
    this.#unread = null;
    this.#leaveBuffer();
    this.#dropQueued();
    return true;
  }

  #fail(status: number): void {
    const name = getSystemErrorName(status);
    const error: NodeJS.ErrnoException = new Error(name);
    error.code = name;
    error.errno = status;
    this.#close(error);
  }

  /** What came over TLS is no TLS, or asks for what is not allowed. */
  failed(error: NodeJS.ErrnoException | null): void {
    this.#close(error);
  }

  /** It closes by itself. */
  #close(error: NodeJS.ErrnoException | null): void {
    if (this.#isClosed) return;
    this.destroy();
    try {
      this.user.onSocketClose(error);
    } catch (fault) {
      this.user.onSocketFault(fault);
    }
  }
}

/** Whom a handle belongs to that is not one of TCP alone. */
export interface SocketCarrier {
  readonly isSecure: boolean;
  readonly localAddress: string;
  readonly localPort: number;
  /** The peer has reset the connection. */
  readonly isPeerGone: boolean;
  /** Closes it at once. */
  destroy(): void;
  /** Closes it with a RST. */
  reset(): void;
}

/** A socket of Node that was made before, for a handshake or a PROXY header. */
export interface PriorSocket extends SocketCarrier {
  readonly socket: Socket;
}

interface OwnedHandle extends StreamHandle {
  owner: NativeSocket;
}

/** Of the writes that end at once, as nearly all do. */
let spareRequest: WriteRequest | null = null;

function onread(this: StreamHandle): Buffer | undefined {
  return (this as OwnedHandle).owner.read();
}

function onerror(this: TlsHandle, error: NodeJS.ErrnoException): void {
  (this as TlsHandle & OwnedHandle).owner.failed(error);
}

/** It is a cheap way to make a server work (TLS 1.2; RFC 8446 has none). */
function onrenegotiation(this: TlsHandle): void {
  (this as TlsHandle & OwnedHandle).owner.failed(null);
}

function onwrite(this: WriteRequest, status: number): void {
  this.socket?.wrote(this, status);
}

const NOTHING = Buffer.alloc(0);
