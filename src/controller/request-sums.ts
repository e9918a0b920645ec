import type { RequestFigures } from '../admin/figures.ts';
import { runInSlices } from '../admin/slices.ts';
import type { RouteKind } from '../routing/table.ts';
import { COLLECTIONS, type Snapshot } from '../model/snapshot.ts';
import { get } from '../model/sharded-map.ts';
import {
  type CountedSource,
  type CounterTable,
  RequestCounters,
  countersOf,
  eventsOf,
  isOther,
} from '../proxy/request-metrics.ts';

/**
 * Adds up what the threads counted, one scrape after the other. An Ingress or route that was deleted is told of once more,
 * so that its last requests are seen, and is forgotten with the next scrape.
 */
export class RequestSums {
  readonly #forget: (sources: readonly CountedSource[]) => void;
  /** Those that were gone at the last scrape. */
  #gone: ReadonlySet<CountedSource> = new Set();

  /** `forget` has the threads drop the counters of sources. */
  constructor(forget: (sources: readonly CountedSource[]) => void) {
    this.#forget = forget;
  }

  /** Of all threads together. Nothing is known to be gone while there is no snapshot. */
  async sum(tables: readonly CounterTable[], snapshot: Snapshot | null): Promise<RequestFigures> {
    const { sum, gone } = await runInSlices(addUp(tables, snapshot));
    const told = gone.filter((source) => this.#gone.has(source));
    this.#gone = new Set(gone.filter((source) => !this.#gone.has(source)));
    if (told.length > 0) {
      sum.forget(told);
      this.#forget(told);
    }
    const table = sum.table();
    return {
      counters: { [Symbol.iterator]: () => countersOf(table) },
      events: { [Symbol.iterator]: () => eventsOf(table) },
    };
  }
}

function* addUp(
  tables: readonly CounterTable[],
  snapshot: Snapshot | null,
): Generator<void, { readonly sum: RequestCounters; readonly gone: readonly CountedSource[] }> {
  const sum = new RequestCounters();
  for (const table of tables) yield* sum.add(table);
  const gone: CountedSource[] = [];
  for (const source of snapshot ? sum.sources() : []) {
    if (source !== '' && !isOther(source) && snapshot && !isThere(source, snapshot)) gone.push(source);
    yield;
  }
  return { sum, gone };
}

function isThere(source: CountedSource, snapshot: Snapshot): boolean {
  const [key = '', kind = 'Ingress'] = source.split(' ', 2) as [string, RouteKind?];
  return get<unknown>(snapshot[COLLECTIONS[kind]], key) !== undefined;
}
