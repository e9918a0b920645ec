type Limit = 'whole' | 'attempt' | 'backoff';

/** The timers of one exchange: for all of it, for one attempt, and until the next one. */
export class ExchangeTimers {
  readonly #timers = new Map<Limit, NodeJS.Timeout>();

  /** Calls `expire` after this time, unless there is no limit (null). */
  start(limit: Limit, ms: number | null, expire: () => void): void {
    this.clear(limit);
    if (ms !== null) this.#timers.set(limit, setTimeout(expire, ms));
  }

  clear(...limits: readonly Limit[]): void {
    for (const limit of limits) clearTimeout(this.#timers.get(limit));
  }
}
