/** Some cells of a table, as plain data that is cheap to copy to another thread. */
export interface SparseCells {
  /** Where each stands: its row times the number of columns, plus its column. */
  readonly places: Float64Array<ArrayBuffer>;
  readonly counts: Float64Array<ArrayBuffer>;
}

/** A table of counters in which most cells are 0 and take no memory. */
export class SparseCounts {
  readonly #columns: number;
  readonly #cells = new Map<number, number>();

  constructor(columns: number) {
    this.#columns = columns;
  }

  add(row: number, column: number, count = 1): void {
    const place = row * this.#columns + column;
    this.#cells.set(place, (this.#cells.get(place) ?? 0) + count);
  }

  /** Empties a row, and gives it what another one has, which is empty then. */
  replace(row: number, other: number): void {
    for (let column = 0; column < this.#columns; column++) {
      const from = other * this.#columns + column;
      const count = row === other ? undefined : this.#cells.get(from);
      this.#cells.delete(from);
      if (count === undefined) this.#cells.delete(row * this.#columns + column);
      else this.#cells.set(row * this.#columns + column, count);
    }
  }

  cells(): SparseCells {
    return {
      places: Float64Array.from(this.#cells.keys()),
      counts: Float64Array.from(this.#cells.values()),
    };
  }
}

/** The cells one by one. */
export function* cellsOf(
  { places, counts }: SparseCells,
  columns: number,
): Generator<{ readonly row: number; readonly column: number; readonly count: number }> {
  for (const [at, place] of places.entries()) {
    yield { row: Math.floor(place / columns), column: place % columns, count: counts[at]! };
  }
}
