import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

const PIECE_BYTES = 128 * 1024;
/** Pieces kept for later; more are left to the garbage collector. */
const MOST_SPARE = 16;
const NOTHING = Buffer.alloc(0);

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

  /** Latin-1: what was read as such goes out as the same bytes. */
  text(text: string): void {
    this.#reserve(text.length);
    this.#end += this.#piece.bytes.write(text, this.#end, 'latin1');
  }

  copy(bytes: Buffer, from: number, to: number): void {
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
  send(socket: Socket): boolean {
    if (this.#end === this.#start) return true;
    const piece = this.#piece;
    const bytes = piece.bytes.subarray(this.#start, this.#end);
    // The write of a secure socket never ends at once, and one behind another does not either.
    if ((socket as TLSSocket).encrypted || socket.writableLength > 0) {
      this.#start = this.#end;
      piece.unfinished++;
      return socket.write(bytes, piece.finished);
    }
    const isWritable = socket.write(bytes);
    if (socket.writableLength === 0) {
      if (piece.unfinished === 0) this.#start = 0;
      this.#end = this.#start;
    } else {
      this.#start = this.#end;
      piece.unfinished++;
      // A callback of the write itself would cost each of those that end at once a turn of Node's queue.
      socket.write(NOTHING, piece.finished);
    }
    return isWritable;
  }

  /** Takes back what was put together and not sent. */
  discard(): void {
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
    if (full.unfinished === 0) this.#keep(full);
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
