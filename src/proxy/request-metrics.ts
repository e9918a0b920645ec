import { AUTH_OUTCOMES, type AuthOutcome } from '../http/auth-outcome.ts';
import type { LocalReason } from '../http/local-response.ts';
import { REASON_CLASSES } from '../http/reason-class.ts';
import type { Route } from '../routing/table.ts';
import type { ExchangeRecord } from './exchange-record.ts';
import { type SparseCells, SparseCounts, cellsOf } from './sparse-counts.ts';
import { CONNECT_FAILURES, type ConnectFailure } from './upstream/connect-failure.ts';

/** Upper bounds of the latency histogram's buckets, in seconds; the last bucket, without a bound, follows them. */
export const LATENCY_BOUNDS_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

/** How many Ingresses are counted by themselves; those beyond are counted together as `_other`. */
export interface CounterLimits {
  readonly ingresses: number;
  readonly ingressesOfNamespace: number;
  /** Of all their names together: each name is written some 30 times in a scrape. */
  readonly nameCharacters: number;
}

export const COUNTER_LIMITS: CounterLimits = {
  ingresses: 10_000,
  ingressesOfNamespace: 2_000,
  nameCharacters: 1024 * 1024,
};

/** No object of Kubernetes can have this name. */
export const OTHER = '_other';

/** What one row of counters holds, in this order. */
const STATUS_CLASSES = 0;
const LATENCY_BUCKETS = STATUS_CLASSES + 5;
const LATENCY_SUM = LATENCY_BUCKETS + LATENCY_BOUNDS_SECONDS.length + 1;
const REQUEST_BYTES = LATENCY_SUM + 1;
const RESPONSE_BYTES = REQUEST_BYTES + 1;
const RETRIES = RESPONSE_BYTES + 1;
const DROPPED_FIELDS = RETRIES + 1;
const CONNECT_FAILURE = DROPPED_FIELDS + 1;
const CANARY_STATUS_CLASSES = CONNECT_FAILURE + CONNECT_FAILURES.length;
const CANARY_LATENCY_SUM = CANARY_STATUS_CLASSES + 5;
const UPSTREAM_BUCKETS = CANARY_LATENCY_SUM + 1;
const UPSTREAM_SUM = UPSTREAM_BUCKETS + LATENCY_BOUNDS_SECONDS.length + 1;
const COLUMNS = UPSTREAM_SUM + 1;

/** What is counted beside that, of which most rows have nothing: reasons of Portico's own responses, and `AuthOutcome`s. */
const REASONS = Object.keys(REASON_CLASSES) as readonly LocalReason[];
const EVENTS = REASONS.length + AUTH_OUTCOMES.length;
const columnOfReason: ReadonlyMap<string, number> = new Map(REASONS.map((reason, at) => [reason, at]));
const columnOfAuth: ReadonlyMap<AuthOutcome, number> = new Map(
  AUTH_OUTCOMES.map((outcome, at) => [outcome, REASONS.length + at]),
);

/**
 * What requests are counted by: `namespace/name` of an Ingress; of a route of Gateway API with its kind, `shop/web HTTPRoute`;
 * empty for requests that neither took.
 */
export type CountedSource = string;

export function countedSource(route: Route | null): CountedSource {
  if (route === null) return '';
  return route.kind === undefined ? route.ingress : `${route.ingress} ${route.kind}`;
}

/** The counters of many sources as plain data that is cheap to copy to another thread. */
export interface CounterTable {
  readonly sources: readonly CountedSource[];
  /** One row for each, one after the other. */
  readonly values: Float64Array<ArrayBuffer>;
  /** What few of them have. */
  readonly events: SparseCells;
}

/** Something of the requests of a source that is counted only where it happens. */
export type CountedEvent =
  | {
      readonly kind: 'local-response';
      readonly source: CountedSource;
      readonly reason: LocalReason;
      readonly count: number;
    }
  | {
      readonly kind: 'auth';
      readonly source: CountedSource;
      readonly outcome: AuthOutcome;
      readonly count: number;
    };

/** The requests of one source. */
export interface SourceCounters {
  readonly source: CountedSource;
  /** By status class: 1xx at index 0 (a tunnel counts there) to 5xx at index 4. */
  readonly statusClasses: Float64Array;
  /** The same of those that went to a canary. */
  readonly canaryStatusClasses: Float64Array;
  readonly canaryLatencySumSeconds: number;
  /** Requests per latency bucket, not cumulative; one more entry than there are bounds. */
  readonly latencyBuckets: Float64Array;
  readonly latencySumSeconds: number;
  /** The same of attempts that a Pod answered, by the time until the head of its response. */
  readonly upstreamBuckets: Float64Array;
  readonly upstreamSumSeconds: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly retries: number;
  readonly droppedFields: number;
  /** Attempts that had no connection; no entry for what never happened. */
  readonly connectFailures: Readonly<Partial<Record<ConnectFailure, number>>>;
}

