import type { Server, Socket } from 'node:net';
import { constants as system } from 'node:os';

/**
 * What `NativeSocket` uses of Node that Node does not document: its classes on libuv's TCP handle, and the state that they
 * share with JavaScript. Everything about them is in this file, and `test/proxy/sockets/internals.test.ts` fails when one of
 * them changes. See ADR 23 for what to do with a new version of Node.
 */

/** Versions of Node that the whole test suite has passed with on these sockets. */
export const TESTED_NODE_VERSIONS: readonly string[] = ['24.21.0'];

/** A handle of libuv: of a TCP connection, or of TLS over one. A negative result is an error. */
export interface StreamHandle {
  /** Called with this handle as `this`; what it returns is read into from then on. */
  onread: (this: StreamHandle) => Buffer | undefined;
  readStart(): number;
  readStop(): number;
  useUserBuffer(buffer: Buffer): void;
  writeBuffer(request: WriteRequest, bytes: Buffer): number;
  writev(request: WriteRequest, pieces: readonly Buffer[], allBuffers: true): number;
  shutdown(request: ShutdownRequest): number;
  close(closed?: () => void): void;
}

export interface TcpHandle extends StreamHandle {
  connect(request: ConnectRequest, address: string, port: number): number;
  connect6(request: ConnectRequest, address: string, port: number): number;
  setNoDelay(on: boolean): number;
  getpeername(into: SocketName): number;
  getsockname(into: SocketName): number;
  /** Closes it with a RST. */
  reset(closed?: () => void): number;
}

interface SocketName {
  address?: string;
  port?: number;
}

/** Kept by Node while it is under way. */
interface Request {
  oncomplete: (this: this, status: number) => void;
}
export interface WriteRequest extends Request {
  /** What libuv still reads from. */
  bytes: Buffer | readonly Buffer[] | null;
  length: number;
  done: (() => void) | null;
  socket: { wrote(request: WriteRequest, status: number): void } | null;
}
export type ShutdownRequest = Request;
export type ConnectRequest = Request;

export interface TcpInternals {
  /** A handle for a connection of ours. */
  newHandle(): TcpHandle;
  newConnectRequest(): ConnectRequest;
  newWriteRequest(): WriteRequest;
  newShutdownRequest(): ShutdownRequest;
  /** The bytes of the read that `onread` is called for, or its error. */
  bytesRead(): number;
  /** Whether the write that was asked for last is still under way. */
  isWriting(): boolean;
}

/**
 * Of one write over TLS. Node keeps the memory that it encrypts into for as long as the connection lives, and makes it in steps of
 * 16 KiB, of which this takes four: a connection that has sent much keeps 67 KiB.
 */
export const MOST_ENCRYPTED = 64 * 1024 - 1;

/** The end of what the peer sends, as an error of a read. */
export const UV_EOF = -4095;
export const UV_ECONNRESET = -system.errno.ECONNRESET;

interface Bindings {
  binding(name: 'tcp_wrap'): {
    TCP: new (kind: number) => TcpHandle;
    TCPConnectWrap: new () => ConnectRequest;
    constants: { SOCKET: number };
  };
  binding(name: 'stream_wrap'): {
    WriteWrap: new () => WriteRequest;
    ShutdownWrap: new () => ShutdownRequest;
    kReadBytesOrError: number;
    kLastWriteWasAsync: number;
    streamBaseState: Int32Array;
  };
}

/** Throws what is missing in this Node. */
export function tcpInternals(): TcpInternals {
  const bindings = process as unknown as Bindings;
  const { TCP, TCPConnectWrap, constants } = bindings.binding('tcp_wrap');
  const stream = bindings.binding('stream_wrap');
  const { WriteWrap, ShutdownWrap, kReadBytesOrError, kLastWriteWasAsync, streamBaseState } = stream;
  const classes = [TCP, TCPConnectWrap, WriteWrap, ShutdownWrap];
  const places = [constants?.SOCKET, kReadBytesOrError, kLastWriteWasAsync];
  if (!classes.every((each) => typeof each === 'function')) throw new TypeError('a class is missing');
  if (!places.every(Number.isInteger) || streamBaseState?.length === undefined)
    throw new TypeError('the state of streams is missing');
  const methods = [
    'readStart',
    'readStop',
    'useUserBuffer',
    'writeBuffer',
    'writev',
    'shutdown',
    'close',
  ].concat(['connect', 'connect6', 'setNoDelay', 'getpeername', 'getsockname', 'reset']);
  const missing = methods.find((name) => typeof TCP.prototype[name as keyof TcpHandle] !== 'function');
  if (missing !== undefined) throw new TypeError(`a handle has no ${missing}`);
  return {
    newHandle: () => new TCP(constants.SOCKET),
    newConnectRequest: () => new TCPConnectWrap(),
    newWriteRequest: () => new WriteWrap(),
    newShutdownRequest: () => new ShutdownWrap(),
    bytesRead: () => streamBaseState[kReadBytesOrError] ?? 0,
    isWriting: () => streamBaseState[kLastWriteWasAsync] !== 0,
  };
}

/** Gives what a server that listens accepts from now on to `accept`, in place of its listeners. */
export function acceptHandles(server: Server, accept: (handle: TcpHandle) => void): void {
  const listening = handleOf(server) as unknown as TcpHandle & {
    onconnection: (status: number, handle?: TcpHandle) => void;
  };
  // What Linux accepts inherits it, so that no connection has to be told.
  listening.setNoDelay(true);
  // A failing accept (no file descriptors left) must not end the thread; the listener goes on.
  listening.onconnection = (status, handle) => void (status === 0 && handle && accept(handle));
}

/** The handle below a socket or a server of Node; null when it is closed. */
export function handleOf(owner: Socket | Server): StreamHandle | null {
  return (owner as unknown as { readonly _handle: StreamHandle | null })._handle;
}

/** Whether Node has seen the end of what the peer sends, and not told yet. */
export function hasUnreadEnd(socket: Socket): boolean {
  return (socket as unknown as { readonly _readableState: { ended: boolean } })._readableState.ended;
}
