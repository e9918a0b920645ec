import type { Kind } from './objects.ts';
import type { Problem } from './problem.ts';

/** What the API server would refuse an object for; an object read from a file never passed it. */
export function validateObject(_kind: Kind, _object: unknown): readonly Problem[] {
  return [];
}
