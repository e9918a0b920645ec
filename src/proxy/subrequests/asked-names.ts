import type { ExternalNames } from '../balance/external-names.ts';

/** When each name of a namespace was last asked for, the one that was asked for least recently first. */
type AskedAt = Map<string, number>;

/**
 * The names of servers that policies ask, kept for each namespace by itself for as long as they are asked for. Clients may
 * choose them (`auth-url: http://$host/`), so their number is bounded.
 */
export class AskedNames {
  readonly #names: ExternalNames;
  readonly #most: number;
  readonly #forgetMs: number;
  readonly #namespaces = new Map<string, AskedAt>();
  #sweptAt = 0;

  /** `most` names of a namespace; those that were not asked for in `forgetMs` give way. */
  constructor(names: ExternalNames, most: number, forgetMs: number) {
    this.#names = names;
    this.#most = most;
    this.#forgetMs = forgetMs;
  }

  /** Keeps a name that is about to be asked for; false when there is no room for it. */
  keep(host: string, namespace: string, now: number): boolean {
    this.#sweep(now);
    const askedAt: AskedAt = this.#namespaces.get(namespace) ?? new Map();
    if (!askedAt.has(host)) {
      if (askedAt.size >= this.#most) this.#forgetUnused(namespace, askedAt, now);
      if (askedAt.size >= this.#most) return false;
      this.#names.keep(host, namespace);
      this.#namespaces.set(namespace, askedAt);
    }
    askedAt.delete(host);
    askedAt.set(host, now);
    return true;
  }

  /** Forgets all of them. */
  close(): void {
    for (const [namespace, askedAt] of this.#namespaces)
      this.#forgetUnused(namespace, askedAt, Number.POSITIVE_INFINITY);
  }

  #sweep(now: number): void {
    if (now < this.#sweptAt + this.#forgetMs / 10) return;
    this.#sweptAt = now;
    for (const [namespace, askedAt] of this.#namespaces) this.#forgetUnused(namespace, askedAt, now);
  }

  #forgetUnused(namespace: string, askedAt: AskedAt, now: number): void {
    for (const [host, at] of askedAt) {
      if (now < at + this.#forgetMs) return;
      askedAt.delete(host);
      this.#names.release(host, namespace);
    }
    this.#namespaces.delete(namespace);
  }
}
