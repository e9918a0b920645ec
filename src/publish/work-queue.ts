import { type ApiResponse, responseText } from '../kubernetes/api-request.ts';
import { type Clock, sleep } from '../kubernetes/clock.ts';
import type { LogOnce } from './log-once.ts';
import { FairQueue } from './fair-queue.ts';
import type { TokenBucket } from './token-bucket.ts';

/** How one piece of work ended. */
export type Outcome =
  | { readonly kind: 'done' }
  /** Another try may succeed. */
  | { readonly kind: 'failed'; readonly why: string; readonly retryAfterMs: number }
  /** No try can succeed until somebody grants a right. */
  | { readonly kind: 'forbidden'; readonly why: string };

export interface WorkQueueOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly bucket: TokenBucket;
  /** Ends the queue. */
  readonly signal: AbortSignal;
  readonly logOnce: LogOnce;
  /** What is written here, for messages: `Ingress status`. */
  readonly topic: string;
  /** What to grant, where. */
  readonly right: string;
  /** The work for this key as things are now; null when there is none. Takes a token only when there is work. */
  readonly work: (key: string) => (() => Promise<Outcome>) | null;
  /** The namespace of a key: namespaces take turns, and a right that is missing in one stops that one only. */
  readonly namespaceOf: (key: string) => string;
}

const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 300_000;
/** Conflicts and short failures are not logged. */
const LOG_AFTER_FAILURES = 3;
const FORBIDDEN_RETRY_MS = 300_000;

/** Keys whose objects wait for work; one write at a time, no faster than the bucket allows. */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #ready = new FairQueue();
  readonly #failures = new Map<string, number>();
  /** Keys that wait for their next try: a change of the object does not shorten its back-off. */
  readonly #waiting = new Set<string>();
  /** The key whose failure is logged: one line is enough, even when ten thousand keys fail. */
  #failingKey: string | null = null;
  #wake: () => void = () => {};

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => this.#wake(), { once: true });
    void this.#run();
  }

  add(key: string): void {
    if (this.#waiting.has(key)) return;
    this.#ready.add(this.#options.namespaceOf(key), key);
    this.#wake();
  }

  async #run(): Promise<void> {
    const { clock, bucket, signal, work } = this.#options;
    while (!signal.aborted) {
      const delayMs = this.#ready.isReady ? bucket.waitMs() : 0;
      if (delayMs > 0) {
        await sleep(clock, delayMs, signal);
        continue;
      }
      const next = this.#ready.take();
      if (next === null) {
        await this.#filled();
        continue;
      }
      const { group, key } = next;
      const write = work(key);
      if (write === null) {
        this.#failures.delete(key);
        if (this.#failingKey === key) this.#failingKey = null;
      } else {
        bucket.take();
        await this.#attempt(group, key, write);
      }
    }
  }

  /** Resolves when there may be another key, or the queue ends. */
  #filled(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#options.signal.aborted) resolve();
    });
  }

  async #attempt(namespace: string, key: string, write: () => Promise<Outcome>): Promise<void> {
    const { signal, logOnce, topic, right } = this.#options;
    const outcome = await write().catch((error: unknown): Outcome => {
      const why = error instanceof Error ? error.message : String(error);
      return { kind: 'failed', why, retryAfterMs: 0 };
    });
    if (signal.aborted) return;
    switch (outcome.kind) {
      case 'done':
        return this.#onDone(key);
      case 'failed':
        return this.#onFailed(key, outcome.why, outcome.retryAfterMs);
      case 'forbidden':
        logOnce.warnOnce(
          topic,
          `${topic}: ${right} (see deploy/rbac.yaml); serving continues. (${outcome.why})`,
        );
        this.add(key);
        return this.#pause(namespace);
    }
  }

  #onDone(key: string): void {
    const { logOnce, topic } = this.#options;
    this.#failures.delete(key);
    if (!this.#ready.isPaused) logOnce.resolve(topic);
    if (this.#failingKey !== key) return;
    this.#failingKey = null;
    logOnce.resolve(`${topic} of ${key}`);
  }

  #onFailed(key: string, why: string, retryAfterMs: number): void {
    const { logOnce, topic } = this.#options;
    const count = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, count);
    this.#retryLater(key, count, retryAfterMs);
    if (count < LOG_AFTER_FAILURES) return;
    this.#failingKey ??= key;
    if (this.#failingKey === key) logOnce.warnOnce(`${topic} of ${key}`, `${topic} of ${key}: ${why}`);
  }

  #retryLater(key: string, count: number, retryAfterMs: number): void {
    const { clock, random, signal } = this.#options;
    const doubled = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(count - 1, 20));
    this.#waiting.add(key);
    clock.setTimeout(
      () => {
        this.#waiting.delete(key);
        if (!signal.aborted) this.add(key);
      },
      Math.max(doubled * (0.5 + random() / 2), Math.min(retryAfterMs, MAX_DELAY_MS)),
    );
  }

  #pause(namespace: string): void {
    this.#ready.pause(namespace);
    this.#options.clock.setTimeout(() => {
      this.#ready.resume(namespace);
      this.#wake();
    }, FORBIDDEN_RETRY_MS);
  }
}

/** How the work ended, by the response of the API server. */
export function outcomeOf(response: ApiResponse): Outcome {
  if (response.status >= 200 && response.status < 300) return { kind: 'done' };
  if (response.status === 403) return { kind: 'forbidden', why: responseText(response) };
  return { kind: 'failed', why: responseText(response), retryAfterMs: response.retryAfterMs };
}
