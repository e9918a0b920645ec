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
 * Adds up what the threads counted, one reader after the other. An Ingress or route that was deleted is told of once more, and
 * for as long as the slowest reader needs, so that its last requests are seen; then it is forgotten.
 */
export class RequestSums {
  readonly #forget: (sources: readonly CountedSource[]) => void;
  readonly #keepMs: number;
  /** Those that are gone, with the time when that was noticed. */
  #gone: ReadonlyMap<CountedSource, number> = new Map();
  /** Of each source when it was not counted yet; undefined for those that the first sum had. */
  #since: ReadonlyMap<CountedSource, number | undefined> = new Map();
  #askedAt: number | undefined;

  /** `forget` has the threads drop the counters of sources; those that are gone are kept for `keepMs` at least. */
  constructor(forget: (sources: readonly CountedSource[]) => void, keepMs = 0) {
    this.#forget = forget;
    this.#keepMs = keepMs;
  }

  /**
   * Of all threads together, which were asked at `askedAt`, in milliseconds since the epoch. Nothing is known to be gone while
   * there is no snapshot.
   */
  async sum(
    tables: readonly CounterTable[],
    snapshot: Snapshot | null,
    askedAt: number,
  ): Promise<RequestFigures> {
    const { sum, gone } = await runInSlices(addUp(tables, snapshot));
    const told: CountedSource[] = [];
    const kept = new Map<CountedSource, number>();
    for (const source of gone) {
      const noticedAt = this.#gone.get(source);
      if (noticedAt !== undefined && noticedAt + this.#keepMs <= askedAt) told.push(source);
      else kept.set(source, noticedAt ?? askedAt);
    }
    this.#gone = kept;
    if (told.length > 0) {
      sum.forget(told);
      this.#forget(told);
    }
    const before = this.#since;
    const since = new Map(
      sum.sources().map((source) => [source, before.has(source) ? before.get(source) : this.#askedAt]),
    );
    this.#since = since;
    this.#askedAt = askedAt;
    const table = sum.view();
    return {
      counters: { [Symbol.iterator]: () => countersOf(table) },
      events: { [Symbol.iterator]: () => eventsOf(table) },
      since: (source) => since.get(source),
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
