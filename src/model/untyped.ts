/**
 * Reading objects whose shape nobody has checked. An object from a manifest may hold a number where a list
 * belongs; these readers then answer as if the field were absent, and `validate` says what is wrong with it.
 */
export type UntypedObject = { readonly [name: string]: unknown };

const NOTHING: UntypedObject = Object.freeze({});

/** The value as a map of fields; empty when it is not one. */
export function asObject(value: unknown): UntypedObject {
  return isObject(value) ? value : NOTHING;
}

export function isObject(value: unknown): value is UntypedObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as a list; empty when it is not one. */
export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The value when it is a string. */
export function asString(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** The entries of a map of strings, such as annotations; entries of other types are left out. */
export function stringEntries(value: unknown): readonly (readonly [string, string])[] {
  return Object.entries(asObject(value)).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
}

export function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

export function isPortNumber(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65535;
}

/** A value as a message may show it: short, quoted, on one line. */
export function quote(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (isAbsent(value)) return 'nothing';
  return Array.isArray(value) ? 'a list' : 'a map';
}
