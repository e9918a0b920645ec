/** Gives the value it gave last for as long as all its fields are the same. `version` counts how often they were not. */
export class UnlessChanged<T extends object> {
  version = 0;
  #last: T | null = null;

  of(next: T): T {
    const last = this.#last;
    if (last !== null && Object.keys(next).every((key) => last[key as keyof T] === next[key as keyof T]))
      return last;
    this.version++;
    return (this.#last = next);
  }
}
