import { type UntypedObject, asObject, asString } from './untyped.ts';
import type { Kind, ObjectKey } from './objects.ts';

/** The object a problem is about, enough to find it and to attach an Event to it. */
export interface ObjectReference {
  readonly kind: Kind | (string & {});
  readonly namespace?: string;
  readonly name: string;
  readonly uid?: string;
}

export type Severity = 'error' | 'warning' | 'info';

/** Something a user should fix: about one of their objects, in their terms. */
export interface Problem {
  /** A stable CamelCase reason, as Kubernetes Events spell them: `ServiceNotFound`. */
  readonly code: string;
  readonly severity: Severity;
  readonly object: ObjectReference;
  /** The field as kubectl spells it: `spec.rules[0].http.paths[1].backend.service.name`; empty for the object. */
  readonly field: string;
  /** One sentence: what is wrong, what happens because of it, what to do. No line breaks. */
  readonly message: string;
}

/** What control characters a message could smuggle into a terminal or a log line. */
const CONTROL_CHARACTERS = /[\p{Cc}\u2028\u2029]/gu;

export function problem(
  severity: Severity,
  code: string,
  object: ObjectReference,
  field: string,
  message: string,
): Problem {
  return { code, severity, object, field, message: message.replace(CONTROL_CHARACTERS, '\uFFFD') };
}

/** The reference to the object that the snapshot has under `key`. */
export function referenceTo(kind: Kind, key: ObjectKey, object: unknown): ObjectReference {
  const slash = key.indexOf('/');
  const metadata: UntypedObject = asObject(asObject(object)['metadata']);
  const uid = asString(metadata['uid']);
  return {
    kind,
    ...(slash >= 0 && { namespace: key.slice(0, slash) }),
    name: key.slice(slash + 1),
    ...(uid !== undefined && { uid }),
  };
}

const SEVERITIES: readonly Severity[] = ['error', 'warning', 'info'];

/** Problems in a fixed order, worst first within an object, each once. */
export function sortProblems(problems: Iterable<Problem>): readonly Problem[] {
  const placed = [...problems].map(placeOf).sort(byPlace);
  const isLast = (each: Place, next: Place | undefined): boolean => !next || byPlace(each, next) !== 0;
  return placed.filter((each, i) => isLast(each, placed[i + 1])).map(({ problem }) => problem);
}

/** Where a problem stands among others. */
interface Place {
  readonly problem: Problem;
  readonly rank: number;
  /** So that paths[10] comes after paths[2]. */
  readonly field: string;
}

function placeOf(problem: Problem): Place {
  const field = problem.field.replaceAll(/\d+/g, (index) => index.padStart(6, '0'));
  return { problem, rank: SEVERITIES.indexOf(problem.severity), field };
}

function byPlace(a: Place, b: Place): number {
  return (
    byObject(a.problem.object, b.problem.object) ||
    a.rank - b.rank ||
    compare(a.field, b.field) ||
    compare(a.problem.code, b.problem.code) ||
    compare(a.problem.message, b.problem.message)
  );
}

function byObject(a: ObjectReference, b: ObjectReference): number {
  // Those of one object mostly share the reference to it.
  if (a === b) return 0;
  return compare(a.kind, b.kind) || compare(a.namespace ?? '', b.namespace ?? '') || compare(a.name, b.name);
}

function compare(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Problems that are listed of one object. */
export const MAX_PROBLEMS = 100;

/** The first of each code, then the others in their order, `limit` at most. Keeps the order of `found`. */
export function firstOfEachCode(found: readonly Problem[], limit: number): readonly Problem[] {
  if (found.length <= limit) return found;
  const byCode = new Map(found.toReversed().map((each) => [each.code, each]));
  const kept = new Set([...new Set([...byCode.values(), ...found])].slice(0, limit));
  return found.filter((each) => kept.has(each));
}

/** `Ingress shop/web` */
export function describeObject(object: ObjectReference): string {
  return `${object.kind} ${object.namespace ? `${object.namespace}/` : ''}${object.name}`;
}
