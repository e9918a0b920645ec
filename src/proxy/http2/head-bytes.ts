import { writeLatin1 } from '../../http/latin1.ts';

/** More is left to the garbage collector once it was used. */
const KEPT_BYTES = 16 * 1024;

/** A head or trailer section in Latin-1, in memory that is used again for the next one: copy it to keep it. */
export class HeadBytes {
  bytes = Buffer.allocUnsafeSlow(KEPT_BYTES);
  length = 0;

  /** Begins the next one. */
  clear(): void {
    if (this.bytes.length > KEPT_BYTES) this.bytes = Buffer.allocUnsafeSlow(KEPT_BYTES);
    this.length = 0;
  }

  add(text: string): void {
    this.#reserve(text.length);
    this.length = writeLatin1(this.bytes, this.length, text);
  }

  /** `name: value` and CRLF. */
  line(name: string, value: string): void {
    this.#reserve(name.length + value.length + 4);
    const { bytes } = this;
    let at = writeLatin1(bytes, this.length, name);
    bytes[at++] = COLON;
    bytes[at++] = SP;
    at = writeLatin1(bytes, at, value);
    bytes[at++] = CR;
    bytes[at++] = LF;
    this.length = at;
  }

  #reserve(length: number): void {
    const needed = this.length + length;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.bytes.length));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}

const COLON = 0x3a;
const SP = 0x20;
const CR = 0x0d;
const LF = 0x0a;
