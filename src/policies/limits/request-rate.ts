import { type Place, type SharedSlots, VALUES } from './shared-slots.ts';

/** So many requests in so much time; `burst` more may come at once. */
export interface Rate {
  readonly amount: number;
  readonly perMs: number;
  readonly burst: number;
}

/** Times are kept in units of 4 µs, modulo 2^42 of them: some 200 days. */
const TICKS_PER_MS = 250;
/** No debit reaches further; a time beyond it is one of long ago. */
const HORIZON = 48 * 3_600_000 * TICKS_PER_MS;

/**
 * GCRA (the leaky bucket of nginx's `limit_req` with `nodelay`): a client has a time until which what it asked for is paid,
 * each request moves it on by the interval of the rate, and it may be ahead of now by the burst. So no more than
 * `burst + 1` requests and those of the time since then ever pass, on however many threads they come.
 */
export class RequestRate {
  readonly #slots: SharedSlots;
  readonly #interval: number;
  readonly #tolerance: number;
  /** Of the call that is under way. */
  #now = 0;
  #ahead = 0;

  constructor(slots: SharedSlots, { amount, perMs, burst }: Rate) {
    this.#slots = slots;
    // Rounded up: rather a little slower than faster.
    this.#interval = Math.ceil((perMs * TICKS_PER_MS) / amount);
    this.#tolerance = this.#interval * burst;
  }

  /** Lets a request pass, or gives the milliseconds until one may; 0 when it passes. `nowMs` is that of every thread. */
  take(place: Place, nowMs: number): number {
    this.#now = Math.floor(nowMs * TICKS_PER_MS) % VALUES;
    if (this.#slots.update(place, this.#debit, this.#charge)) return 0;
    return (this.#ahead - this.#tolerance) / TICKS_PER_MS;
  }

  /** Takes the last request back: another limit refused it. */
  giveBack(place: Place, nowMs: number): void {
    this.#now = Math.floor(nowMs * TICKS_PER_MS) % VALUES;
    this.#slots.update(place, this.#debit, (value) =>
      this.#debit(value) === 0 ? null : (value + VALUES - this.#interval) % VALUES,
    );
  }

  /** How far a time is ahead of now; 0 is none. */
  readonly #debit = (value: number): number => {
    if (value === 0) return 0;
    const ahead = (value + VALUES - this.#now) % VALUES;
    return ahead > HORIZON ? 0 : ahead;
  };

  readonly #charge = (value: number): number | null => {
    this.#ahead = this.#debit(value);
    return this.#ahead > this.#tolerance ? null : (this.#now + this.#ahead + this.#interval) % VALUES || 1;
  };
}