/** Counts requests by their source. Never by host or path: a label per path would let clients fill the memory. */
export class RequestCounters {
  readonly #limits: CounterLimits;
  readonly #rows = new Map<CountedSource, number>();
  readonly #sources: CountedSource[] = [];
  readonly #events = new SparseCounts(EVENTS);
  readonly #rowsOfNamespace = new Map<string, number>();
  #nameCharacters = 0;
  #values = new Float64Array(16 * COLUMNS);

  constructor(limits = COUNTER_LIMITS) {
    this.#limits = limits;
  }

  /** Counts one exchange that is over. */
  count(exchange: ExchangeRecord): void {
    const row = this.#rowOf(countedSource(exchange.route));
    const values = this.#values;
    const statusClass = Math.min(Math.max(Math.trunc(exchange.status / 100), 1), 5) - 1;
    const seconds = exchange.durationMs / 1000;
    values[row + STATUS_CLASSES + statusClass]! += 1;
    if (exchange.canary !== '') {
      values[row + CANARY_STATUS_CLASSES + statusClass]! += 1;
      values[row + CANARY_LATENCY_SUM]! += seconds;
    }
    values[row + LATENCY_BUCKETS + bucketOf(seconds)]! += 1;
    values[row + LATENCY_SUM]! += seconds;
    values[row + REQUEST_BYTES]! += exchange.requestBytes;
    values[row + RESPONSE_BYTES]! += exchange.responseBytes;
    if (exchange.attempts > 1) values[row + RETRIES]! += exchange.attempts - 1;
    values[row + DROPPED_FIELDS]! += exchange.droppedFields;
    for (const failure of exchange.connectFailures) {
      values[row + CONNECT_FAILURE + CONNECT_FAILURES.indexOf(failure)]! += 1;
    }
    for (const { headMs } of exchange.upstreams) {
      if (headMs === null) continue;
      const upstreamSeconds = headMs / 1000;
      values[row + UPSTREAM_BUCKETS + bucketOf(upstreamSeconds)]! += 1;
      values[row + UPSTREAM_SUM]! += upstreamSeconds;
    }
    if (exchange.detail !== '') this.#countEvent(row, columnOfReason.get(reasonIn(exchange.detail)));
    for (const outcome of exchange.auths) this.#countEvent(row, columnOfAuth.get(outcome));
  }

