import { inOnePiece } from '../../http/one-piece.ts';

/** Beyond so many values, all of them are forgotten. */
const MOST_VALUES = 256;
/** Longer ones are not kept. */
const LONGEST_VALUE = 256;

/** What is written for values that come again and again, so that it is not put together for each. */
export class KnownTexts {
  readonly #write: (value: string) => string;
  readonly #texts = new Map<string, string>();

  constructor(write: (value: string) => string) {
    this.#write = write;
  }

  of(value: string): string {
    const known = this.#texts.get(value);
    if (known !== undefined) return known;
    const text = inOnePiece(this.#write(value));
    if (value.length > LONGEST_VALUE) return text;
    if (this.#texts.size === MOST_VALUES) this.#texts.clear();
    // A part of a longer text would keep all of it.
    this.#texts.set(inOnePiece(value), text);
    return text;
  }
}
