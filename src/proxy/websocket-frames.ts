/**
 * Where the frames of one direction of a WebSocket begin and end (RFC 6455 5.2). Looks at the headers of the frames
 * only, and keeps nothing of what is in them.
 */
export class WebSocketFrames {
  /** Bytes of a header that were read; 0 between headers. */
  #headerRead = 0;
  #headerLength = SHORTEST_HEADER;
  #extendedLength = 0;
  /** Of the header that is read; then what is still to come of its payload. */
  #payload = 0;
  #hasClose = false;

  /** A Close frame may go behind what was read: no frame is half over, and none came that was a Close itself. */
  get mayClose(): boolean {
    return this.#headerRead === 0 && this.#payload === 0 && !this.#hasClose;
  }

  read(bytes: Buffer, from: number, to: number): void {
    let at = from;
    while (at < to) {
      if (this.#headerRead === 0 && this.#payload > 0) {
        const here = Math.min(this.#payload, to - at);
        this.#payload -= here;
        at += here;
      } else this.#readHeader(bytes[at++] ?? 0);
    }
  }

  #readHeader(byte: number): void {
    const place = this.#headerRead++;
    if (place === 0) {
      if ((byte & OPCODE) === CLOSE) this.#hasClose = true;
    } else if (place === 1) {
      const length = byte & LENGTH;
      this.#extendedLength = length === LENGTH_IN_2_BYTES ? 2 : length === LENGTH_IN_8_BYTES ? 8 : 0;
      this.#payload = this.#extendedLength === 0 ? length : 0;
      this.#headerLength = SHORTEST_HEADER + this.#extendedLength + (byte & MASKED ? MASK_BYTES : 0);
    } else if (place < SHORTEST_HEADER + this.#extendedLength) this.#payload = this.#payload * 256 + byte;
    if (this.#headerRead === this.#headerLength) {
      this.#headerRead = 0;
      this.#headerLength = SHORTEST_HEADER;
    }
  }
}

/** The Close frame of a server that goes away (RFC 6455 7.4.1). */
export const GOING_AWAY = Buffer.from([0x88, 0x02, 0x03, 0xe9]);

/** The same as a client has to say it: under a mask of four bytes that nobody can guess (RFC 6455 5.3). */
export function maskedGoingAway(mask: Buffer): Buffer {
  const [header = 0, length = 0, ...code] = GOING_AWAY;
  return Buffer.from([header, length | MASKED, ...mask, ...code.map((byte, i) => byte ^ (mask[i] ?? 0))]);
}

const SHORTEST_HEADER = 2;
const MASK_BYTES = 4;
const OPCODE = 0x0f;
const CLOSE = 0x8;
const MASKED = 0x80;
const LENGTH = 0x7f;
const LENGTH_IN_2_BYTES = 126;
const LENGTH_IN_8_BYTES = 127;
