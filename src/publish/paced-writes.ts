import type { Clock } from '../kubernetes/clock.ts';
import { type StatusContention, trackStatusContention } from './status-contention.ts';

/**
 * What was written to which version of an object. The same is not written again before the watch shows another version, and
 * less and less often where somebody else keeps replacing it.
 */
export class PacedWrites {
  readonly #clock: Clock;
  readonly #contention: StatusContention = trackStatusContention();
  readonly #written = new Map<string, { readonly version: string; readonly text: string }>();
  /** What waits, and how to stop that. */
  readonly #waiting = new Map<string, () => void>();

  /** Nothing waits any longer once `signal` is aborted. */
  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    const stop = (): void => {
      for (const cancel of this.#waiting.values()) cancel();
    };
    signal.addEventListener('abort', stop, { once: true });
  }

  /** Whether to write this to an object now. Where that must wait, `retry` is called when the time has come. */
  mayWrite(id: string, version: string, text: string, retry: () => void): boolean {
    const last = this.#written.get(id);
    if (last?.version === version && last.text === text) return false;
    const restMs = this.#contention.restMs(id, text, this.#clock.monotonicMs());
    if (restMs > 0) this.later(id, restMs, retry);
    return restMs === 0;
  }

  wrote(id: string, version: string, text: string): void {
    this.#contention.wrote(id, text, this.#clock.monotonicMs());
    this.#written.set(id, { version, text });
  }

  /** Whether somebody else replaces this again and again. */
  isContested(id: string, text: string): boolean {
    return this.#contention.contested(id, text);
  }

  /** Calls `retry` after this time: for each object once, however often it is asked for meanwhile. */
  later(id: string, forMs: number, retry: () => void): void {
    if (this.#waiting.has(id)) return;
    const wake = (): void => {
      this.#waiting.delete(id);
      retry();
    };
    this.#waiting.set(id, this.#clock.setTimeout(wake, forMs));
  }

  /** An object needs no write: the next one that it does need is made, whatever the last one was. */
  settled(id: string): void {
    this.#written.delete(id);
  }

  /** An object is gone. */
  forget(id: string): void {
    this.settled(id);
    this.#contention.forget(id);
  }
}
