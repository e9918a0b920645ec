import type { RequestFigures } from '../admin/figures.ts';
import { runInSlices } from '../admin/slices.ts';
import type { RouteKind } from '../routing/table.ts';
import { COLLECTIONS, type Snapshot } from '../model/snapshot.ts';
import { get } from '../model/sharded-map.ts';
import {
  COUNTER_LIMITS,
  type CountedSource,
  type CounterTable,
  OTHER,
  RequestCounters,
  countersOf,
  eventsOf,
  isOther,
  namespaceOf,
} from '../proxy/request-metrics.ts';

/**
 * Adds up what the threads counted, one reader after the other. An Ingress or route that was deleted is told of once more, and
 * for as long as the slowest reader needs, so that its last requests are seen; then it is forgotten. No sum ever shrinks.
 */
export class RequestSums {
  readonly #forget: (sources: readonly CountedSource[]) => void;
  readonly #keepMs: number;
  readonly #limits: typeof COUNTER_LIMITS;
  /** What each source is counted as: itself, or those beyond a limit. It stays so: the others would shrink when it left them. */
  readonly #names = new Map<CountedSource, CountedSource>();
  /** What those had that are forgotten and were counted with others. */
  readonly #ended = new RequestCounters();
  /** Those that are gone, with the time when that was noticed. */
  #gone: ReadonlyMap<CountedSource, number> = new Map();
  /** Of each source when it was not counted yet; undefined for those that the first sum had. */
  #since: ReadonlyMap<CountedSource, number | undefined> = new Map();
  #askedAt: number | undefined;

  /** `forget` has the threads drop the counters of sources; those that are gone are kept for `keepMs` at least. */
  constructor(
    forget: (sources: readonly CountedSource[]) => void,
    keepMs = 0,
    limits: typeof COUNTER_LIMITS = COUNTER_LIMITS,
  ) {
    this.#forget = forget;
    this.#keepMs = keepMs;
    this.#limits = limits;
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
    const sum = new RequestCounters(this.#limits);
    await runInSlices(this.#addUp(sum, tables));
    const told: CountedSource[] = [];
    const kept = new Map<CountedSource, number>();
    for (const source of await runInSlices(goneOf(this.#names.keys(), snapshot))) {
      const noticedAt = this.#gone.get(source);
      if (noticedAt !== undefined && noticedAt + this.#keepMs <= askedAt) told.push(source);
      else kept.set(source, noticedAt ?? askedAt);
    }
    this.#gone = kept;
    if (told.length > 0) {
      await runInSlices(this.#end(told, tables));
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

  *#addUp(sum: RequestCounters, tables: readonly CounterTable[]): Generator<void> {
    // Those that were told of keep their places before others come.
    for (const name of new Set(this.#names.values())) {
      sum.nameOf(name);
      yield;
    }
    const nameOf = (source: CountedSource): CountedSource => {
      const known = this.#names.get(source);
      if (known !== undefined) return known;
      const name = sum.nameOf(source);
      this.#names.set(source, name);
      if (!this.#names.has(name)) this.#names.set(name, name);
      return name;
    };
    for (const table of tables) yield* sum.add(table, nameOf);
    yield* sum.add(this.#ended.view());
  }

  /** Sources that are to be forgotten; adds the others of a namespace that has none any more. */
  *#end(told: CountedSource[], tables: readonly CounterTable[]): Generator<void> {
    const names = new Map<CountedSource, CountedSource>();
    const take = (source: CountedSource): void => {
      names.set(source, this.#names.get(source) ?? source);
      this.#names.delete(source);
    };
    told.forEach(take);
    const namespaces = new Set<string>();
    for (const source of this.#names.keys()) if (!isOther(source)) namespaces.add(namespaceOf(source));
    for (const source of this.#names.keys()) {
      const namespace = namespaceOf(source);
      if (!isOther(source) || namespace === OTHER || namespaces.has(namespace)) continue;
      told.push(source);
      take(source);
    }
    this.#ended.forget(told);
    const nameOfEnded = (source: CountedSource): CountedSource | null => {
      const name = names.get(source) ?? null;
      return name !== source && name !== null && this.#names.has(name) ? name : null;
    };
    for (const table of tables) yield* this.#ended.add(table, nameOfEnded);
  }
}

function* goneOf(
  sources: Iterable<CountedSource>,
  snapshot: Snapshot | null,
): Generator<void, readonly CountedSource[]> {
  const gone: CountedSource[] = [];
  for (const source of snapshot ? sources : []) {
    if (source !== '' && !isOther(source) && snapshot && !isThere(source, snapshot)) gone.push(source);
    yield;
  }
  return gone;
}

function isThere(source: CountedSource, snapshot: Snapshot): boolean {
  const [key = '', kind = 'Ingress'] = source.split(' ', 2) as [string, RouteKind?];
  return get<unknown>(snapshot[COLLECTIONS[kind]], key) !== undefined;
}
