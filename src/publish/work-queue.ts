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

/** Keys whose objects wait for work; one write at a time, no faster than the bucket allows. */
export interface WorkQueue {
  add(key: string): void;
}

const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 300_000;
/** Conflicts and short failures are not logged. */
const LOG_AFTER_FAILURES = 3;
const FORBIDDEN_RETRY_MS = 300_000;

export function startWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { clock, random, bucket, signal, logOnce, topic, right, work, namespaceOf } = options;
  const ready = new FairQueue();
  const failures = new Map<string, number>();
  /** Keys that wait for their next try: a change of the object does not shorten its back-off. */
  const waiting = new Set<string>();
  /** The key whose failure is logged: one line is enough, even when ten thousand keys fail. */
  let failingKey: string | null = null;
  let wake: () => void = () => {};

  const add = (key: string): void => {
    if (waiting.has(key)) return;
    ready.add(namespaceOf(key), key);
    wake();
  };
  const later = (key: string, retryAfterMs: number): void => {
    const count = (failures.get(key) ?? 0) + 1;
    failures.set(key, count);
    const doubled = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(count - 1, 20));
    waiting.add(key);
    clock.setTimeout(
      () => {
        waiting.delete(key);
        if (!signal.aborted) add(key);
      },
      Math.max(doubled * (0.5 + random() / 2), Math.min(retryAfterMs, MAX_DELAY_MS)),
    );
  };

  const pause = (namespace: string): void => {
    ready.pause(namespace);
    clock.setTimeout(() => {
      ready.resume(namespace);
      wake();
    }, FORBIDDEN_RETRY_MS);
  };

  const attempt = async (namespace: string, key: string, write: () => Promise<Outcome>): Promise<void> => {
    const outcome = await write().catch((error: unknown): Outcome => {
      const why = error instanceof Error ? error.message : String(error);
      return { kind: 'failed', why, retryAfterMs: 0 };
    });
    if (signal.aborted) return;
    switch (outcome.kind) {
      case 'done':
        failures.delete(key);
        if (!ready.isPaused) logOnce.resolve(topic);
        if (failingKey === key) {
          failingKey = null;
          logOnce.resolve(`${topic} of ${key}`);
        }
        return;
      case 'failed':
        later(key, outcome.retryAfterMs);
        if ((failures.get(key) ?? 0) < LOG_AFTER_FAILURES) return;
        failingKey ??= key;
        if (failingKey === key) logOnce.warnOnce(`${topic} of ${key}`, `${topic} of ${key}: ${outcome.why}`);
        return;
      case 'forbidden':
        logOnce.warnOnce(
          topic,
          `${topic}: ${right} (see deploy/rbac.yaml); serving continues. (${outcome.why})`,
        );
        add(key);
        pause(namespace);
        return;
    }
  };

  const loop = async (): Promise<void> => {
    while (!signal.aborted) {
      const delayMs = ready.isReady ? bucket.waitMs() : 0;
      if (delayMs > 0) {
        await sleep(clock, delayMs, signal);
        continue;
      }
      const next = ready.take();
      if (next === null) {
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (signal.aborted) resolve();
        });
        continue;
      }
      const { group, key } = next;
      const write = work(key);
      if (write === null) {
        failures.delete(key);
        if (failingKey === key) failingKey = null;
      } else {
        bucket.take();
        await attempt(group, key, write);
      }
    }
  };
  signal.addEventListener('abort', () => wake(), { once: true });
  void loop();
  return { add };
}

/** How the work ended, by the response of the API server. */
export function outcomeOf(response: ApiResponse): Outcome {
  if (response.status >= 200 && response.status < 300) return { kind: 'done' };
  if (response.status === 403) return { kind: 'forbidden', why: responseText(response) };
  return { kind: 'failed', why: responseText(response), retryAfterMs: response.retryAfterMs };
}
