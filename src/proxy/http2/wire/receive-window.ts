import { FIRST_WINDOW } from './frame.ts';

/** Of a client's stream, at first. */
export const CLIENT_STREAM_WINDOW = 2 * (FIRST_WINDOW + 1) - 1;
/** In the payload of a PING that measures; the others of ours have 0 there. */
export const PROBE = 1;
/** After a round trip that brought less than the window lets through, nothing is measured for so long. */
const REST_MS = 500;

/**
 * How much each stream of a connection may send before it is taken. It is right when it is what comes in a round trip
 * (bandwidth × delay): a smaller one makes the peer wait, a larger one only holds more. The round trip is that of a PING,
 * sent while content comes; when what came meanwhile is about what was let through, the window was too small, and is doubled
 * within its bound.
 */
export class ReceiveWindow {
  size: number;
  /** What our settings gave: a new stream begins with it, and grows with the first credit. */
  readonly first: number;
  readonly #most: number;
  #isProbing = false;
  #came = 0;
  #restsUntil = 0;

  /** It stays as it is unless `most` is larger. */
  constructor(size: number, most: number) {
    this.size = this.first = size;
    this.#most = most;
  }

  /** So much content came, of any stream. */
  came(bytes: number): void {
    this.#came += bytes;
  }

  /** Whether a PING is to be sent; `now` on the monotonic clock. Asked when a stream is given new room. */
  begins(now: number): boolean {
    if (this.#isProbing || this.size >= this.#most || now < this.#restsUntil) return false;
    this.#isProbing = true;
    this.#came = 0;
    return true;
  }

  /** A PING is answered; false when it is none that measures. */
  answered(payload: number, now: number): boolean {
    if (!this.#isProbing || payload !== PROBE) return false;
    this.#isProbing = false;
    // What was granted last is used a round trip later: half of the window is all that can have come.
    if (this.#came >= this.size / 3) this.size = Math.min(2 * this.size, this.#most);
    else this.#restsUntil = now + REST_MS;
    return true;
  }
}
