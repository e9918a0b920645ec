import {
  COLON,
  CR,
  HTAB,
  LF,
  SP,
  UNDERSCORE,
  endOfValue,
  endOfWord,
  equalsIgnoringCase,
  text,
} from './bytes.ts';
import { FieldKind, fieldKind } from '../../http/field-names.ts';
import { separatorOf } from '../../http/head-edit.ts';
import { type Leniency, STRICT } from './leniency.ts';

/** What is wrong with a line of a head or trailer section. */
export type FieldFault =
  | 'bare-lf'
  | 'obs-fold'
  | 'bad-field-name'
  | 'bad-field-value'
  | 'too-many-fields'
  | 'head-too-large';

export type FieldProgress = 'more' | 'done' | FieldFault;

/** Numbers kept per field: name start, name end, value start, value end, and the start of the next line. */
const STRIDE = 5;

/**
 * The field lines of one message, up to and with the empty line, as places in the bytes they came in. Nothing is
 * copied and no string is made: what is relayed is relayed as ranges of the same bytes.
 *
 * Reading can stop anywhere and go on when more bytes are there; every byte is looked at once, in order, so what
 * comes out does not depend on where the bytes were split. All places are relative to the `base` of the message,
 * so the bytes may move between two calls.
 */
export class FieldBlock {
  readonly #limit: number;
  readonly #leniency: Leniency;
  readonly #places: Int32Array;
  readonly #kinds: Uint8Array;
  count = 0;
  /** Where the line starts that is being read; after `done`, the end of the block. */
  next = 0;
  /** How far that line was read. */
  #at = 0;
  /** Where its name ended; 0 before that. */
  #nameEnd = 0;
  /** Where the blanks began between its name and its colon; 0 for none. */
  #blanksAt = 0;
  /** There is an underscore in its name. */
  #isUnderscored = false;
  /** A line ended with LF alone, so that lines cannot be relayed as ranges of bytes. */
  hasBareLf = false;

  constructor(fieldCount: number, leniency: Leniency = STRICT) {
    this.#limit = fieldCount;
    this.#leniency = leniency;
    this.#places = new Int32Array(fieldCount * STRIDE);
    this.#kinds = new Uint8Array(fieldCount);
  }

  /** Starts over, with the first field line at `next` after the base. */
  reset(next: number): void {
    this.count = 0;
    this.next = this.#at = next;
    this.#nameEnd = this.#blanksAt = 0;
    this.#isUnderscored = false;
    this.hasBareLf = false;
  }

