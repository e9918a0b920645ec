/** Bytes kept for later, since those of a read are gone when it returns. */
export class HeldBytes {
  #bytes: Buffer | null = null;
  length = 0;

  get bytes(): Buffer {
    return this.#bytes ?? NOTHING;
  }

  /** `expected`: how many there will be in all, when that is known, so that room is made once. */
  add(bytes: Buffer, from: number, to: number, expected = 0): void {
    const length = this.length + to - from;
    if (!this.#bytes || this.#bytes.length < length) {
      const room = Math.max(length, expected);
      const grown = Buffer.allocUnsafe(this.#bytes ? Math.max(2 * this.#bytes.length, room) : room);
      this.#bytes?.copy(grown, 0, 0, this.length);
      this.#bytes = grown;
    }
    bytes.copy(this.#bytes, this.length, from, to);
    this.length = length;
  }

  clear(): void {
    this.#bytes = null;
    this.length = 0;
  }
}

const NOTHING = Buffer.alloc(0);
