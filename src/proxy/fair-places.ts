import { Holders } from './holders.ts';

/**
 * So many places for those who ask first, and a fair part of them for those who ask later: when all are taken, a namespace
 * gets a place of another one that has at least two more than it. So nobody is turned away who has less than the others.
 * No step looks at every holder; to find the oldest of many takes longer where many before it are gone (19 µs of 20,000).
 */
export class FairPlaces<Holder> {
  readonly #total: number;
  readonly #perNamespace: number;
  readonly #evict: (holders: ReadonlySet<Holder>) => void;
  /** What each namespace has under way. */
  readonly #holders = new Holders<Holder>();
  #taken = 0;

  /** `evict` ends one of what a namespace has, the oldest in front, which must give its place back at once. */
  constructor(total: number, perNamespace: number, evict: (holders: ReadonlySet<Holder>) => void) {
    this.#total = total;
    this.#perNamespace = perNamespace;
    this.#evict = evict;
  }

  /** Whether there is a place, which is given back with `release`. */
  take(namespace: string, holder: Holder): boolean {
    const own = this.#holders.countOf(namespace);
    if (own >= this.#perNamespace) return false;
    if (this.#taken >= this.#total && !this.#makeRoom(own)) return false;
    this.#holders.add(namespace, holder);
    this.#taken++;
    return true;
  }

  /** Gives back the place of this holder; false when it has none. */
  release(namespace: string, holder: Holder): boolean {
    const isReleased = this.#holders.delete(namespace, holder);
    if (isReleased) this.#taken--;
    return isReleased;
  }

  /** What a namespace has, the oldest in front. */
  holdersOf(namespace: string): ReadonlySet<Holder> {
    return this.#holders.of(namespace);
  }

  /** Puts a holder behind the others of its namespace, as if it were the newest. */
  moveToBack(namespace: string, holder: Holder): void {
    this.#holders.moveToBack(namespace, holder);
  }

  #makeRoom(own: number): boolean {
    if (this.#holders.most < own + 2) return false;
    this.#evict(this.#holders.ofHeaviest());
    return this.#taken < this.#total;
  }
}
