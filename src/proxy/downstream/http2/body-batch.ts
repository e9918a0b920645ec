import { LentBuffer } from '../../sockets/lent-buffer.ts';

/** Smaller pieces begin no batch: they are messages that nobody wants to wait for. */
const LEAST_BYTES = 4 * 1024;
/** Larger ones are worth a write of their own. */
const LARGE_BYTES = 64 * 1024;

/** Batches that are open on one connection, which is not to use up what a thread lends. */
export interface OpenBatches {
  count: number;
}
const MOST_OPEN = 8;

/**
 * What comes of the body of one request within a turn of the event loop: DATA frames of 16 KiB, of several streams by turns,
 * would otherwise be a write each. Never more than one buffer; what is passed on may be written from there.
 */
export class BodyBatch {
  readonly #pass: (bytes: Buffer, length: number) => void;
  readonly #open: OpenBatches;
  #lent: LentBuffer | null = null;
  #length = 0;
  #turn: NodeJS.Immediate | null = null;

  /** `pass` is given what came, at the end of the turn or when the buffer is full. */
  constructor(open: OpenBatches, pass: (bytes: Buffer, length: number) => void) {
    this.#open = open;
    this.#pass = pass;
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /** False when the caller is to pass the bytes on itself. */
  add(bytes: Buffer, from: number, to: number): boolean {
    const length = to - from;
    if (this.isEmpty && (length < LEAST_BYTES || length >= LARGE_BYTES)) return false;
    if (this.#lent && this.#length + length > this.#lent.bytes.length) this.flush();
    if (!this.#lent && !this.#begin()) return false;
    const lent = this.#lent;
    if (!lent || length > lent.bytes.length) return false;
    bytes.copy(lent.bytes, this.#length, from, to);
    this.#length += length;
    this.#turn ??= setImmediate(() => {
      this.#turn = null;
      this.flush();
      this.close();
    });
    return true;
  }

  #begin(): boolean {
    if (this.#open.count >= MOST_OPEN) return false;
    this.#lent = LentBuffer.lend();
    if (this.#lent) this.#open.count++;
    return this.#lent !== null;
  }

  /** Passes on what there is. */
  flush(): void {
    const lent = this.#lent;
    const length = this.#length;
    if (!lent || length === 0) return;
    this.#length = 0;
    this.#pass(lent.bytes, length);
    // A write that is not done keeps it.
    if (this.#lent === lent && lent.isHeld) this.close();
  }

  /** Drops what was not passed on. */
  close(): void {
    if (this.#turn) clearImmediate(this.#turn);
    this.#turn = null;
    this.#length = 0;
    const lent = this.#lent;
    if (!lent) return;
    this.#lent = null;
    this.#open.count--;
    lent.giveBack();
  }
}
