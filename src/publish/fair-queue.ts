/** Keys that wait, each once. Groups take turns: a key waits for one of each other group, however many those have. */
export class FairQueue {
  /** In the order of their turns. */
  readonly #groups = new Map<string, Set<string>>();
  readonly #paused = new Set<string>();

  add(group: string, key: string): void {
    const keys = this.#groups.get(group);
    if (keys) keys.add(key);
    else this.#groups.set(group, new Set([key]));
  }

  /** Nothing of the group is taken until it is resumed. */
  pause(group: string): void {
    this.#paused.add(group);
  }

  resume(group: string): void {
    this.#paused.delete(group);
  }

  get isPaused(): boolean {
    return this.#paused.size > 0;
  }

  /** Whether there is a key to take. */
  get isReady(): boolean {
    return this.#next() !== null;
  }

  /** The oldest key of the group whose turn it is; null when there is none. */
  take(): { readonly group: string; readonly key: string } | null {
    const next = this.#next();
    if (next === null) return null;
    const { group, keys } = next;
    const [key = ''] = keys;
    keys.delete(key);
    this.#groups.delete(group);
    if (keys.size > 0) this.#groups.set(group, keys);
    return { group, key };
  }

  #next(): { group: string; keys: Set<string> } | null {
    for (const [group, keys] of this.#groups) if (!this.#paused.has(group)) return { group, keys };
    return null;
  }
}
