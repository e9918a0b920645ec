/**
 * Memory that all data-plane threads share: a value of 42 bits for each client that a limit knows at the moment. There is
 * no lock: a slot is one word of 64 bits with the client's fingerprint beside its value, and is only ever replaced as a
 * whole, if it still is what was read.
 *
 * The memory is cut into pages, one for each namespace, so that no tenant takes the room of another until there are more
 * of them than pages. In a page a client has its place among eight slots. When all eight are taken, the client whose
 * value weighs least is forgotten: one that has nearly nothing to its debit.
 */
export class SharedSlots {
  readonly #words: BigUint64Array;
  /** The same words in halves, low ones first: fingerprints are compared without a BigInt. */
  readonly #halves: Uint32Array;
  /** The namespace of each page, as a hash; 0 for a page that is free. */
  readonly #tenants: Uint32Array;
  readonly #seeds: Uint32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#seeds = new Uint32Array(memory, 0, SEEDS);
    this.#tenants = new Uint32Array(memory, SEEDS * 4, PAGES);
    this.#words = new BigUint64Array(memory, HEADER_BYTES);
    this.#halves = new Uint32Array(memory, HEADER_BYTES);
  }

  /** What `at` needs to know of a limit: its page and the beginning of its hashes. Takes a page when it has none yet. */
  zone(namespace: string, name: string): Zone {
    const tenant = hash(this.#seed(0), namespace) || 1;
    return { page: this.#pageOf(tenant), high: hash(this.#seed(1), name), low: hash(this.#seed(2), name) };
  }

  #seed(index: number): number {
    return this.#seeds[index] ?? 0;
  }

  #pageOf(tenant: number): number {
    for (let i = 0; i < PAGES; i++) {
      const page = (tenant + i) % PAGES;
      const taken = Atomics.compareExchange(this.#tenants, page, 0, tenant);
      if (taken === 0 || taken === tenant) return page;
    }
    return tenant % PAGES;
  }

  /** Where the client of a zone has its place. */
  at({ page, high, low }: Zone, client: string): Place {
    const set = hash(low, client) % SETS;
    return { first: (page * SETS + set) * WAYS, fingerprint: hash(high, client) >>> (32 - FINGERPRINT_BITS) };
  }

  /**
   * Changes the value of a client, which is 0 where it has none. `change` gives the new value, or null to leave it as it
   * is; it is called again when another thread was faster. `weight` is 0 for a value that says no more than 0 does, and
   * is larger for one that says more. Gives whether the value was changed.
   */
  update(
    { first, fingerprint }: Place,
    weight: (value: number) => number,
    change: (value: number) => number | null,
  ): boolean {
    for (;;) {
      let at = -1;
      for (let i = first; i < first + WAYS; i++) {
        if ((this.#halves[2 * i + 1] ?? 0) >>> FINGERPRINT_SHIFT === fingerprint) {
          at = i;
          break;
        }
      }
      const isKnown = at >= 0;
      if (!isKnown) at = this.#lightest(first, fingerprint, weight);
      // Another thread has just given it a place: two would count for half each.
      if (at < 0) continue;
      const word = Atomics.load(this.#words, at);
      if (isKnown && Number(word >> VALUE_BITS) !== fingerprint) continue;
      // Since it was weighed another client may have come to it.
      if (!isKnown && word !== this.#weighed) continue;
      const value = change(isKnown ? Number(word & VALUE_MASK) : 0);
      if (value === null) return false;
      const next = (BigInt(fingerprint) << VALUE_BITS) | BigInt(value);
      if (Atomics.compareExchange(this.#words, at, word, next) === word) return true;
    }
  }

  /** The word that `#lightest` found. */
  #weighed = 0n;

  /** The slot that can best be spared; -1 when the client has come to one meanwhile. */
  #lightest(first: number, fingerprint: number, weight: (value: number) => number): number {
    let lightest = first;
    let least = Number.POSITIVE_INFINITY;
    for (let i = first; i < first + WAYS && least > 0; i++) {
      const word = Atomics.load(this.#words, i);
      if (word !== 0n && Number(word >> VALUE_BITS) === fingerprint) return -1;
      const weighs = weight(Number(word & VALUE_MASK));
      if (weighs >= least) continue;
      least = weighs;
      lightest = i;
      this.#weighed = word;
    }
    return lightest;
  }
}

/** One limit of one Ingress. */
export interface Zone {
  readonly page: number;
  readonly high: number;
  readonly low: number;
}

export interface Place {
  /** The first of the slots. */
  readonly first: number;
  readonly fingerprint: number;
}

/** Values are below this. */
export const VALUES = 2 ** 42;

const PAGES = 256;
const SETS = 2048;
const WAYS = 8;
const SEEDS = 4;
const HEADER_BYTES = (SEEDS + PAGES) * 4;
const VALUE_BITS = 42n;
const VALUE_MASK = (1n << VALUE_BITS) - 1n;
const FINGERPRINT_BITS = 22;
/** In the upper half of a word. */
const FINGERPRINT_SHIFT = 32 - FINGERPRINT_BITS;

/** Memory for a `SharedSlots`: 32 MiB, of which the system gives what is used. `random` fills an array with random bits. */
export function sharedSlotsMemory(random: (array: Uint32Array) => void): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(HEADER_BYTES + PAGES * SETS * WAYS * 8);
  const seeds = new Uint32Array(SEEDS);
  // Clients must not be able to choose addresses that share a place.
  random(seeds);
  new Uint32Array(memory, 0, SEEDS).set(seeds);
  return memory;
}

/** Goes on from a hash with a text; 32 bits (the mixing of MurmurHash3). */
function hash(seed: number, text: string): number {
  let h = seed;
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ text.charCodeAt(i), 0xcc9e2d51);
    h = (h << 13) | (h >>> 19);
    h = Math.imul(h, 5) + 0xe6546b64;
  }
  h ^= text.length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
