import type { Compilation } from '../routing/compile/compile.ts';
import type { ObjectKey } from '../model/objects.ts';
import { difference, entries, get } from '../model/sharded-map.ts';
import { addressText, statusAddresses } from './addresses.ts';
import { owns } from './ingress-status.ts';

/**
 * Which Ingresses we serve, and which we no longer do. Every replica keeps this, so that the next leader knows
 * what its predecessor left behind.
 */
export class OwnedIngresses {
  readonly #ours = new Set<ObjectKey>();
  readonly #released = new Map<ObjectKey, Set<string>>();
  readonly #written = new Map<ObjectKey, readonly string[]>();
  #previous: Compilation | null = null;

  /** Takes the next compilation. Returns the Ingresses to check again. */
  advance(next: Compilation): ReadonlySet<ObjectKey> {
    const previous = this.#previous;
    const affected = new Set<ObjectKey>();
    const isOtherLabels =
      next.settings.namespaceSelector && previous?.snapshot.namespaces !== next.snapshot.namespaces;
    if (previous === null || previous.classes !== next.classes || isOtherLabels) {
      for (const [key] of entries(next.snapshot.ingresses)) affected.add(key);
    }
    if (previous) {
      for (const [key] of difference(previous.snapshot.ingresses, next.snapshot.ingresses)) affected.add(key);
    }
    for (const key of affected) this.#update(key, next);
    this.#previous = next;
    return affected;
  }

  /** By Ingress that is no longer ours: what its status said when it last was. */
  released(key: ObjectKey): ReadonlySet<string> | undefined {
    return this.#released.get(key);
  }

  forget(key: ObjectKey): void {
    this.#released.delete(key);
  }

  /** What was written; the watch may not have delivered it yet. */
  wrote(key: ObjectKey, addresses: readonly string[]): void {
    this.#written.set(key, addresses);
  }

  *all(): Iterable<ObjectKey> {
    yield* this.#ours;
    yield* this.#released.keys();
  }

  #update(key: ObjectKey, next: Compilation): void {
    const before = this.#previous && get(this.#previous.snapshot.ingresses, key);
    if (get(next.snapshot.ingresses, key) === undefined) {
      for (const map of [this.#ours, this.#released, this.#written]) map.delete(key);
    } else if (owns(next, key)) {
      this.#ours.add(key);
      this.#released.delete(key);
    } else if (this.#ours.delete(key)) {
      const had = statusAddresses(before).filter((address) => address !== null);
      this.#released.set(key, new Set([...had.map(addressText), ...(this.#written.get(key) ?? [])]));
      this.#written.delete(key);
    }
  }
}
