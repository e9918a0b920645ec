/** The header fields of a message as they are before an edit. Names are in lower case. */
export interface FieldsView {
  /** The values of all fields of a name, joined with `, `, those of `cookie` with `; `; undefined when there is none. */
  value(name: string): string | undefined;
  /** The values of the fields of a name, each by itself: `Set-Cookie` cannot be joined (RFC 9110 5.3). */
  values(name: string): readonly string[];
}

/** What joins several fields of one name: commas (RFC 9110 5.3), but for cookies (RFC 9113 8.2.3). */
export function separatorOf(lowerName: string): string {
  return lowerName === 'cookie' ? '; ' : ', ';
}

/** `Name` and value as they are written. */
export type HeaderField = readonly [name: string, value: string];

/** Fields of different names that many messages get alike; what setting them takes is worked out once. */
export interface FieldSet {
  readonly fields: readonly HeaderField[];
  /** In lower case. */
  readonly names: ReadonlySet<string>;
  /** As `HeadEdit` keeps them. */
  readonly lengths: number;
}

/** The last field of each name counts. */
export function fieldSet(fields: readonly HeaderField[]): FieldSet {
  const byName = new Map(fields.map((field) => [field[0].toLowerCase(), field]));
  const names = new Set(byName.keys());
  let lengths = 0;
  for (const name of names) lengths |= lengthBit(name.length);
  return { fields: [...byName.values()], names, lengths };
}

/** A bit for a length, modulo 32. */
function lengthBit(length: number): number {
  return 1 << (length & 31);
}

/**
 * What is changed in the header fields of one message: a short list, applied once when the head is written, the same for
 * HTTP/1.1, HTTP/2 and responses that Portico makes itself. Fields that nobody names stay the bytes they are.
 *
 * Names are compared without case; a name or value must be valid, which is checked when a policy is parsed.
 */
export class HeadEdit {
  readonly #fields: FieldsView;
  /** The names whose fields do not stay; most heads need no set of their own. */
  #replaced: Set<string> | null = null;
  /** The same, of the field sets. */
  readonly #sets: ReadonlySet<string>[] = [];
  /** A bit for the length of each of these names, so that most fields are passed over at a glance. */
  #lengths = 0;
  readonly #added: HeaderField[] = [];

  constructor(fields: FieldsView) {
    this.#fields = fields;
  }

  /** The value that the head will have, or undefined. */
  value(name: string): string | undefined {
    const lower = name.toLowerCase();
    const added = this.#added.filter(([each]) => each.toLowerCase() === lower).map(([, value]) => value);
    const before = this.drops(lower) ? undefined : this.#fields.value(lower);
    const values = before === undefined ? added : [before, ...added];
    return values.length === 0 ? undefined : values.join(', ');
  }

  /** The values that the head will have, each by itself. */
  values(name: string): readonly string[] {
    const lower = name.toLowerCase();
    const added = this.#added.filter(([each]) => each.toLowerCase() === lower).map(([, value]) => value);
    return this.drops(lower) ? added : [...this.#fields.values(lower), ...added];
  }

  /** Changes each field of this name by itself. Where none becomes another, they stay the bytes they are. */
  map(name: string, change: (value: string) => string): void {
    const before = this.values(name);
    const after = before.map(change);
    if (after.every((value, index) => value === before[index])) return;
    this.remove(name);
    for (const value of after) this.#added.push([name, value]);
  }

  has(name: string): boolean {
    return this.value(name) !== undefined;
  }

  /** One field of this name, instead of those that are there. */
  set(name: string, value: string): void {
    this.remove(name);
    this.#added.push([name, value]);
  }

  /** One more field of this name. */
  add(name: string, value: string): void {
    this.#added.push([name, value]);
  }

  /** The field, unless there is one of this name. */
  setDefault(name: string, value: string): void {
    if (!this.has(name)) this.#added.push([name, value]);
  }

  /** One field of each name, instead of those that are there. */
  setAll({ fields, names, lengths }: FieldSet): void {
    for (let i = this.#added.length - 1; i >= 0; i--) {
      if (names.has(this.#added[i]?.[0].toLowerCase() ?? '')) this.#added.splice(i, 1);
    }
    this.#added.push(...fields);
    this.#sets.push(names);
    this.#lengths |= lengths;
  }

  /** No field of this name. */
  remove(name: string): void {
    const lower = name.toLowerCase();
    for (let i = this.#added.length - 1; i >= 0; i--) {
      const added = this.#added[i]?.[0];
      if (added?.length === lower.length && added.toLowerCase() === lower) this.#added.splice(i, 1);
    }
    (this.#replaced ??= new Set()).add(lower);
    this.#lengths |= lengthBit(lower.length);
  }

  /** Whether every field stays as it is, and there is no other. */
  get isEmpty(): boolean {
    return this.#lengths === 0 && this.#added.length === 0;
  }

  /** What is written after the fields that stay. */
  get added(): readonly HeaderField[] {
    return this.#added;
  }

  /** Whether a field with a name of this length may be one that does not stay; most are not. */
  mayDrop(nameLength: number): boolean {
    return (this.#lengths & lengthBit(nameLength)) !== 0;
  }

  /** Whether the fields of a lower-case name do not stay. */
  drops(lowerName: string): boolean {
    if (this.#replaced?.has(lowerName)) return true;
    for (const names of this.#sets) if (names.has(lowerName)) return true;
    return false;
  }
}

/** Fields that are a list of pairs, as those of a local response are. */
export function fieldsViewOf(fields: readonly HeaderField[]): FieldsView {
  return {
    value(name) {
      const values = fields.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
      return values.length === 0 ? undefined : values.join(', ');
    },
    values: (name) => fields.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value),
  };
}

/** The fields of a pair list after an edit. */
export function applyEdit(fields: readonly HeaderField[], edit: HeadEdit): HeaderField[] {
  const kept = fields.filter(([name]) => !edit.mayDrop(name.length) || !edit.drops(name.toLowerCase()));
  return [...kept, ...edit.added];
}
