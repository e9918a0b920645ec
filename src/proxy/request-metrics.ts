import { AUTH_OUTCOMES, type AuthOutcome } from '../http/auth-outcome.ts';
import type { LocalReason } from '../http/local-response.ts';
import { REASON_CLASSES } from '../http/reason-class.ts';
import type { Route } from '../routing/table.ts';
import { DurationCounts, type DurationTable, DurationsOfRow } from './duration-counts.ts';
import type { ExchangeRecord } from './exchange-record.ts';
import { type SparseCells, SparseCounts, cellsOf } from './sparse-counts.ts';
import { CONNECT_FAILURES, type ConnectFailure } from './upstream/connect-failure.ts';

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
const LATENCY_SUM = STATUS_CLASSES + 5;
const REQUEST_BYTES = LATENCY_SUM + 1;
const RESPONSE_BYTES = REQUEST_BYTES + 1;
const RETRIES = RESPONSE_BYTES + 1;
const DROPPED_FIELDS = RETRIES + 1;
const CONNECT_FAILURE = DROPPED_FIELDS + 1;
const CANARY_STATUS_CLASSES = CONNECT_FAILURE + CONNECT_FAILURES.length;
const CANARY_LATENCY_SUM = CANARY_STATUS_CLASSES + 5;
const UPSTREAM_SUM = CANARY_LATENCY_SUM + 1;
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
  readonly latencies: DurationTable;
  readonly upstreams: DurationTable;
  /** What few of them have. */
  readonly events: SparseCells;
}

/** The memory of a table, to be handed over instead of copied. */
export function buffersOf({ values, latencies, upstreams, events }: CounterTable): ArrayBuffer[] {
  const durations = [latencies, upstreams].flatMap(({ pageNumbers, pages }) => [pageNumbers, pages]);
  return [values, ...durations, events.places, events.counts].map(({ buffer }) => buffer);
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
  readonly latency: DurationsOfRow;
  /** Of attempts that a Pod answered: the time until the head of its response. */
  readonly upstream: DurationsOfRow;
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
  readonly #latencies = new DurationCounts();
  readonly #upstreams = new DurationCounts();
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
    this.#latencies.add(row / COLUMNS, seconds);
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
      this.#upstreams.add(row / COLUMNS, upstreamSeconds);
      values[row + UPSTREAM_SUM]! += upstreamSeconds;
    }
    if (exchange.detail !== '') this.#countEvent(row, columnOfReason.get(reasonIn(exchange.detail)));
    for (const outcome of exchange.auths) this.#countEvent(row, columnOfAuth.get(outcome));
  }

  #countEvent(row: number, column: number | undefined): void {
    if (column !== undefined) this.#events.add(row / COLUMNS, column);
  }

  /**
   * Adds what another thread counted, as what `nameOf` says; nothing of a source for which that is null. May be interrupted
   * after each source and event.
   */
  *add(
    { sources, values, latencies, upstreams, events }: CounterTable,
    nameOf: (source: CountedSource) => CountedSource | null = (source) => source,
  ): Generator<void> {
    const names: (CountedSource | null)[] = [];
    for (const [index, source] of sources.entries()) {
      const name = nameOf(source);
      names.push(name);
      if (name === null) continue;
      const row = this.#rowOf(name);
      for (let column = 0; column < COLUMNS; column++) {
        this.#values[row + column]! += values[index * COLUMNS + column]!;
      }
      this.#latencies.addRow(row / COLUMNS, latencies, index);
      this.#upstreams.addRow(row / COLUMNS, upstreams, index);
      yield;
    }
    for (const { row, column, count } of cellsOf(events, EVENTS)) {
      const name = names[row] ?? null;
      if (name !== null) this.#events.add(this.#rowOf(name) / COLUMNS, column, count);
      yield;
    }
  }

  /** Drops the counters of these. */
  forget(sources: Iterable<CountedSource>): void {
    for (const source of sources) this.#remove(source);
  }

  /** What a source is counted as, from now on: itself, or those beyond a limit. */
  nameOf(source: CountedSource): CountedSource {
    return this.#sources[this.#rowOf(source) / COLUMNS]!;
  }

  sources(): readonly CountedSource[] {
    return this.#sources;
  }

  /** A copy of all counters. */
  table(): CounterTable {
    const { sources, values, latencies, upstreams, events } = this.view();
    return {
      ...{ sources: [...sources], values: values.slice(), events },
      latencies: copyOf(latencies),
      upstreams: copyOf(upstreams),
    };
  }

  /** All counters as they are, until something is counted. */
  view(): CounterTable {
    const sources = this.#sources;
    const values = this.#values.subarray(0, sources.length * COLUMNS);
    const latencies = this.#latencies.view(sources.length);
    const upstreams = this.#upstreams.view(sources.length);
    return { sources, values, latencies, upstreams, events: this.#events.cells() };
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
    this.#latencies.replace(row / COLUMNS, lastRow / COLUMNS);
    this.#upstreams.replace(row / COLUMNS, lastRow / COLUMNS);
    if (last !== source) {
      this.#values.copyWithin(row, lastRow, lastRow + COLUMNS);
      this.#sources[row / COLUMNS] = last;
      this.#rows.set(last, row);
    }
    this.#values.fill(0, lastRow, lastRow + COLUMNS);
  }
}

