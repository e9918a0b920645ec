import type { Turns } from './turns.ts';

/** A list that nobody has asked for in this time is dropped: it may hold a hundred thousand items. */
const KEPT_MS = 60_000;
const KEPT_FILTERS = 8;
/** Items that are looked at without asking for the time. */
const STEP = 64;

/** A sorted list of which pages are shown, and what filters left of it. */
export interface ListOf<T> {
  readonly all: readonly T[];
  /** Those that a filter takes. `name` says which filter it is: a page of the same one is found again. */
  filtered(name: string, takes: (item: T) => boolean, signal: AbortSignal): Promise<readonly T[]>;
}

/**
 * Builds a list once for each source, which is an object that is replaced when anything in it changes, and keeps the
 * newest one.
 */
export class KeptList<S extends object, T> {
  readonly #turns: Turns;
  readonly #build: (source: S) => Generator<void, readonly T[]>;
  #newest: { readonly source: S; readonly list: Promise<ListOf<T>> } | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(turns: Turns, build: (source: S) => Generator<void, readonly T[]>) {
    this.#turns = turns;
    this.#build = build;
  }

  /** Not ended when one of those who wait for it has gone. */
  of(source: S): Promise<ListOf<T>> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.#newest = null), KEPT_MS).unref();
    if (this.#newest?.source !== source) {
      const list = this.#turns.run(this.#build(source)).then((all) => this.#listOf(all));
      this.#newest = { source, list };
      list.catch(() => (this.#newest = null));
    }
    return this.#newest.list;
  }

  #listOf(all: readonly T[]): ListOf<T> {
    const kept = new Map<string, readonly T[]>();
    return {
      all,
      filtered: async (name, takes, signal) => {
        if (name === '') return all;
        const found = kept.get(name) ?? (await this.#turns.run(filter(all, takes), signal));
        kept.delete(name);
        kept.set(name, found);
        const [oldest = ''] = kept.keys();
        if (kept.size > KEPT_FILTERS) kept.delete(oldest);
        return found;
      },
    };
  }
}

function* filter<T>(all: readonly T[], takes: (item: T) => boolean): Generator<void, readonly T[]> {
  const found: T[] = [];
  for (const [index, item] of all.entries()) {
    if (takes(item)) found.push(item);
    if (index % STEP === 0) yield;
  }
  return found;
}
