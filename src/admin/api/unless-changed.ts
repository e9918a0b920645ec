import { isDeepStrictEqual } from 'node:util';

/**
 * Gives the value it gave last for as long as all its fields are the same; lists are the same when all their items are.
 * `version` counts how often they were not.
 */
export class UnlessChanged<T extends object> {
  version = 0;
  #last: T | null = null;

  of(next: T): T {
    const last = this.#last;
    if (last !== null && Object.keys(next).every((key) => isSame(last[key as keyof T], next[key as keyof T])))
      return last;
    this.version++;
    return (this.#last = next);
  }
}

function isSame(a: unknown, b: unknown): boolean {
  return a === b || (Array.isArray(a) && Array.isArray(b) && isDeepStrictEqual(a, b));
}
