import { MOST_ENCRYPTED } from './tcp-internals.ts';

/** What a connection of which a read fills the shared buffer reads into from then on: 512 KiB, in whole writes over TLS. */
const BYTES = 8 * MOST_ENCRYPTED;
/** Of a thread, in use at one time: 16 MiB. Connections beyond it read into the shared buffer. */
const MOST = 32;
/** Kept for later; more are left to the garbage collector. */
const MOST_SPARE = 8;

const spare: LentBuffer[] = [];
const byBytes = new Map<Buffer, LentBuffer>();

/**
 * A large buffer that one socket reads into, and that is written from where it was read: while writes hold it, nothing is
 * read into it. It is free for others when neither is the case any more.
 */
export class LentBuffer {
  readonly bytes = Buffer.allocUnsafeSlow(BYTES);
  #writes = 0;
  #isLent = true;
  #onFree: (() => void) | null = null;

  /** Null when all are in use. */
  static lend(): LentBuffer | null {
    const lent = spare.pop();
    if (lent) {
      lent.#isLent = true;
      byBytes.set(lent.bytes, lent);
      return lent;
    }
    if (byBytes.size >= MOST) return null;
    const made = new LentBuffer();
    byBytes.set(made.bytes, made);
    return made;
  }

  /** The one whose memory this is. */
  static of(bytes: Buffer): LentBuffer | undefined {
    return byBytes.get(bytes);
  }

  /** Of the thread, in use. */
  static get inUse(): number {
    return byBytes.size;
  }

  /** A write has not finished with it. */
  get isHeld(): boolean {
    return this.#writes > 0;
  }

  hold(): void {
    this.#writes++;
  }

  release(): void {
    if (--this.#writes > 0) return;
    const onFree = this.#onFree;
    this.#onFree = null;
    if (!this.#isLent) this.#keep();
    else onFree?.();
  }

  /** Calls `onFree` once no write holds it, unless it was given back before. */
  whenFree(onFree: () => void): void {
    this.#onFree = onFree;
  }

  /** Its socket reads into it no more. */
  giveBack(): void {
    this.#isLent = false;
    if (this.#writes === 0) this.#keep();
  }

  #keep(): void {
    byBytes.delete(this.bytes);
    if (spare.length < MOST_SPARE) spare.push(this);
  }
}
