import type { Clock } from '../../src/kubernetes/clock.ts';

/** Timers that set one another without a delay would hang a test for ever. */
const MAX_CALLS = 100_000;

/** Time that passes only when a test says so. */
export class FakeClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  #timers = new Set<{ readonly at: number; readonly callback: () => void }>();

  /** Far from the wall clock, so that a test notices when one is taken for the other. */
  monotonicMs(): number {
    return this.#now - Date.UTC(2025, 0, 1);
  }

  wallMs(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, delayMs: number): () => void {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** The delays still to run, shortest first. */
  pending(): number[] {
    return [...this.#timers].map(({ at }) => at - this.#now).sort((a, b) => a - b);
  }

  /** Lets time pass and calls what became due, in order; fails when that never ends. */
  advance(byMs: number): void {
    const until = this.#now + byMs;
    for (let calls = 0; ; calls++) {
      if (calls > MAX_CALLS) throw new Error(`more than ${MAX_CALLS} timers were due within ${byMs} ms`);
      const [next] = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.#timers.delete(next);
      this.#now = next.at;
      next.callback();
    }
    this.#now = until;
  }
}
