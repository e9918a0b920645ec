import type { ExternalNames } from '../balance/external-names.ts';

/** When each name of a namespace was last asked for, the one that was asked for least recently first. */
type AskedAt = Map<string, number>;

/** See `SubrequestLimits`. */
export interface NameLimits {
  readonly names: number;
  readonly giveWayMs: number;
  readonly forgetMs: number;
}

/**
 * The names of servers that policies ask, kept for each namespace by itself for as long as they are asked for. Clients may
 * choose them (`auth-url: http://$host/`), so their number is bounded.
 */
export class AskedNames {
  readonly #names: ExternalNames;
  readonly #limits: NameLimits;
  readonly #namespaces = new Map<string, AskedAt>();
  #sweptAt = 0;

  constructor(names: ExternalNames, limits: NameLimits) {
    this.#names = names;
    this.#limits = limits;
  }

  /** Keeps a name that is about to be asked for; false when there is no room for it. */
  keep(host: string, namespace: string, now: number): boolean {
    this.#sweep(now);
    const askedAt: AskedAt = this.#namespaces.get(namespace) ?? new Map();
    if (!askedAt.has(host)) {
      const { names, giveWayMs } = this.#limits;
      // Invented names must not keep out for long those that are asked for again and again.
      if (askedAt.size >= names) this.#forgetUnused(namespace, askedAt, now - giveWayMs);
      if (askedAt.size >= names) return false;
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
    const { forgetMs } = this.#limits;
    if (now < this.#sweptAt + forgetMs / 10) return;
    this.#sweptAt = now;
    for (const [namespace, askedAt] of this.#namespaces)
      this.#forgetUnused(namespace, askedAt, now - forgetMs);
  }

  /** Those that were last asked for at `until`, or before. */
  #forgetUnused(namespace: string, askedAt: AskedAt, until: number): void {
    for (const [host, at] of askedAt) {
      if (at > until) return;
      askedAt.delete(host);
      this.#names.release(host, namespace);
    }
    this.#namespaces.delete(namespace);
  }
}