  /** Reads lines of `bytes` from `base` to `end`; the block may reach to `maxBytes` after the base. */
  read(bytes: Buffer, base: number, end: number, maxBytes: number): FieldProgress {
    const limit = Math.min(end, base + maxBytes);
    const unfinished = limit - base === maxBytes ? 'head-too-large' : 'more';
    let at = base + this.#at;
    for (;;) {
      const start = base + this.next;
      if (this.#nameEnd === 0) {
        if (at === limit) return unfinished;
        if (at === start) {
          const first = bytes[at];
          if (first === CR) {
            if (at + 1 === limit) return unfinished;
            if (bytes[at + 1] !== LF) return 'bad-field-name';
            this.next = this.#at = at + 2 - base;
            return 'done';
          }
          if (first === LF && this.#leniency.bareLf) {
            this.next = this.#at = at + 1 - base;
            return 'done';
          }
          if (first === SP || first === HTAB) return 'obs-fold';
          if (this.count === this.#limit) return 'too-many-fields';
        }
        if (this.#blanksAt === 0) at = this.#endOfName(bytes, at, limit);
        if (this.#leniency.blanks && at > start) at = this.#afterBlanks(bytes, base, at, limit);
        this.#at = at - base;
        if (at === limit) return unfinished;
        if (bytes[at] !== COLON || at === start) return bytes[at] === LF ? 'bare-lf' : 'bad-field-name';
        this.#nameEnd = at - base;
        at++;
      }
      at = endOfValue(bytes, at, limit);
      this.#at = at - base;
      if (at === limit) return unfinished;
      const end = at;
      if (bytes[at] === LF && this.#leniency.bareLf) {
        this.hasBareLf = true;
        at++;
      } else {
        if (bytes[at] !== CR) return bytes[at] === LF ? 'bare-lf' : 'bad-field-value';
        if (at + 1 === limit) return unfinished;
        if (bytes[at + 1] !== LF) return 'bad-field-value';
        at += 2;
      }
      this.#add(bytes, base, end, at);
      this.next = this.#at = at - base;
      this.#nameEnd = this.#blanksAt = 0;
      this.#isUnderscored = false;
    }
  }

  #endOfName(bytes: Buffer, from: number, limit: number): number {
    let at = endOfWord(bytes, from, limit);
    while (at < limit && bytes[at] === UNDERSCORE) {
      this.#isUnderscored = true;
      at = endOfWord(bytes, at + 1, limit);
    }
    return at;
  }

  /**
   * Skips blanks after a name. Before a colon they change places with it, so that the line becomes a proper one where
   * it is and can be relayed like any other.
   */
  #afterBlanks(bytes: Buffer, base: number, nameEnd: number, limit: number): number {
    let at = nameEnd;
    while (at < limit && isBlank(bytes[at])) at++;
    if (at > nameEnd && this.#blanksAt === 0) this.#blanksAt = nameEnd - base;
    if (this.#blanksAt === 0 || at === limit || bytes[at] !== COLON) return at;
    bytes[at] = SP;
    bytes[base + this.#blanksAt] = COLON;
    return base + this.#blanksAt;
  }

  /** Keeps the field of a line: its value ends at `end`, the line itself before `next`. */
  #add(bytes: Buffer, base: number, end: number, next: number): void {
    let valueStart = base + this.#nameEnd + 1;
    let valueEnd = end;
    while (valueStart < valueEnd && isBlank(bytes[valueStart])) valueStart++;
    while (valueEnd > valueStart && isBlank(bytes[valueEnd - 1])) valueEnd--;
    const places = this.#places;
    const at = this.count * STRIDE;
    places[at] = this.next;
    places[at + 1] = this.#nameEnd;
    places[at + 2] = valueStart - base;
    places[at + 3] = valueEnd - base;
    places[at + 4] = next - base;
    this.#kinds[this.count++] = fieldKind(bytes, base + this.next, base + this.#nameEnd, this.#isUnderscored);
  }

  kind(field: number): FieldKind {
    return (this.#kinds[field] ?? FieldKind.other) as FieldKind;
  }

  /** From now on no field of this kind is relayed. Gives how many there were. */
  drop(kind: FieldKind): number {
    let dropped = 0;
    for (let field = 0; field < this.count; field++) {
      if (this.#kinds[field] !== kind) continue;
      this.#kinds[field] = FieldKind.dropped;
      dropped++;
    }
    return dropped;
  }

  /** From now on this field is not relayed. */
  dropAt(field: number): void {
    this.#kinds[field] = FieldKind.dropped;
  }

  lineStart(field: number): number {
    return this.#places[field * STRIDE] ?? 0;
  }

  nameEnd(field: number): number {
    return this.#places[field * STRIDE + 1] ?? 0;
  }

  valueStart(field: number): number {
    return this.#places[field * STRIDE + 2] ?? 0;
  }

  valueEnd(field: number): number {
    return this.#places[field * STRIDE + 3] ?? 0;
  }

  /** After the CRLF, or the LF. */
  lineEnd(field: number): number {
    return this.#places[field * STRIDE + 4] ?? 0;
  }

  name(bytes: Buffer, base: number, field: number): string {
    return text(bytes, base + this.lineStart(field), base + this.nameEnd(field)).toLowerCase();
  }

  value(bytes: Buffer, base: number, field: number): string {
    return text(bytes, base + this.valueStart(field), base + this.valueEnd(field));
  }

  /** The values of all fields of a kind, joined with `, `; undefined when there is none. */
  valueOfKind(bytes: Buffer, base: number, kind: FieldKind): string | undefined {
    let joined: string | undefined;
    for (let field = 0; field < this.count; field++) {
      if (this.#kinds[field] !== kind) continue;
      const value = this.value(bytes, base, field);
      joined = joined === undefined ? value : `${joined}, ${value}`;
    }
    return joined;
  }

  /** The same by lower-case name, for what is asked for rarely. */
  valueOfName(bytes: Buffer, base: number, name: string): string | undefined {
    let joined: string | undefined;
    for (let field = 0; field < this.count; field++) {
      if (!equalsIgnoringCase(bytes, base + this.lineStart(field), base + this.nameEnd(field), name))
        continue;
      const value = this.value(bytes, base, field);
      joined = joined === undefined ? value : `${joined}${separatorOf(name)}${value}`;
    }
    return joined;
  }

  /** The same, each by itself. */
  valuesOfName(bytes: Buffer, base: number, name: string): readonly string[] {
    const values: string[] = [];
    for (let field = 0; field < this.count; field++) {
      if (this.nameEnd(field) - this.lineStart(field) !== name.length) continue;
      if (this.name(bytes, base, field) !== name) continue;
      values.push(this.value(bytes, base, field));
    }
    return values;
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === SP || byte === HTAB;
}

/** A trailer section, once the body before it is over; both null when there is none. */
export interface Trailers {
  readonly trailers: FieldBlock | null;
  readonly trailerBytes: Buffer | null;
}
