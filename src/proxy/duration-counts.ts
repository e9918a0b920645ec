import { LATENCY_BOUNDS_SECONDS, bucketOf } from './latency-bounds.ts';

/**
 * Durations are counted in cells between bounds of two kinds: those of a native histogram of Prometheus, each 2^(1/8) times
 * the one before, and `LATENCY_BOUNDS_SECONDS`. A cell lies in one bucket of either histogram, so that one count serves both.
 */
const SCHEMA = 3;
const BUCKETS_OF_OCTAVE = 2 ** SCHEMA;
/** Durations up to 61 µs are not told apart: they are the octave 0. The others double up to 36 hours. */
const SMALLEST_EXPONENT = -14;
const OCTAVES = 32;
/** What takes longer counts as that. */
const LONGEST_SECONDS = 2 ** (SMALLEST_EXPONENT + OCTAVES - 1);

interface Cell {
  /** The lower bound is that of the cell before. */
  readonly upper: number;
  /** The number that Prometheus gives the native bucket. */
  readonly native: number;
}

const cellsOfOctaves: readonly (readonly Cell[])[] = Array.from({ length: OCTAVES }, (_, octave) => {
  const exponent = SMALLEST_EXPONENT + octave - 1;
  if (octave === 0) return [{ upper: 2 ** SMALLEST_EXPONENT, native: SMALLEST_EXPONENT * BUCKETS_OF_OCTAVE }];
  const natives = Array.from({ length: BUCKETS_OF_OCTAVE }, (_, index) => ({
    upper: 2 ** exponent * 2 ** ((index + 1) / BUCKETS_OF_OCTAVE),
    native: exponent * BUCKETS_OF_OCTAVE + index + 1,
  }));
  const others = LATENCY_BOUNDS_SECONDS.flatMap((upper) => {
    const within = upper > 2 ** exponent ? natives.find((bucket) => upper <= bucket.upper) : undefined;
    return within && within.upper !== upper ? [{ upper, native: within.native }] : [];
  });
  return [...natives, ...others].toSorted((a, b) => a.upper - b.upper);
});

/** The cells of an octave are a page. Every page has as many: the last ones of some stay empty. */
const CELLS_OF_PAGE = Math.max(...cellsOfOctaves.map((cells) => cells.length));
const cells: readonly Cell[] = cellsOfOctaves.flatMap((ofOctave) =>
  Array.from({ length: CELLS_OF_PAGE }, (_, index) => ofOctave[index] ?? ofOctave.at(-1)!),
);
const UPPER = Float64Array.from(cells, ({ upper }) => upper);
const NATIVE_BUCKET = Int32Array.from(cells, ({ native }) => native);
const CLASSIC_BUCKET = Uint8Array.from(cells, ({ upper }) => bucketOf(upper));

/** A double begins with its exponent. With the first three bits of its fraction that tells an eighth of an octave. */
const LESSER_BITS = 17;
const FIRST_EIGHTH = (1023 + SMALLEST_EXPONENT - 1) * 8;
/** The first cell that has something of each eighth: the search begins there. */
const FIRST_CELL = new Uint16Array(OCTAVES * 8 + 1);
for (let eighth = 0, cell = 0; eighth < FIRST_CELL.length; eighth++) {
  const least = 2 ** (SMALLEST_EXPONENT - 1 + Math.floor(eighth / 8)) * (1 + (eighth % 8) / 8);
  while (UPPER[cell]! < least) cell++;
  FIRST_CELL[eighth] = cell;
}
const bits = new DataView(new ArrayBuffer(8));

function cellOf(duration: number): number {
  const seconds = Math.min(Math.max(duration, 0), LONGEST_SECONDS);
  bits.setFloat64(0, seconds);
  let cell = FIRST_CELL[Math.max((bits.getInt32(0) >> LESSER_BITS) - FIRST_EIGHTH, 0)]!;
  while (seconds > UPPER[cell]!) cell++;
  return cell;
}

/** The counts of many rows as plain data. */
export interface DurationTable {
  /** Of each row and octave the number of its page, counted from 1; 0 where nothing was counted. */
  readonly pageNumbers: Uint32Array<ArrayBuffer>;
  readonly pages: Float64Array<ArrayBuffer>;
}

/** What Prometheus calls a native histogram: buckets between powers of 2^(2^-schema). */
interface NativeBuckets {
  readonly schema: number;
  readonly zeroThreshold: number;
  /** How many were not above the threshold. */
  readonly zeroCount: number;
  /** Those that are not empty, by their numbers, in order: the bucket n ends at 2^(n·2^-schema). */
  readonly numbers: readonly number[];
  readonly counts: readonly number[];
}

/** Counts durations by row. Memory is taken for those octaves of a row in which there is one. */
export class DurationCounts {
  #pageNumbers = new Uint32Array(16 * OCTAVES);
  #pages = new Float64Array(64 * CELLS_OF_PAGE);
  #used = 0;
  readonly #free: number[] = [];

