import { DEFAULT_TABLE_BYTES, DynamicTable, ENTRY_BYTES } from './dynamic-table.ts';
import { STATIC_ENTRIES } from './static-table.ts';

/** How a name fared in the table. */
interface NameUse {
  /** The number of its newest entry. */
  newest: number;
  /** How often its value was another one since it last was one of the table. */
  misses: number;
}

/** More bytes are not remembered, though the peer may offer them. */
export const MOST_TABLE_BYTES = DEFAULT_TABLE_BYTES;

const SLOTS = MOST_TABLE_BYTES / ENTRY_BYTES;
/** So many names are known before those without an entry are forgotten. */
const MOST_NAMES = 2 * SLOTS;
/** So many entries of a name are looked at: one with more values than that is not worth the search. */
const MOST_VALUES = 8;
/** A name that brought so many new values in a row is added to the table less often … */
const MANY_MISSES = 4;
/** … which is at every 16th of them. */
const RARELY = 16;

/** The fields that the peer's table holds: the dynamic table of an encoder, and what it takes to find things in it. */
export class SentFields {
  readonly #table = new DynamicTable(MOST_TABLE_BYTES);
  readonly #names = new Map<string, NameUse>();
  /** Per entry the next older one of the same name, which may have been dropped; -1 for none. */
  readonly #older: number[] = [];

  resize(bytes: number): void {
    this.#table.resize(bytes);
  }

  /** What is known of a name; undefined when it is not in the table, and was not for long. */
  use(name: string): NameUse | undefined {
    return this.#names.get(name);
  }

  /** The index of the newest entry of a name; 0 when none is left. */
  nameIndex({ newest }: NameUse): number {
    return newest >= this.#table.oldest ? this.#index(newest) : 0;
  }

  /** The index of an entry of a name; 0 when none has that value. */
  index(use: NameUse, value: string): number {
    const { oldest } = this.#table;
    let entry = use.newest;
    for (let looked = 0; looked < MOST_VALUES && entry >= oldest; looked++) {
      if (this.#table.value(entry) === value) {
        use.misses = 0;
        return this.#index(entry);
      }
      entry = this.#older[entry % SLOTS] ?? -1;
    }
    return 0;
  }

  /** Adds an entry, unless that is not worth while; returns whether it did, in which case the peer must as well. */
  add(name: string, value: string, use: NameUse | undefined): boolean {
    const table = this.#table;
    if (name.length + value.length + ENTRY_BYTES > table.maxBytes) return false;
    if (use && ++use.misses > MANY_MISSES && use.misses % RARELY !== 0) return false;
    this.#older[table.next % SLOTS] = use?.newest ?? -1;
    if (use) use.newest = table.next;
    else this.#know(name, table.next);
    table.add(name, value);
    return true;
  }

  #index(entry: number): number {
    return STATIC_ENTRIES + this.#table.next - entry;
  }

  #know(name: string, newest: number): void {
    if (this.#names.size >= MOST_NAMES) {
      for (const [known, use] of this.#names) if (use.newest < this.#table.oldest) this.#names.delete(known);
    }
    this.#names.set(name, { newest, misses: 0 });
  }
}
