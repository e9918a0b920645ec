/** What an entry costs beside its name and its value (RFC 7541 4.1). */
export const ENTRY_BYTES = 32;

/** The size of a table before anything was said about it (RFC 9113 6.5.2). */
export const DEFAULT_TABLE_BYTES = 4096;

/**
 * The fields that came last on a connection (RFC 7541 2.3.2), in a ring. Each has a number, counted from 0 in the order
 * of their coming; those from `oldest` to below `next` are there.
 */
export class DynamicTable {
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  readonly #mask: number;
  #maxBytes = DEFAULT_TABLE_BYTES;
  #bytes = 0;
  #oldest = 0;
  #next = 0;

  /** `mostBytes` is what it will ever be resized to. */
  constructor(mostBytes: number) {
    const slots = Math.max(1, Math.floor(Math.max(mostBytes, DEFAULT_TABLE_BYTES) / ENTRY_BYTES));
    this.#mask = 2 ** Math.ceil(Math.log2(slots)) - 1;
  }

  get maxBytes(): number {
    return this.#maxBytes;
  }

  get oldest(): number {
    return this.#oldest;
  }

  get next(): number {
    return this.#next;
  }

  /** The name of an entry that is there. */
  name(entry: number): string {
    return this.#names[entry & this.#mask] ?? '';
  }

  /** The value of an entry that is there. */
  value(entry: number): string {
    return this.#values[entry & this.#mask] ?? '';
  }

  /** Adds an entry and drops as many as must go for it; one that is larger than the table drops all (RFC 7541 4.4). */
  add(name: string, value: string): void {
    const bytes = name.length + value.length + ENTRY_BYTES;
    this.#shrink(this.#maxBytes - bytes);
    if (bytes > this.#maxBytes) return;
    const slot = this.#next++ & this.#mask;
    this.#names[slot] = name;
    this.#values[slot] = value;
    this.#bytes += bytes;
  }

  /** RFC 7541 4.3 */
  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#shrink(maxBytes);
  }

  #shrink(bytes: number): void {
    while (this.#bytes > bytes && this.#oldest < this.#next) {
      const slot = this.#oldest++ & this.#mask;
      this.#bytes -= (this.#names[slot] ?? '').length + (this.#values[slot] ?? '').length + ENTRY_BYTES;
      // What is dropped must not be kept in memory.
      this.#names[slot] = '';
      this.#values[slot] = '';
    }
  }
}