  #countEvent(row: number, column: number | undefined): void {
    if (column !== undefined) this.#events.add(row / COLUMNS, column);
  }

  /** Adds what another thread counted. May be interrupted after each source and event. */
  *add({ sources, values, events }: CounterTable): Generator<void> {
    for (const [index, source] of sources.entries()) {
      const row = this.#rowOf(source);
      for (let column = 0; column < COLUMNS; column++) {
        this.#values[row + column]! += values[index * COLUMNS + column]!;
      }
      yield;
    }
    for (const { row, column, count } of cellsOf(events, EVENTS)) {
      this.#events.add(this.#rowOf(sources[row] ?? '') / COLUMNS, column, count);
      yield;
    }
  }

  /** Drops the counters of sources that are gone. */
  forget(sources: Iterable<CountedSource>): void {
    for (const source of sources) {
      this.#remove(source);
      const namespace = namespaceOf(source);
      if (this.#rowsOfNamespace.get(namespace) === 1) this.#remove(`${namespace}/${OTHER}`);
    }
  }

  sources(): readonly CountedSource[] {
    return this.#sources;
  }

  /** A copy of all counters. */
  table(): CounterTable {
    const sources = [...this.#sources];
    const values = this.#values.slice(0, sources.length * COLUMNS);
    return { sources, values, events: this.#events.cells() };
  }

  /** Where the row of a source begins, or of those that it is counted with. */
  #rowOf(source: CountedSource): number {
    return this.#rows.get(source) ?? this.#addRow(source);
  }

  #addRow(source: CountedSource): number {
    const namespace = namespaceOf(source);
    const rowsOfNamespace = this.#rowsOfNamespace.get(namespace) ?? 0;
    if (isLimited(source)) {
      const { ingresses, ingressesOfNamespace, nameCharacters } = this.#limits;
      const isFull = this.#rows.size >= ingresses || this.#nameCharacters + source.length > nameCharacters;
      if (isFull) return this.#rowOf(`${OTHER}/${OTHER}`);
      if (rowsOfNamespace >= ingressesOfNamespace && !isOther(source))
        return this.#rowOf(`${namespace}/${OTHER}`);
    }
    this.#rowsOfNamespace.set(namespace, rowsOfNamespace + 1);
    this.#nameCharacters += source.length;
    const row = this.#sources.push(source) * COLUMNS - COLUMNS;
    this.#rows.set(source, row);
    if (row + COLUMNS > this.#values.length) {
      const larger = new Float64Array(this.#values.length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    return row;
  }

  /** The last row takes the place of the one that is removed. */
  #remove(source: CountedSource): void {
    const row = this.#rows.get(source);
    if (row === undefined) return;
    const namespace = namespaceOf(source);
    const left = (this.#rowsOfNamespace.get(namespace) ?? 0) - 1;
    if (left > 0) this.#rowsOfNamespace.set(namespace, left);
    else this.#rowsOfNamespace.delete(namespace);
    this.#nameCharacters -= source.length;
    this.#rows.delete(source);
    const last = this.#sources.pop()!;
    const lastRow = this.#sources.length * COLUMNS;
    this.#events.replace(row / COLUMNS, lastRow / COLUMNS);
    if (last !== source) {
      this.#values.copyWithin(row, lastRow, lastRow + COLUMNS);
      this.#sources[row / COLUMNS] = last;
      this.#rows.set(last, row);
    }
    this.#values.fill(0, lastRow, lastRow + COLUMNS);
  }
}

/** The rows of a table, which share its memory: each is read only where it is asked for something. */
export function* countersOf({ sources, values }: CounterTable): Generator<SourceCounters> {
  for (const [index, source] of sources.entries()) yield new Row(source, values, index * COLUMNS);
}

export function* eventsOf({ sources, events }: CounterTable): Generator<CountedEvent> {
  for (const { row, column, count } of cellsOf(events, EVENTS)) {
    const source = sources[row] ?? '';
    const reason = REASONS[column];
    const outcome = AUTH_OUTCOMES[column - REASONS.length];
    if (reason !== undefined) yield { kind: 'local-response', source, reason, count };
    else if (outcome !== undefined) yield { kind: 'auth', source, outcome, count };
  }
}

class Row implements SourceCounters {
  readonly source: CountedSource;
  readonly #values: Float64Array;
  readonly #start: number;

  constructor(source: CountedSource, values: Float64Array, start: number) {
    this.source = source;
    this.#values = values;
    this.#start = start;
  }

  get statusClasses(): Float64Array {
    return this.#columns(STATUS_CLASSES, LATENCY_BUCKETS);
  }

  get canaryLatencySumSeconds(): number {
    return this.#values[this.#start + CANARY_LATENCY_SUM]!;
  }

  get canaryStatusClasses(): Float64Array {
    return this.#columns(CANARY_STATUS_CLASSES, CANARY_LATENCY_SUM);
  }

  get latencyBuckets(): Float64Array {
    return this.#columns(LATENCY_BUCKETS, LATENCY_SUM);
  }

  get latencySumSeconds(): number {
    return this.#values[this.#start + LATENCY_SUM]!;
  }

  get upstreamBuckets(): Float64Array {
    return this.#columns(UPSTREAM_BUCKETS, UPSTREAM_SUM);
  }

  get upstreamSumSeconds(): number {
    return this.#values[this.#start + UPSTREAM_SUM]!;
  }

  get requestBytes(): number {
    return this.#values[this.#start + REQUEST_BYTES]!;
  }

  get responseBytes(): number {
    return this.#values[this.#start + RESPONSE_BYTES]!;
  }

  get retries(): number {
    return this.#values[this.#start + RETRIES]!;
  }

  get droppedFields(): number {
    return this.#values[this.#start + DROPPED_FIELDS]!;
  }

  get connectFailures(): SourceCounters['connectFailures'] {
    const counts = this.#columns(CONNECT_FAILURE, CANARY_STATUS_CLASSES);
    const happened = CONNECT_FAILURES.map((failure, index) => [failure, counts[index]!] as const);
    return Object.fromEntries(happened.filter(([, count]) => count > 0));
  }

  #columns(from: number, to: number): Float64Array {
    return this.#values.subarray(this.#start + from, this.#start + to);
  }
}

/** Not those without a source, nor the one row for everything beyond the limits. */
function isLimited(source: CountedSource): boolean {
  return source !== '' && source !== `${OTHER}/${OTHER}`;
}

/** Whether it stands for those beyond a limit. */
export function isOther(source: CountedSource): boolean {
  return source.endsWith(`/${OTHER}`);
}

function namespaceOf(source: CountedSource): string {
  return source.slice(0, Math.max(source.indexOf('/'), 0));
}

/** A detail begins with its reason: `upstream-unreachable: EHOSTUNREACH`. */
function reasonIn(detail: string): string {
  const end = detail.indexOf(':');
  return end < 0 ? detail : detail.slice(0, end);
}

/** The bucket of `LATENCY_BOUNDS_SECONDS` that a time is in. */
export function bucketOf(seconds: number): number {
  let bucket = 0;
  while (bucket < LATENCY_BOUNDS_SECONDS.length && seconds > LATENCY_BOUNDS_SECONDS[bucket]!) bucket++;
  return bucket;
}
