/**
 * The first `max` of what is added, in an order, and how many were added in all. To add one costs the same however many there
 * were; of equals the earlier one comes first.
 */
export class Shortlist<T> {
  readonly #max: number;
  readonly #compare: (a: T, b: T) => number;
  readonly #items: T[] = [];
  #count = 0;

  constructor(max: number, compare: (a: T, b: T) => number) {
    this.#max = max;
    this.#compare = compare;
  }

  get items(): readonly T[] {
    return this.#items;
  }

  get count(): number {
    return this.#count;
  }

  add(item: T): void {
    this.#count++;
    const items = this.#items;
    let [from, to] = [0, items.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      const other = items[middle];
      if (other !== undefined && this.#compare(other, item) <= 0) from = middle + 1;
      else to = middle;
    }
    if (from === this.#max) return;
    items.splice(from, 0, item);
    if (items.length > this.#max) items.pop();
  }
}
