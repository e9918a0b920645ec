import type { ExchangeRecord } from './exchange-record.ts';
import { bucketOf, LATENCY_BOUNDS_SECONDS } from './latency-bounds.ts';
import { routeId } from '../routing/route-source.ts';
import type { Route } from '../routing/table.ts';

/** What one row of figures holds, in this order. */
export const TRAFFIC = {
  requests: 0,
  /** Five: 1xx (a tunnel counts there) to 5xx. */
  statusClasses: 1,
  seconds: 6,
  responseBytes: 7,
  /** Requests per bucket of `LATENCY_BOUNDS_SECONDS`, and one more for those beyond. */
  latencyBuckets: 8,
} as const;
export const TRAFFIC_COLUMNS = TRAFFIC.latencyBuckets + LATENCY_BOUNDS_SECONDS.length + 1;

/** Figures of many routes or backends as plain data that is cheap to copy to another thread. */
export interface TrafficRows {
  readonly names: readonly string[];
  /** Of each, the path of a route; empty for what has none. */
  readonly paths: readonly string[];
  /** One row for each, one after the other. */
  readonly values: Float64Array;
}

/** What was counted since the last time, or since counting began. */
export interface TrafficTable {
  /** By `routeId`; empty for requests that no route took. */
  readonly routes: TrafficRows;
  /** By `BackendKey`. */
  readonly backends: TrafficRows;
}

/** Routes, and backends, with a row of their own between two times; the others share one with this name. */
const MAX_ROWS = 10_000;
export const OTHER_TRAFFIC = '_other';
/** Nobody watches any more when nothing was taken for so long. */
const WATCHED_MS = 15_000;

/**
 * Counts requests by route and backend while somebody watches, and costs one comparison while nobody does. It keeps what
 * had requests since it was last asked, and nothing else.
 */
export class LiveTraffic {
  readonly #now: () => number;
  #routes: Rows<Route | null> | null = null;
  #backends: Rows<string> | null = null;
  #watchedUntil = 0;

  /** `now` is in milliseconds, on any clock that goes forward. */
  constructor(now: () => number) {
    this.#now = now;
  }

  count(exchange: ExchangeRecord): void {
    if (this.#routes === null || this.#backends === null) return;
    if (this.#now() > this.#watchedUntil) {
      this.#routes = this.#backends = null;
      return;
    }
    this.#routes.count(exchange.route, exchange);
    if (exchange.backend !== '') this.#backends.count(exchange.backend, exchange);
  }

  /** What was counted since the last call; it goes on counting for a while. */
  take(): TrafficTable {
    const isWatched = this.#now() <= this.#watchedUntil;
    const routes = (isWatched && this.#routes) || new Rows<Route | null>();
    const backends = (isWatched && this.#backends) || new Rows<string>();
    this.#watchedUntil = this.#now() + WATCHED_MS;
    this.#routes = new Rows();
    this.#backends = new Rows();
    return {
      routes: routes.table((route) =>
        route === null ? { name: '', path: '' } : { name: routeId(route), path: route.path },
      ),
      backends: backends.table((name) => ({ name, path: '' })),
    };
  }
}

class Rows<K> {
  readonly #rows = new Map<K, number>();
  #other: number | null = null;
  #size = 0;
  #values = new Float64Array(16 * TRAFFIC_COLUMNS);

  count(key: K, { status, durationMs, responseBytes }: ExchangeRecord): void {
    const row = this.#rows.get(key) ?? this.#rowFor(key);
    const values = this.#values;
    const statusClass = Math.min(Math.max(Math.trunc(status / 100), 1), 5) - 1;
    values[row + TRAFFIC.requests]! += 1;
    values[row + TRAFFIC.statusClasses + statusClass]! += 1;
    values[row + TRAFFIC.seconds]! += durationMs / 1000;
    values[row + TRAFFIC.responseBytes]! += responseBytes;
    values[row + TRAFFIC.latencyBuckets + bucketOf(durationMs / 1000)]! += 1;
  }

  table(labelOf: (key: K) => { readonly name: string; readonly path: string }): TrafficRows {
    const labels = [...this.#rows.keys()].map(labelOf);
    if (this.#other !== null) labels.push({ name: OTHER_TRAFFIC, path: '' });
    const [names, paths] = [labels.map(({ name }) => name), labels.map(({ path }) => path)];
    return { names, paths, values: this.#values.slice(0, this.#size * TRAFFIC_COLUMNS) };
  }

  #rowFor(key: K): number {
    if (this.#rows.size >= MAX_ROWS) return (this.#other ??= this.#addRow());
    const row = this.#addRow();
    this.#rows.set(key, row);
    return row;
  }

  #addRow(): number {
    const row = this.#size++ * TRAFFIC_COLUMNS;
    if (row === this.#values.length) {
      const larger = new Float64Array(this.#values.length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    return row;
  }
}
