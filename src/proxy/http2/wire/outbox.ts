import type { ByteSocket } from '../../sockets/byte-socket.ts';
import { MOST_ENCRYPTED } from '../../sockets/tcp-internals.ts';
import { HEADER_BYTES, writeHeader, writeUint32 } from './frame.ts';

/** A write over TLS; three full frames of DATA fit in. */
const PIECE_BYTES = MOST_ENCRYPTED;
/** Pieces kept for later; more are left to the garbage collector. */
const MOST_SPARE = 32;

/** The memory that outboxes of a thread take turns in. */
const spare: Buffer[] = [];

function give(piece: Buffer): void {
  if (piece.length === PIECE_BYTES && spare.length < MOST_SPARE) spare.push(piece);
}

/**
 * The frames of one connection that go out next, in their order. What all its streams have to say within a turn of
 * the event loop leaves in one write, which over TLS is one record too.
 */
export class Outbox {
  readonly #socket: ByteSocket;
  readonly #wrote: () => void;
  #piece: Buffer | null = null;
  #end = 0;
  /** Full pieces before `#piece`. */
  #full: Buffer[] = [];
  #fullBytes = 0;
  #scheduled = false;

  /** `wrote` after each write, once in a turn, when there may be room again. */
  constructor(socket: ByteSocket, wrote: () => void) {
    this.#socket = socket;
    this.#wrote = wrote;
  }

  /** Bytes that have not left yet, here and in the socket. */
  get length(): number {
    return this.#fullBytes + this.#end + this.#socket.writableLength;
  }

  /** Where in the memory that `reserve` gives the next byte goes. */
  get at(): number {
    return this.#end;
  }

  /** Memory for `bytes` in one piece: write from `at` on, then `commit` what was written. */
  reserve(bytes: number): Buffer {
    if (this.#piece && this.#end + bytes > this.#piece.length) {
      this.#full.push(this.#piece.subarray(0, this.#end));
      this.#fullBytes += this.#end;
      this.#piece = null;
      this.#end = 0;
    }
    this.#piece ??= (bytes <= PIECE_BYTES ? spare.pop() : null) ?? newPiece(bytes);
    this.schedule();
    return this.#piece;
  }

  /** At the end of this turn what there is leaves, and `wrote` is called. */
  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flushNow);
  }

  commit(bytes: number): void {
    this.#end += bytes;
  }

  /** A frame with a payload of 32-bit numbers. */
  numbers(type: number, stream: number, first: number, second = -1): void {
    const length = second < 0 ? 4 : 8;
    const bytes = this.reserve(HEADER_BYTES + length);
    const at = this.#end;
    writeHeader(bytes, at, length, type, 0, stream);
    writeUint32(bytes, at + HEADER_BYTES, first);
    if (second >= 0) writeUint32(bytes, at + HEADER_BYTES + 4, second);
    this.#end = at + HEADER_BYTES + length;
  }

  frame(type: number, flags: number, stream: number, payload: Buffer, from: number, to: number): void {
    const length = to - from;
    const bytes = this.reserve(HEADER_BYTES + length);
    const at = this.#end;
    writeHeader(bytes, at, length, type, flags, stream);
    payload.copy(bytes, at + HEADER_BYTES, from, to);
    this.#end = at + HEADER_BYTES + length;
  }

  readonly #flushNow = (): void => {
    this.#scheduled = false;
    this.flush();
    this.#wrote();
  };

  flush(): void {
    const piece = this.#piece;
    const full = this.#full;
    const bytes = piece && this.#end > 0 ? piece.subarray(0, this.#end) : null;
    if (bytes) {
      this.#piece = null;
      this.#end = 0;
    }
    if (full.length === 0) {
      if (piece && bytes && this.#socket.write(bytes, () => give(piece))) give(piece);
      return;
    }
    this.#full = [];
    this.#fullBytes = 0;
    if (bytes) full.push(bytes);
    // So long as they are not the system's, the memory is theirs.
    const done = (): void => full.forEach((each) => give(whole(each)));
    if (this.#socket.writeAll(full, done)) done();
  }
}

function newPiece(bytes: number): Buffer {
  return Buffer.allocUnsafeSlow(Math.max(bytes, PIECE_BYTES));
}

function whole(bytes: Buffer): Buffer {
  return Buffer.from(bytes.buffer, 0, bytes.buffer.byteLength);
}