/** The rows of a table, which share its memory: each is read only where it is asked for something. */
export function* countersOf(table: CounterTable): Generator<SourceCounters> {
  for (const [index, source] of table.sources.entries()) yield new Row(source, table, index);
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
  readonly #table: CounterTable;
  readonly #index: number;

  constructor(source: CountedSource, table: CounterTable, index: number) {
    this.source = source;
    this.#table = table;
    this.#index = index;
  }

  get statusClasses(): Float64Array {
    return this.#columns(STATUS_CLASSES, LATENCY_SUM);
  }

  get canaryLatencySumSeconds(): number {
    return this.#column(CANARY_LATENCY_SUM);
  }

  get canaryStatusClasses(): Float64Array {
    return this.#columns(CANARY_STATUS_CLASSES, CANARY_LATENCY_SUM);
  }

  get latency(): DurationsOfRow {
    return new DurationsOfRow(this.#table.latencies, this.#index, this.#column(LATENCY_SUM));
  }

  get upstream(): DurationsOfRow {
    return new DurationsOfRow(this.#table.upstreams, this.#index, this.#column(UPSTREAM_SUM));
  }

  get requestBytes(): number {
    return this.#column(REQUEST_BYTES);
  }

  get responseBytes(): number {
    return this.#column(RESPONSE_BYTES);
  }

  get retries(): number {
    return this.#column(RETRIES);
  }

  get droppedFields(): number {
    return this.#column(DROPPED_FIELDS);
  }

  get connectFailures(): SourceCounters['connectFailures'] {
    const counts = this.#columns(CONNECT_FAILURE, CANARY_STATUS_CLASSES);
    const happened = CONNECT_FAILURES.map((failure, index) => [failure, counts[index]!] as const);
    return Object.fromEntries(happened.filter(([, count]) => count > 0));
  }

  #column(column: number): number {
    return this.#table.values[this.#index * COLUMNS + column]!;
  }

  #columns(from: number, to: number): Float64Array {
    const start = this.#index * COLUMNS;
    return this.#table.values.subarray(start + from, start + to);
  }
}

function copyOf({ pageNumbers, pages }: DurationTable): DurationTable {
  return { pageNumbers: pageNumbers.slice(), pages: pages.slice() };
}

/** Not those without a source, nor the one row for everything beyond the limits. */
function isLimited(source: CountedSource): boolean {
  return source !== '' && source !== `${OTHER}/${OTHER}`;
}

/** Whether it stands for those beyond a limit. */
export function isOther(source: CountedSource): boolean {
  return source.endsWith(`/${OTHER}`);
}

/** Empty where it has none. */
export function namespaceOf(source: CountedSource): string {
  return source.slice(0, Math.max(source.indexOf('/'), 0));
}

/** A detail begins with its reason: `upstream-unreachable: EHOSTUNREACH`. */
function reasonIn(detail: string): string {
  const end = detail.indexOf(':');
  return end < 0 ? detail : detail.slice(0, end);
}