  add(row: number, seconds: number): void {
    const cell = cellOf(seconds);
    const octave = (cell / CELLS_OF_PAGE) | 0;
    this.#pages[this.#pageOf(row, octave) + cell - octave * CELLS_OF_PAGE]! += 1;
  }

  /** Adds what a row of another table has. */
  addRow(row: number, { pageNumbers, pages }: DurationTable, other: number): void {
    for (let octave = 0; octave < OCTAVES; octave++) {
      const number = pageNumbers[other * OCTAVES + octave]!;
      if (number === 0) continue;
      const from = (number - 1) * CELLS_OF_PAGE;
      const to = this.#pageOf(row, octave);
      for (let cell = 0; cell < CELLS_OF_PAGE; cell++) this.#pages[to + cell]! += pages[from + cell]!;
    }
  }

  /** Empties a row, and gives it what another one has, which is empty then. */
  replace(row: number, other: number): void {
    this.#makeRoom(Math.max(row, other));
    const numbers = this.#pageNumbers;
    for (let octave = 0; octave < OCTAVES; octave++) {
      const at = row * OCTAVES + octave;
      const number = numbers[at]!;
      if (number > 0) {
        this.#pages.fill(0, (number - 1) * CELLS_OF_PAGE, number * CELLS_OF_PAGE);
        this.#free.push(number);
      }
      numbers[at] = row === other ? 0 : numbers[other * OCTAVES + octave]!;
      numbers[other * OCTAVES + octave] = 0;
    }
  }

  /** The first `rows` rows, as they are until something is counted. */
  view(rows: number): DurationTable {
    this.#makeRoom(rows);
    return {
      pageNumbers: this.#pageNumbers.subarray(0, rows * OCTAVES),
      pages: this.#pages.subarray(0, this.#used * CELLS_OF_PAGE),
    };
  }

  /** Where the page begins. */
  #pageOf(row: number, octave: number): number {
    const at = row * OCTAVES + octave;
    if (at >= this.#pageNumbers.length) this.#makeRoom(row);
    const number = this.#pageNumbers[at]!;
    return ((number > 0 ? number : this.#addPage(at)) - 1) * CELLS_OF_PAGE;
  }

  #addPage(at: number): number {
    const number = this.#free.pop() ?? ++this.#used;
    this.#pageNumbers[at] = number;
    if (number * CELLS_OF_PAGE > this.#pages.length) this.#pages = twice(this.#pages);
    return number;
  }

  #makeRoom(row: number): void {
    while ((row + 1) * OCTAVES > this.#pageNumbers.length) {
      const larger = new Uint32Array(this.#pageNumbers.length * 2);
      larger.set(this.#pageNumbers);
      this.#pageNumbers = larger;
    }
  }
}

function twice(values: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(values.length * 2);
  larger.set(values);
  return larger;
}

/** The durations of one row. Each histogram is made where it is asked for. */
export class DurationsOfRow {
  readonly sumSeconds: number;
  readonly #table: DurationTable;
  readonly #row: number;

  constructor(table: DurationTable, row: number, sumSeconds: number) {
    this.sumSeconds = sumSeconds;
    this.#table = table;
    this.#row = row;
  }

  /** Per bucket of `LATENCY_BOUNDS_SECONDS`, not cumulative; one more entry than there are bounds. */
  get buckets(): Float64Array {
    const buckets = new Float64Array(LATENCY_BOUNDS_SECONDS.length + 1);
    this.#forEach((cell, count) => (buckets[CLASSIC_BUCKET[cell]!]! += count));
    return buckets;
  }

  get native(): NativeBuckets {
    let zeroCount = 0;
    const numbers: number[] = [];
    const counts: number[] = [];
    this.#forEach((cell, count) => {
      const number = NATIVE_BUCKET[cell]!;
      if (cell < CELLS_OF_PAGE) zeroCount += count;
      else if (numbers.at(-1) === number) counts[counts.length - 1]! += count;
      else {
        numbers.push(number);
        counts.push(count);
      }
    });
    return { schema: SCHEMA, zeroThreshold: 2 ** SMALLEST_EXPONENT, zeroCount, numbers, counts };
  }

  /** Cells that are not empty, from the shortest durations to the longest. */
  #forEach(visit: (cell: number, count: number) => void): void {
    const { pageNumbers, pages } = this.#table;
    for (let octave = 0; octave < OCTAVES; octave++) {
      const number = pageNumbers[this.#row * OCTAVES + octave]!;
      if (number === 0) continue;
      for (let cell = 0; cell < CELLS_OF_PAGE; cell++) {
        const count = pages[(number - 1) * CELLS_OF_PAGE + cell]!;
        if (count > 0) visit(octave * CELLS_OF_PAGE + cell, count);
      }
    }
  }
}
