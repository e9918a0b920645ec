import type { Exchange } from './exchange-record.ts';
import type { ConnectFailure } from './upstream/connect-failure.ts';

/** Upper bounds of the latency histogram's buckets, in seconds; the last bucket, without a bound, follows them. */
export const LATENCY_BOUNDS_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

/** The requests of one Ingress since the thread began; `ingress` is empty for those that no Ingress took. */
export interface IngressCounters {
  readonly ingress: string;
  /** By status class: 1xx at index 0 (a tunnel counts there) to 5xx at index 4. */
  readonly statusClasses: readonly number[];
  /** Requests per latency bucket, not cumulative; one more entry than there are bounds. */
  readonly latencyBuckets: readonly number[];
  readonly latencySumSeconds: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly retries: number;
  /** Attempts that had no connection; no entry for what never happened. */
  readonly connectFailures: Readonly<Partial<Record<ConnectFailure, number>>>;
  readonly droppedFields: number;
}

export interface Accounting {
  /** Counts one exchange. Never by path: a label per path would let clients fill the memory. */
  count(exchange: Exchange): void;
  counters(): IngressCounters[];
}

export function createAccounting(): Accounting {
  const byIngress = new Map<string, Writable<IngressCounters>>();
  return {
    count(exchange) {
      const ingress = exchange.route?.ingress ?? '';
      let counters = byIngress.get(ingress);
      if (!counters) byIngress.set(ingress, (counters = emptyCounters(ingress)));
      const statusClass = Math.min(Math.max(Math.trunc(exchange.status / 100), 1), 5) - 1;
      counters.statusClasses[statusClass]! += 1;
      const seconds = exchange.durationMs / 1000;
      counters.latencyBuckets[bucketOf(seconds)]! += 1;
      counters.latencySumSeconds += seconds;
      counters.requestBytes += exchange.requestBytes;
      counters.responseBytes += exchange.responseBytes;
      counters.droppedFields += exchange.droppedFields;
      if (exchange.attempts > 1) counters.retries += exchange.attempts - 1;
      for (const failure of exchange.connectFailures) add(counters, failure, 1);
    },
    counters: () => [...byIngress.values()],
  };
}

/** The counters of several threads as one. */
export function mergeCounters(reports: Iterable<readonly IngressCounters[]>): IngressCounters[] {
  const merged = new Map<string, Writable<IngressCounters>>();
  for (const report of reports) {
    for (const counters of report) {
      let sum = merged.get(counters.ingress);
      if (!sum) merged.set(counters.ingress, (sum = emptyCounters(counters.ingress)));
      counters.statusClasses.forEach((count, index) => (sum.statusClasses[index]! += count));
      counters.latencyBuckets.forEach((count, index) => (sum.latencyBuckets[index]! += count));
      sum.latencySumSeconds += counters.latencySumSeconds;
      sum.requestBytes += counters.requestBytes;
      sum.responseBytes += counters.responseBytes;
      sum.retries += counters.retries;
      for (const [failure, count] of Object.entries(counters.connectFailures)) {
        add(sum, failure as ConnectFailure, count);
      }
      sum.droppedFields += counters.droppedFields;
    }
  }
  return [...merged.values()];
}

type Writable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer Item)[] ? Item[] : T[K] };

function emptyCounters(ingress: string): Writable<IngressCounters> {
  return {
    ingress,
    statusClasses: [0, 0, 0, 0, 0],
    latencyBuckets: Array<number>(LATENCY_BOUNDS_SECONDS.length + 1).fill(0),
    latencySumSeconds: 0,
    requestBytes: 0,
    responseBytes: 0,
    retries: 0,
    droppedFields: 0,
    connectFailures: {},
  };
}

function add(counters: Writable<IngressCounters>, failure: ConnectFailure, count: number): void {
  counters.connectFailures = {
    ...counters.connectFailures,
    [failure]: (counters.connectFailures[failure] ?? 0) + count,
  };
}

function bucketOf(seconds: number): number {
  let bucket = 0;
  while (bucket < LATENCY_BOUNDS_SECONDS.length && seconds > LATENCY_BOUNDS_SECONDS[bucket]!) bucket++;
  return bucket;
}
