/** Items in one answer. */
export const MAX_ITEMS = 500;
const DEFAULT_ITEMS = 100;
const MAX_OFFSET = 10_000_000;
const MAX_TEXT = 2_048;

/** Reads a query string. What is wrong with it gathers in `errors`, one line each. */
export class Query {
  readonly errors: string[] = [];
  readonly #given: URLSearchParams;
  readonly #known = new Set<string>();

  constructor(text: string) {
    this.#given = new URLSearchParams(text);
  }

  /** Empty when it is not given. */
  text(name: string): string {
    this.#known.add(name);
    const all = this.#given.getAll(name);
    if (all.length > 1) this.errors.push(`${name} is given ${all.length} times`);
    const [value = ''] = all;
    if (value.length > MAX_TEXT) this.errors.push(`${name} has more than ${MAX_TEXT} characters`);
    return value;
  }

  oneOf<const T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const given = this.text(name);
    const found = choices.find((each) => each === given);
    if (given !== '' && found === undefined)
      this.errors.push(`${name} is none of ${choices.filter(Boolean).join(', ')}`);
    return found ?? fallback;
  }

  flag(name: string): boolean {
    return this.oneOf(name, ['true', 'false'], 'false') === 'true';
  }

  page(): { readonly offset: number; readonly limit: number } {
    return {
      offset: this.number('offset', 0, MAX_OFFSET, 0),
      limit: this.number('limit', 1, MAX_ITEMS, DEFAULT_ITEMS),
    };
  }

  /** Called last: what nobody asked for is an error, since it is most likely a typing error. */
  end(): void {
    for (const name of new Set(this.#given.keys())) {
      if (!this.#known.has(name))
        this.errors.push(`there is no parameter ${JSON.stringify(name.slice(0, 40))}`);
    }
  }

  /** `fallback` when it is not given. */
  number(name: string, lowest: number, highest: number, fallback: number): number {
    const given = this.text(name);
    if (given === '') return fallback;
    const value = Number(given);
    if (/^\d{1,9}$/.test(given) && value >= lowest && value <= highest) return value;
    this.errors.push(`${name} is not a number from ${lowest} to ${highest}`);
    return fallback;
  }
}
