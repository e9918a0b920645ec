import type { ExchangeRecord } from './exchange-record.ts';
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
const COLUMNS = CANARY_LATENCY_SUM + 1;

/** The counters of many Ingresses as plain data that is cheap to copy to another thread. */
export interface CounterTable {
  /** `namespace/name`; empty for requests that no Ingress took. */
  readonly ingresses: readonly string[];
  /** One row for each, one after the other. */
  readonly values: Float64Array;
}

/** The requests of one Ingress. */
export interface IngressCounters {
  readonly ingress: string;
  /** By status class: 1xx at index 0 (a tunnel counts there) to 5xx at index 4. */
  readonly statusClasses: Float64Array;
  /** The same of those that went to a canary. */
  readonly canaryStatusClasses: Float64Array;
  readonly canaryLatencySumSeconds: number;
  /** Requests per latency bucket, not cumulative; one more entry than there are bounds. */
  readonly latencyBuckets: Float64Array;
  readonly latencySumSeconds: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly retries: number;
  readonly droppedFields: number;
  /** Attempts that had no connection; no entry for what never happened. */
  readonly connectFailures: Readonly<Partial<Record<ConnectFailure, number>>>;
}

/** Counts requests by Ingress. Never by host or path: a label per path would let clients fill the memory. */
export class RequestCounters {
  readonly #limits: CounterLimits;
  readonly #rows = new Map<string, number>();
  readonly #ingresses: string[] = [];
  readonly #rowsOfNamespace = new Map<string, number>();
  #nameCharacters = 0;
  #values = new Float64Array(16 * COLUMNS);

  constructor(limits = COUNTER_LIMITS) {
    this.#limits = limits;
  }

  /** Counts one exchange that is over. */
  count(exchange: ExchangeRecord): void {
    const row = this.#rowOf(exchange.route?.ingress ?? '');
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
  }

  /** Adds what another thread counted. May be interrupted after each Ingress. */
  *add({ ingresses, values }: CounterTable): Generator<void> {
    for (const [index, ingress] of ingresses.entries()) {
      const row = this.#rowOf(ingress);
      for (let column = 0; column < COLUMNS; column++) {
        this.#values[row + column]! += values[index * COLUMNS + column]!;
      }
      yield;
    }
  }

  /** Drops the counters of Ingresses that are gone. */
  forget(ingresses: Iterable<string>): void {
    for (const ingress of ingresses) {
      this.#remove(ingress);
      const namespace = namespaceOf(ingress);
      if (this.#rowsOfNamespace.get(namespace) === 1) this.#remove(`${namespace}/${OTHER}`);
    }
  }

  /** A copy of all counters. */
  table(): CounterTable {
    const ingresses = [...this.#ingresses];
    return { ingresses, values: this.#values.slice(0, ingresses.length * COLUMNS) };
  }

  /** Where the row of an Ingress begins, or of those that it is counted with. */
  #rowOf(ingress: string): number {
    return this.#rows.get(ingress) ?? this.#addRow(ingress);
  }

  #addRow(ingress: string): number {
    const namespace = namespaceOf(ingress);
    const rowsOfNamespace = this.#rowsOfNamespace.get(namespace) ?? 0;
    if (isLimited(ingress)) {
      const { ingresses, ingressesOfNamespace, nameCharacters } = this.#limits;
      const isFull = this.#rows.size >= ingresses || this.#nameCharacters + ingress.length > nameCharacters;
      if (isFull) return this.#rowOf(`${OTHER}/${OTHER}`);
      if (rowsOfNamespace >= ingressesOfNamespace && !ingress.endsWith(`/${OTHER}`))
        return this.#rowOf(`${namespace}/${OTHER}`);
    }
    this.#rowsOfNamespace.set(namespace, rowsOfNamespace + 1);
    this.#nameCharacters += ingress.length;
    const row = this.#ingresses.push(ingress) * COLUMNS - COLUMNS;
    this.#rows.set(ingress, row);
    if (row + COLUMNS > this.#values.length) {
      const larger = new Float64Array(this.#values.length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    return row;
  }

  /** The last row takes the place of the one that is removed. */
  #remove(ingress: string): void {
    const row = this.#rows.get(ingress);
    if (row === undefined) return;
    const namespace = namespaceOf(ingress);
    const left = (this.#rowsOfNamespace.get(namespace) ?? 0) - 1;
    if (left > 0) this.#rowsOfNamespace.set(namespace, left);
    else this.#rowsOfNamespace.delete(namespace);
    this.#nameCharacters -= ingress.length;
    this.#rows.delete(ingress);
    const last = this.#ingresses.pop()!;
    const lastRow = this.#ingresses.length * COLUMNS;
    if (last !== ingress) {
      this.#values.copyWithin(row, lastRow, lastRow + COLUMNS);
      this.#ingresses[row / COLUMNS] = last;
      this.#rows.set(last, row);
    }
    this.#values.fill(0, lastRow, lastRow + COLUMNS);
  }
}

/** The rows of a table, which share its memory: each is read only where it is asked for something. */
export function* countersOf({ ingresses, values }: CounterTable): Generator<IngressCounters> {
  for (const [index, ingress] of ingresses.entries()) yield new Row(ingress, values, index * COLUMNS);
}

class Row implements IngressCounters {
  readonly ingress: string;
  readonly #values: Float64Array;
  readonly #start: number;

  constructor(ingress: string, values: Float64Array, start: number) {
    this.ingress = ingress;
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

  get connectFailures(): IngressCounters['connectFailures'] {
    const counts = this.#columns(CONNECT_FAILURE, CANARY_STATUS_CLASSES);
    const happened = CONNECT_FAILURES.map((failure, index) => [failure, counts[index]!] as const);
    return Object.fromEntries(happened.filter(([, count]) => count > 0));
  }

  #columns(from: number, to: number): Float64Array {
    return this.#values.subarray(this.#start + from, this.#start + to);
  }
}

/** Not those without an Ingress, nor the one row for everything beyond the limits. */
function isLimited(ingress: string): boolean {
  return ingress !== '' && ingress !== `${OTHER}/${OTHER}`;
}

function namespaceOf(ingress: string): string {
  return ingress.slice(0, Math.max(ingress.indexOf('/'), 0));
}

/** The bucket of `LATENCY_BOUNDS_SECONDS` that a time is in. */
export function bucketOf(seconds: number): number {
  let bucket = 0;
  while (bucket < LATENCY_BOUNDS_SECONDS.length && seconds > LATENCY_BOUNDS_SECONDS[bucket]!) bucket++;
  return bucket;
}
