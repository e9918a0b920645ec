/** Who holds what, and who holds the most. Every step takes constant time, whatever there is. */
export class Holders<Holder> {
  /** What each owner has, the oldest first. */
  readonly #byOwner = new Map<string, Set<Holder>>();
  /** The owners that have so many; those with none are in no set. */
  readonly #byCount: Set<string>[] = [];
  #most = 0;

  /** The most that an owner has. */
  get most(): number {
    return this.#most;
  }

  /** What an owner has, the oldest in front. */
  of(owner: string): ReadonlySet<Holder> {
    return this.#byOwner.get(owner) ?? new Set();
  }

  countOf(owner: string): number {
    return this.#byOwner.get(owner)?.size ?? 0;
  }

  /** What the owner has that has the most, the oldest in front; of several the one that has had as many for longest. */
  ofHeaviest(): ReadonlySet<Holder> {
    const [heaviest = ''] = this.#byCount[this.#most] ?? [];
    return this.of(heaviest);
  }

  /** Adds one that no owner has yet. */
  add(owner: string, holder: Holder): void {
    let holders = this.#byOwner.get(owner);
    if (!holders) this.#byOwner.set(owner, (holders = new Set()));
    holders.add(holder);
    this.#move(owner, holders.size - 1, holders.size);
  }

  /** False when the owner does not have it. */
  delete(owner: string, holder: Holder): boolean {
    const holders = this.#byOwner.get(owner);
    if (!holders?.delete(holder)) return false;
    this.#move(owner, holders.size + 1, holders.size);
    if (holders.size === 0) this.#byOwner.delete(owner);
    return true;
  }

  /** Puts a holder behind the others of its owner, as if it were the newest. */
  moveToBack(owner: string, holder: Holder): void {
    const holders = this.#byOwner.get(owner);
    if (holders?.delete(holder)) holders.add(holder);
  }

  #move(owner: string, from: number, to: number): void {
    this.#byCount[from]?.delete(owner);
    if (to > 0) (this.#byCount[to] ??= new Set()).add(owner);
    if (to > this.#most) this.#most = to;
    else if (from === this.#most && this.#byCount[from]?.size === 0) this.#most = to;
  }
}
