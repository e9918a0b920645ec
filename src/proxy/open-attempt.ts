import type { AttemptOutcome } from './attempt.ts';
import type { UpstreamAttempt } from './exchange-record.ts';

/** One try at one endpoint while it goes on. `now` is in milliseconds on a clock that only goes forward. */
export class OpenAttempt implements UpstreamAttempt {
  readonly endpoint: string;
  readonly startMs: number;
  readonly #startedAt: number;
  connectMs: number | null = null;
  headMs: number | null = null;
  durationMs = 0;
  status = 0;
  failure: AttemptOutcome['kind'] | '' = '';

  /** `exchangeStartedAt` is on the same clock. */
  constructor(endpoint: string, exchangeStartedAt: number, now: number) {
    this.endpoint = endpoint;
    this.startMs = now - exchangeStartedAt;
    this.#startedAt = now;
  }

  /** On a connection that was there. */
  reuses(): void {
    this.connectMs = 0;
  }

  /** There is a connection; the first call counts. */
  connected(now: number): void {
    this.connectMs ??= now - this.#startedAt;
  }

  responded(status: number, now: number): void {
    this.status = status;
    this.headMs = now - this.#startedAt;
  }

  ended(now: number): void {
    this.durationMs = now - this.#startedAt;
  }
}

/** Of an exchange that no endpoint was tried for. */
export const NO_ATTEMPTS: readonly OpenAttempt[] = [];
