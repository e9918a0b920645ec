import { type Problem, describeObject } from './routing/problem.ts';

/** Where a problem stands in a file. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `shop.yaml:12:9: Ingress shop/web spec.rules[0].host: … (HostInvalid)`; without a file it begins with the object. */
export function problemLine(problem: Problem, place: Place | null): string {
  const where = place ? `${place.file}:${place.line}:${place.column}: ` : '';
  const what = problem.object.kind === 'File' ? '' : `${describeObject(problem.object)} `;
  const field = problem.field ? `${problem.field}: ` : what && ': ';
  return `${where}${what}${field}${problem.message} (${problem.code})`.replace(' : ', ': ');
}
