/**
 * Whether the body of a request comes fast enough: a byte a minute would keep its connections for ever. The average is
 * taken over windows of one length; time in which nobody reads the body, since a Pod does not take it, is left out.
 */
export class BodyRate {
  readonly #leastBytes: number;
  readonly #windowMs: number;
  /** When the window began; it begins with the first bytes. */
  #since: number | null = null;
  #bytes = 0;

  /** In bytes per second; 0 lets every body pass. */
  constructor(least: number, windowMs: number) {
    this.#leastBytes = (least * windowMs) / 1_000;
    this.#windowMs = windowMs;
  }

  /** So many bytes have come; false when those of a window were too few. `now` on the monotonic clock. */
  came(bytes: number, now: number): boolean {
    if (this.#since === null) {
      this.#since = now;
      this.#bytes = 0;
    }
    this.#bytes += bytes;
    const elapsed = now - this.#since;
    if (elapsed < this.#windowMs) return true;
    const isEnough = this.#bytes >= (this.#leastBytes * elapsed) / this.#windowMs;
    this.#since = now;
    this.#bytes = 0;
    return isEnough;
  }

  /** Nobody reads on for now, or another body begins. */
  pause(): void {
    this.#since = null;
  }
}
