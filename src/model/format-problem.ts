import { type Problem, describeObject } from './problem.ts';

/** A position in a file; lines and columns count from 1. */
export interface SourceLocation {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `shop.yaml:12:9: Ingress shop/web spec.rules[0].host: … (HostInvalid)`; without a place it begins with the object. */
export function formatProblem(problem: Problem, place: SourceLocation | null): string {
  const { object, field, message, code } = problem;
  // A problem of a file as a whole is placed already when there is a place.
  const subject = object.kind === 'File' && place ? field : problemSubject(problem);
  const where = place ? `${place.file}:${place.line}:${place.column}: ` : '';
  return `${where}${subject ? `${subject}: ` : ''}${message} (${code})`;
}

/** `Ingress shop/web spec.rules[0].host`, or the name of a file. */
export function problemSubject({ object, field }: Problem): string {
  return [object.kind === 'File' ? object.name : describeObject(object), field].filter(Boolean).join(' ');
}
