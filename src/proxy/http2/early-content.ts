/** What one read of a Pod brings at most behind a head that goes to a stream. */
const BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

/** Of the thread. Heads are sent at the end of the read they came with, so that nearly always one stream at a time needs it. */
let spare: Buffer | null = Buffer.allocUnsafeSlow(BYTES);

/** Content behind a head that is not sent yet, since the bytes of a read are gone when it returns. */
export class EarlyContent {
  bytes: Buffer;
  length = 0;

  constructor() {
    this.bytes = spare ?? NOTHING;
    spare = null;
  }

  add(bytes: Buffer, from: number, to: number): void {
    const length = this.length + to - from;
    if (length > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.length));
      this.bytes.copy(grown, 0, 0, this.length);
      this.giveBack();
      this.bytes = grown;
    }
    bytes.copy(this.bytes, this.length, from, to);
    this.length = length;
  }

  /** It was sent, or is not wanted. */
  giveBack(): void {
    if (this.bytes.length === BYTES) spare = this.bytes;
    this.bytes = NOTHING;
  }
}
