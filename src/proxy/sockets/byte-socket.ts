/** Who is told what happens on a socket. What one of these throws goes to `onSocketFault`. */
export interface SocketUser {
  /** The connection that was asked for is made. */
  onConnect(): void;
  /** The first `length` of these bytes came. They are gone when the call returns. */
  onBytes(bytes: Buffer, length: number): void;
  /** The peer sends no more. */
  onSocketEnd(): void;
  /** `needsDrain` was true, and all that was written has left. */
  onSocketDrain(): void;
  /** The system has our last byte, and our end behind it. */
  onSocketFinish(): void;
  /** It is closed, with an error or after both sides have ended; called once, and never after `destroy` or `reset`. */
  onSocketClose(error: NodeJS.ErrnoException | null): void;
  /**
   * A write failed because the peer has closed or reset the connection. True reads on, and drops all that is written:
   * what the peer sent before may still be in our kernel. False closes the socket with the error.
   */
  onWriteFailed(): boolean;
  onSocketFault(fault: unknown): void;
}

/**
 * A connection as a stream of bytes, over TCP or TLS. There are two: `NativeSocket` on a handle of libuv, and
 * `NodeSocket` on a socket of Node. It reads nothing before the first `resume`.
 */
export interface ByteSocket {
  user: SocketUser;
  /** A read may bring much at once; false keeps it to 64 KiB, for those who count what they pass on. */
  mayReadMuch: boolean;
  /** Over TLS. */
  readonly isSecure: boolean;
  /** Bytes that were written and have not left. */
  readonly writableLength: number;
  /** So many that the writer should wait for `onSocketDrain`. */
  readonly needsDrain: boolean;
  /** Not ended by us, nor closed. */
  readonly isWritable: boolean;
  readonly isFinished: boolean;
  readonly isPaused: boolean;
  /** Our address; empty when it is not known any more. */
  readonly localAddress: string;
  /** Our port; 0 when it is not known any more. */
  readonly localPort: number;
  /** True when the bytes are the system's already; otherwise `done` is called once they are, or never will be. */
  write(bytes: Buffer, done: () => void): boolean;
  /** The same for several pieces of memory, in one system call where that can be. */
  writeAll(pieces: readonly Buffer[], done: () => void): boolean;
  /** Ends our side, after all that was written. */
  end(): void;
  pause(): void;
  resume(): void;
  /** Gives these bytes to the user before all others, after the next `resume`. They must not be used otherwise. */
  unshift(bytes: Buffer): void;
  /** Closes it at once. */
  destroy(): void;
  /** The same, so that the peer cannot take what it got for all there is. */
  reset(): void;
}

/** Until a socket has a user: nothing can happen on it. */
export const NOBODY: SocketUser = {
  onConnect() {},
  onBytes() {},
  onSocketEnd() {},
  onSocketDrain() {},
  onSocketFinish() {},
  onSocketClose() {},
  onWriteFailed: () => false,
  onSocketFault() {},
};
