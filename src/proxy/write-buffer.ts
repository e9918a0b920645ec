import type { ByteSocket } from './sockets/byte-socket.ts';
import { LentBuffer } from './sockets/lent-buffer.ts';

const PIECE_BYTES = 128 * 1024;
/** Pieces kept for later; more are left to the garbage collector. */
const MOST_SPARE = 16;
/** Smaller pieces of a lent buffer are copied: that costs less than one more piece of memory in a write. */
const LEAST_DIRECT = 16 * 1024;

interface Piece {
  readonly bytes: Buffer;
  /** Writes out of it that a socket has not finished. */
  unfinished: number;
  readonly finished: () => void;
}

/**
 * Where what goes out is put together, so that a head and the first piece of its body leave in one write, from
 * memory that is used over and over: the kernel nearly always takes all of it during the write. Bytes that it did
 * not take stay where they are until it does, and the next ones go behind them, or into another piece of memory.
 *
 * One per thread. What is put together is sent before anything else is begun.
 */
export class WriteBuffer {
  #piece = this.#newPiece(PIECE_BYTES);
  #start = 0;
  #end = 0;
  readonly #spare: Piece[] = [];
  /** What goes out before what `#start` begins, where not all of it is copied; and whose memory it is. */
  #pieces: Buffer[] = [];
  #lent: LentBuffer[] = [];

  /** Latin-1: what was read as such goes out as the same bytes. */
  text(text: string): void {
    this.#reserve(text.length);
    this.#end += this.#piece.bytes.write(text, this.#end, 'latin1');
  }

  /** Bytes of a lent buffer may stay where they are: then the write holds it until it is done. */
  copy(bytes: Buffer, from: number, to: number): void {
    const lent = to - from < LEAST_DIRECT ? undefined : LentBuffer.of(bytes);
    if (lent) return this.#addLent(lent, bytes.subarray(from, to));
    this.#reserve(to - from);
    this.#end += bytes.copy(this.#piece.bytes, this.#end, from, to);
  }

  /** The size line of a chunk (RFC 9112 7.1); its content and a CRLF follow. */
  chunk(bytes: Buffer, from: number, to: number): void {
    this.text(`${(to - from).toString(16)}\r\n`);
    this.copy(bytes, from, to);
    this.text('\r\n');
  }

  /** Writes what was put together, as one piece. False when the socket holds so much that more must wait. */
  send(socket: ByteSocket): boolean {
    if (this.#pieces.length > 0) return this.#sendPieces(socket);
    if (this.#end === this.#start) return true;
    const piece = this.#piece;
    this.#wrote(socket.write(piece.bytes.subarray(this.#start, this.#end), piece.finished));
    return !socket.needsDrain;
  }

  #sendPieces(socket: ByteSocket): boolean {
    this.#cut();
    const pieces = this.#pieces;
    const lent = this.#lent;
    const { finished } = this.#piece;
    this.#pieces = [];
    this.#lent = [];
    // Before the write: whatever becomes of it, its memory is not used otherwise until it is done.
    for (const each of lent) each.hold();
    const release = (): void => {
      for (const each of lent) each.release();
    };
    const isTaken = socket.writeAll(pieces, () => {
      release();
      finished();
    });
    if (isTaken) release();
    this.#wrote(isTaken);
    return !socket.needsDrain;
  }

  /** The memory up to `#end` is free again, or when the write is finished. */
  #wrote(isTaken: boolean): void {
    const piece = this.#piece;
    if (!isTaken) {
      this.#start = this.#end;
      piece.unfinished++;
    } else {
      if (piece.unfinished === 0) this.#start = 0;
      this.#end = this.#start;
    }
  }

  #addLent(lent: LentBuffer, bytes: Buffer): void {
    this.#cut();
    this.#pieces.push(bytes);
    this.#lent.push(lent);
  }

  /** What is copied next goes out behind the pieces there are. */
  #cut(): void {
    if (this.#end === this.#start) return;
    this.#pieces.push(this.#piece.bytes.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }

  /** Takes back what was put together and not sent. */
  discard(): void {
    this.#pieces = [];
    this.#lent = [];
    this.#end = this.#start;
  }

  #reserve(bytes: number): void {
    const full = this.#piece;
    if (this.#end + bytes <= full.bytes.length) return;
    const begun = full.bytes.subarray(this.#start, this.#end);
    const needed = begun.length + bytes;
    this.#piece =
      needed > PIECE_BYTES ? this.#newPiece(2 * needed) : (this.#spare.pop() ?? this.#newPiece(PIECE_BYTES));
    begun.copy(this.#piece.bytes);
    this.#start = 0;
    this.#end = begun.length;
    // What was cut out of it goes out with the next write, which counts for the new piece: this one is not used again.
    if (this.#pieces.length > 0) full.unfinished++;
    else if (full.unfinished === 0) this.#keep(full);
  }

  #newPiece(size: number): Piece {
    const piece: Piece = {
      bytes: Buffer.allocUnsafeSlow(size),
      unfinished: 0,
      finished: () => {
        if (--piece.unfinished > 0) return;
        if (piece !== this.#piece) this.#keep(piece);
        else if (this.#start === this.#end) this.#start = this.#end = 0;
      },
    };
    return piece;
  }

  #keep(piece: Piece): void {
    if (piece.bytes.length === PIECE_BYTES && this.#spare.length < MOST_SPARE) this.#spare.push(piece);
  }
}
