import type { Rates } from '../admin/api/answers.ts';
import type { FigureList } from '../admin/api/api.ts';
import { TRAFFIC, TRAFFIC_COLUMNS, type TrafficRows } from '../proxy/live-traffic.ts';
import { LATENCY_BOUNDS_SECONDS } from '../proxy/latency-bounds.ts';

/**
 * What several times of several threads counted, together. A time is added when it is over and taken away when it is too
 * old, so that the cost follows what happened in it; rates are worked out for those that are asked for.
 */
export class TrafficSum implements FigureList {
  readonly #rows = new Map<string, { readonly at: number; readonly path: string }>();
  /** Rows that are free again. */
  readonly #free: number[] = [];
  readonly #total = new Float64Array(TRAFFIC_COLUMNS);
  #values = new Float64Array(64 * TRAFFIC_COLUMNS);
  #size = 0;
  #seconds = 1;

  /** Adds, or with -1 takes away, what was counted. May be interrupted after each row. */
  *change({ names, paths, values }: TrafficRows, sign: 1 | -1): Generator<void> {
    for (const [index, name] of names.entries()) {
      const { at } = this.#rows.get(name) ?? this.#addRow(name, paths[index] ?? '');
      for (let column = 0; column < TRAFFIC_COLUMNS; column++) {
        const change = sign * values[index * TRAFFIC_COLUMNS + column]!;
        this.#values[at + column]! += change;
        this.#total[column]! += change;
      }
      if (this.#values[at + TRAFFIC.requests] === 0) this.#removeRow(name, at);
      yield;
    }
  }

  /** How many seconds it is of, for rates. */
  lasted(seconds: number): void {
    this.#seconds = seconds;
  }

  total(): Rates {
    return ratesOf(this.#total, 0, this.#seconds);
  }

  get(name: string): (Rates & { readonly path: string }) | undefined {
    const row = this.#rows.get(name);
    return row && { path: row.path, ...ratesOf(this.#values, row.at, this.#seconds) };
  }

  busiest(limit: number): readonly (readonly [string, Rates & { readonly path: string }])[] {
    const requests = (at: number): number => this.#values[at + TRAFFIC.requests]!;
    return [...this.#rows]
      .sort(([, a], [, b]) => requests(b.at) - requests(a.at))
      .slice(0, limit)
      .map(([name, { at, path }]) => [name, { path, ...ratesOf(this.#values, at, this.#seconds) }] as const);
  }

  #addRow(name: string, path: string): { readonly at: number; readonly path: string } {
    const at = this.#free.pop() ?? this.#size++ * TRAFFIC_COLUMNS;
    if (at >= this.#values.length) {
      const larger = new Float64Array(this.#values.length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    const row = { at, path };
    this.#rows.set(name, row);
    return row;
  }

  #removeRow(name: string, at: number): void {
    this.#rows.delete(name);
    // Sums of fractions leave a little behind.
    this.#values.fill(0, at, at + TRAFFIC_COLUMNS);
    this.#free.push(at);
  }
}

function ratesOf(values: Float64Array, at: number, seconds: number): Rates {
  const perSecond = (column: number): number => rounded(values[at + column]! / seconds);
  const requests = values[at + TRAFFIC.requests]!;
  const quantile = (part: number): number | null =>
    requests === 0 ? null : rounded(quantileSeconds(values, at, part) * 1000);
  return {
    requestsPerSecond: perSecond(TRAFFIC.requests),
    serverErrorsPerSecond: perSecond(TRAFFIC.statusClasses + 4),
    clientErrorsPerSecond: perSecond(TRAFFIC.statusClasses + 3),
    bytesPerSecond: perSecond(TRAFFIC.responseBytes),
    meanMs: requests === 0 ? null : rounded((values[at + TRAFFIC.seconds]! / requests) * 1000),
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
  };
}

/** Within its bucket as if the requests were spread evenly; the last bucket counts as its lower bound. */
function quantileSeconds(values: Float64Array, at: number, part: number): number {
  let left = values[at + TRAFFIC.requests]! * part;
  let lower = 0;
  for (const [index, upper] of LATENCY_BOUNDS_SECONDS.entries()) {
    const count = values[at + TRAFFIC.latencyBuckets + index]!;
    if (count > 0 && left <= count) return lower + (upper - lower) * (left / count);
    left -= count;
    lower = upper;
  }
  return lower;
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
