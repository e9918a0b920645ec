import { type ResponseRateConfig, waitMs } from '../policies/response-rate.ts';

/** Keeps one response from going ahead of the rate of its route. */
export class ResponsePace {
  readonly #rate: ResponseRateConfig;
  readonly #onOver: () => void;
  readonly #startedAt = performance.now();
  #timer: NodeJS.Timeout | null = null;

  /** The response begins now; `onOver` is called when more of one that was ahead may be sent. */
  constructor(rate: ResponseRateConfig, onOver: () => void) {
    this.#rate = rate;
    this.#onOver = onOver;
  }

  /** Whether so many bytes are more than it may have sent by now; then `onOver` follows. */
  isAhead(bytes: number): boolean {
    if (this.#timer !== null) return true;
    const ms = waitMs(this.#rate, bytes, performance.now() - this.#startedAt);
    if (ms < 1) return false;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#onOver();
    }, ms);
    return true;
  }

  /** `onOver` is still to come. */
  get isWaiting(): boolean {
    return this.#timer !== null;
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
