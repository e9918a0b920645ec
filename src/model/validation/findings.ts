import { type UntypedObject, isAbsent, isObject, quote } from '../untyped.ts';
import { type ObjectReference, type Problem, type Severity, problem } from '../problem.ts';

/** What is found wrong with one object, each with the field as kubectl spells it. */
export interface Findings {
  readonly problems: Problem[];
  required(field: string, what: string): void;
  invalid(field: string, value: unknown, reason: string): void;
  /** A field that the API does not have. What to say is asked only if it is listed: to find a similar name takes time. */
  unknown(field: string, message: () => string): void;
  /** A rule of the API that fields break together; it is a sentence without its full stop. */
  refused(field: string, rule: string): void;
  /** What works, but perhaps not everywhere. */
  warn(code: string, field: string, message: string): void;
  /** The same as `invalid`, unless something is said about the field already. */
  wrongType(field: string, value: unknown, reason: string): void;
  /** The list, or nothing when the field is absent or no list, which then is said. */
  list(parent: UntypedObject, name: string, path: string): readonly unknown[];
  /** The map of fields, or null when the field is absent or no map, which then is said. */
  map(value: unknown, path: string): UntypedObject | null;
  /** The string, or undefined when the field is absent or no string, which then is said. */
  string(parent: UntypedObject, name: string, path: string): string | undefined;
}

/** More are not worth the memory: few of them are ever listed. */
const MAX_FINDINGS = 1_000;
const CONSEQUENCE = 'the API server refuses such an object';

export function findingsOn(object: ObjectReference): Findings {
  const problems: Problem[] = [];
  const fields = new Set<string>();
  const report = (
    code: string,
    field: string,
    message: string | (() => string),
    severity: Severity = 'error',
  ): void => {
    if (problems.length === MAX_FINDINGS) return;
    const text = typeof message === 'string' ? message : message();
    problems.push(problem(severity, code, object, field, text));
    fields.add(field);
  };
  const invalid = (field: string, value: unknown, reason: string): void =>
    report('FieldInvalid', field, `${quote(value)} ${reason}; ${CONSEQUENCE}.`);
  return {
    problems,
    invalid,
    unknown: (field, message) => report('FieldUnknown', field, message),
    refused: (field, rule) => report('FieldInvalid', field, `${rule}; ${CONSEQUENCE}.`),
    warn: (code, field, message) => report(code, field, message, 'warning'),
    wrongType(field, value, reason) {
      if (!fields.has(field)) invalid(field, value, reason);
    },
    required: (field, what) => report('FieldRequired', field, `${what} is missing here; ${CONSEQUENCE}.`),
    list(parent, name, path) {
      const value = parent[name];
      if (Array.isArray(value)) return value;
      if (!isAbsent(value)) invalid(path, value, 'must be a list');
      return [];
    },
    map(value, path) {
      if (isObject(value)) return value;
      if (!isAbsent(value)) invalid(path, value, 'must be a map of fields');
      return null;
    },
    string(parent, name, path) {
      const value = parent[name];
      if (typeof value === 'string') return value;
      if (!isAbsent(value)) invalid(path, value, 'must be a string (put it in quotes)');
      return undefined;
    },
  };
}
