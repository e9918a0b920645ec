import type { ByteCount } from './connection-memory.ts';

/** Bytes kept for later, since those of a read are gone when it returns. */
export class PendingBytes {
  #bytes: Buffer | null = null;
  length = 0;
  /** Told of the memory that is taken; nobody when null. Changed only while nothing is held. */
  count: ByteCount | null;

  constructor(count: ByteCount | null = null) {
    this.count = count;
  }

  get bytes(): Buffer {
    return this.#bytes ?? NOTHING;
  }

  /** `expected`: how many there will be in all, when that is known, so that room is made once. */
  add(bytes: Buffer, from: number, to: number, expected = 0): void {
    const length = this.length + to - from;
    if (!this.#bytes || this.#bytes.length < length) {
      const before = this.#bytes?.length ?? 0;
      const room = Math.max(length, expected);
      const grown = Buffer.allocUnsafe(Math.max(2 * before, room));
      this.#bytes?.copy(grown, 0, 0, this.length);
      this.#bytes = grown;
      this.count?.add(grown.length - before);
    }
    bytes.copy(this.#bytes, this.length, from, to);
    this.length = length;
  }

  clear(): void {
    if (!this.#bytes) return;
    const { length } = this.#bytes;
    this.#bytes = null;
    this.length = 0;
    this.count?.add(-length);
  }
}

const NOTHING = Buffer.alloc(0);
