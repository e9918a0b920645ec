import type { LiveFigures } from '../admin/api/api.ts';
import type { Rates } from '../admin/api/answers.ts';
import { runInSlices } from '../admin/slices.ts';
import { TRAFFIC, TRAFFIC_COLUMNS, type TrafficRows, type TrafficTable } from '../proxy/live-traffic.ts';
import { LATENCY_BOUNDS_SECONDS } from '../proxy/request-metrics.ts';

/** How often threads are asked, and how many of these times the figures are of. */
const TICK_MS = 2_000;
const TICKS = 5;
/** How long it goes on without anybody who asks. */
const WATCHED_MS = 10_000;

/** What all threads counted between two times. */
interface Tick {
  readonly seconds: number;
  readonly tables: readonly TrafficTable[];
}

/**
 * The rates and latencies of the last ten seconds, gathered from the threads every two seconds while somebody asks for
 * them, and not at all otherwise.
 */
export class TrafficWatch {
  readonly #take: () => Promise<readonly TrafficTable[]>;
  #ticks: Tick[] = [];
  #figures: LiveFigures | null = null;
  #timer: NodeJS.Timeout | null = null;
  #takenAt: number | null = null;
  #wantedAt = 0;

  /** `take` asks all threads for what they counted since the last time. */
  constructor(take: () => Promise<readonly TrafficTable[]>) {
    this.#take = take;
  }

  /** The newest figures, and null while the first ones are gathered. */
  figures(): LiveFigures | null {
    this.#wantedAt = performance.now();
    if (this.#timer === null) this.#schedule(0);
    return this.#figures;
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => void this.#tick().catch(() => this.stop()), delayMs).unref();
  }

  async #tick(): Promise<void> {
    if (performance.now() - this.#wantedAt > WATCHED_MS) {
      this.stop();
      [this.#ticks, this.#figures, this.#takenAt] = [[], null, null];
      return;
    }
    const at = performance.now();
    const tables = await this.#take();
    // The first time only begins the counting.
    if (this.#takenAt !== null) {
      const seconds = (at - this.#takenAt) / 1000;
      this.#ticks = [...this.#ticks, { seconds, tables }].slice(-TICKS);
      this.#figures = await runInSlices(sum(this.#ticks));
    }
    const isFirst = this.#takenAt === null;
    this.#takenAt = at;
    if (this.#timer) this.#schedule(isFirst ? TICK_MS / 4 : TICK_MS);
  }
}

/** All ticks of all threads together. May be interrupted after each row. */
function* sum(ticks: readonly Tick[]): Generator<void, LiveFigures> {
  const seconds = ticks.reduce((sum, tick) => sum + tick.seconds, 0);
  const tables = ticks.flatMap(({ tables }) => tables);
  const routes = yield* addUp(tables.map((table) => table.routes));
  const backends = yield* addUp(tables.map((table) => table.backends));
  const total = new Float64Array(TRAFFIC_COLUMNS);
  for (const { row } of routes.values()) {
    add(total, row, 0);
    yield;
  }
  return {
    seconds,
    total: ratesOf(total, seconds),
    routes: yield* ratesByName(routes, seconds),
    backends: yield* ratesByName(backends, seconds),
  };
}

interface Sum {
  readonly path: string;
  readonly row: Float64Array;
}

function* addUp(all: readonly TrafficRows[]): Generator<void, Map<string, Sum>> {
  const sums = new Map<string, Sum>();
  for (const { names, paths, values } of all) {
    for (const [index, name] of names.entries()) {
      let sum = sums.get(name);
      if (!sum) sums.set(name, (sum = { path: paths[index] ?? '', row: new Float64Array(TRAFFIC_COLUMNS) }));
      add(sum.row, values, index * TRAFFIC_COLUMNS);
      yield;
    }
  }
  return sums;
}

function add(row: Float64Array, values: Float64Array, start: number): void {
  for (let column = 0; column < TRAFFIC_COLUMNS; column++) row[column]! += values[start + column]!;
}

function* ratesByName(
  rows: ReadonlyMap<string, Sum>,
  seconds: number,
): Generator<void, ReadonlyMap<string, Rates & { readonly path: string }>> {
  const sorted = [...rows].sort(([, a], [, b]) => b.row[TRAFFIC.requests]! - a.row[TRAFFIC.requests]!);
  const rates = new Map<string, Rates & { readonly path: string }>();
  for (const [name, { path, row }] of sorted) {
    rates.set(name, { path, ...ratesOf(row, seconds) });
    yield;
  }
  return rates;
}

function ratesOf(row: Float64Array, seconds: number): Rates {
  const perSecond = (column: number): number => rounded(row[column]! / seconds);
  const requests = row[TRAFFIC.requests]!;
  const quantile = (part: number): number | null =>
    requests === 0 ? null : rounded(quantileSeconds(row, part) * 1000);
  return {
    requestsPerSecond: perSecond(TRAFFIC.requests),
    serverErrorsPerSecond: perSecond(TRAFFIC.statusClasses + 4),
    clientErrorsPerSecond: perSecond(TRAFFIC.statusClasses + 3),
    bytesPerSecond: perSecond(TRAFFIC.responseBytes),
    meanMs: requests === 0 ? null : rounded((row[TRAFFIC.seconds]! / requests) * 1000),
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
  };
}

/** Within its bucket as if the requests were spread evenly; the last bucket counts as its lower bound. */
function quantileSeconds(row: Float64Array, part: number): number {
  let left = row[TRAFFIC.requests]! * part;
  let lower = 0;
  for (const [index, upper] of LATENCY_BOUNDS_SECONDS.entries()) {
    const count = row[TRAFFIC.latencyBuckets + index]!;
    if (count > 0 && left <= count) return lower + (upper - lower) * (left / count);
    left -= count;
    lower = upper;
  }
  return lower;
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
