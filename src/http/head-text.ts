import { type FieldsView, type HeaderField, separatorOf } from './head-edit.ts';

/**
 * The fields of a head as policies look them up: rarely, so that nothing is worked out before one is asked for. `text` is
 * the head in Latin-1, its lines ended by CRLF.
 */
export class HeadText implements FieldsView {
  readonly #text: string;
  #lower: string | null = null;

  constructor(text: string) {
    this.#text = text;
  }

  value(name: string): string | undefined {
    const values = this.values(name);
    return values.length === 0 ? undefined : values.join(separatorOf(name));
  }

  /** All of them, one by one. */
  all(): readonly HeaderField[] {
    // The first line is no field, and the last two are empty.
    const lines = this.#text.split('\r\n').slice(1, -2);
    return lines.map((line): HeaderField => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), withoutBlanks(line, colon + 1, line.length)];
    });
  }

  values(name: string): readonly string[] {
    const lower = (this.#lower ??= this.#text.toLowerCase());
    const start = `\r\n${name}:`;
    const values: string[] = [];
    for (let at = lower.indexOf(start); at >= 0; at = lower.indexOf(start, at + start.length)) {
      const from = at + start.length;
      values.push(withoutBlanks(this.#text, from, this.#text.indexOf('\r\n', from)));
    }
    return values;
  }
}

/** The text from `start` to `end`. Not trim(): to JavaScript more bytes are blank than to HTTP. */
function withoutBlanks(text: string, start: number, end: number): string {
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Of a request that never came to a head. */
export const NO_FIELDS: FieldsView = { value: () => undefined, values: () => [] };
