import type { ApiConnection } from '../kubernetes/api-connection.ts';
import { backoffMs } from '../kubernetes/backoff.ts';
import { type Clock, sleep } from '../kubernetes/clock.ts';
import { type ServedResources, discover } from '../kubernetes/discovery.ts';
import type { Log } from '../kubernetes/log.ts';

export interface DiscoveryPollOptions {
  readonly api: ApiConnection;
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly log: Log;
  readonly group: string;
  /** What is served of the group: called with the first answer, and then whenever it may be another. */
  readonly onServed: (resources: ServedResources) => void;
}

/** Between two questions: what is installed is found within two seconds on average. The spread keeps nodes apart. */
const MIN_INTERVAL_MS = 2_000;
const MAX_INTERVAL_MS = 4_000;
const FORBIDDEN_RETRY_MS = 30_000;
const NOTHING_SERVED: ServedResources = new Map();

/**
 * Asks an API server again and again what it serves of a group. Almost all answers are 304 without a body. A server
 * that does not answer changes nothing; one that forbids the question serves nothing.
 */
export class DiscoveryPoll {
  readonly #options: DiscoveryPollOptions;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  /** The API server's words while it forbids the question. */
  forbidden: string | null = null;
  #etag: string | undefined = undefined;
  #failures = 0;
  #lastError: string | null = null;
  /** Ends the wait for the next question. */
  #pause = new AbortController();

  constructor(options: DiscoveryPollOptions) {
    this.#options = options;
    this.#ended = this.#run();
  }

  /** Asks now: the server answers again, or a kind seems to be gone. */
  wake(): void {
    this.#pause.abort();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#pause.abort();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#pause = new AbortController();
      const delayMs = await this.#ask().catch((error: unknown) => {
        // A bug of ours must not end this either.
        this.#options.log('error', 'discovery failed; asking again', { err: error });
        this.#etag = undefined;
        return backoffMs(++this.#failures, this.#options.random);
      });
      if (!signal.aborted) await sleep(this.#options.clock, delayMs, this.#pause.signal);
    }
  }

  /** Answers how long to wait before asking again. */
  async #ask(): Promise<number> {
    const { random, log, onServed } = this.#options;
    const found = await discover({ ...this.#options, etag: this.#etag, signal: this.#stop.signal });
    if (this.#stop.signal.aborted) return 0;
    switch (found.kind) {
      case 'served':
        this.#recover();
        this.#etag = found.etag;
        onServed(found.resources);
        return MIN_INTERVAL_MS + (MAX_INTERVAL_MS - MIN_INTERVAL_MS) * random();
      case 'unchanged':
        this.#recover();
        return MIN_INTERVAL_MS + (MAX_INTERVAL_MS - MIN_INTERVAL_MS) * random();
      default: {
        const message = `what the API server serves is not known: ${found.message}`;
        log(message === this.#lastError ? 'debug' : 'warn', message);
        this.#lastError = message;
        this.#etag = undefined;
        this.#failures++;
        if (found.kind !== 'forbidden') return backoffMs(this.#failures, random);
        this.forbidden = found.message;
        onServed(NOTHING_SERVED);
        return backoffMs(this.#failures, random, FORBIDDEN_RETRY_MS);
      }
    }
  }

  #recover(): void {
    this.#failures = 0;
    this.#lastError = null;
    this.forbidden = null;
  }
}
