import type { Compilation } from '../routing/compile/compile.ts';
import type { ObjectKey } from '../model/objects.ts';
import { difference, entries, get } from '../model/sharded-map.ts';
import { addressText, statusAddresses } from './addresses.ts';
import { owns } from './status.ts';

/**
 * Which Ingresses we serve, and which we no longer do. Every replica keeps this, so that the next leader knows
 * what its predecessor left behind.
 */
export interface OwnedIngresses {
  /** Takes the next compilation. Returns the Ingresses to check again. */
  advance(next: Compilation): ReadonlySet<ObjectKey>;
  /** By Ingress that is no longer ours: what its status said when it last was. */
  released(key: ObjectKey): ReadonlySet<string> | undefined;
  forget(key: ObjectKey): void;
  /** What was written; the watch may not have delivered it yet. */
  wrote(key: ObjectKey, addresses: readonly string[]): void;
  all(): Iterable<ObjectKey>;
}

export function trackOwnedIngresses(): OwnedIngresses {
  const ours = new Set<ObjectKey>();
  const released = new Map<ObjectKey, Set<string>>();
  const written = new Map<ObjectKey, readonly string[]>();
  let previous: Compilation | null = null;

  const update = (key: ObjectKey, next: Compilation): void => {
    const before = previous && get(previous.snapshot.ingresses, key);
    if (get(next.snapshot.ingresses, key) === undefined) {
      for (const map of [ours, released, written]) map.delete(key);
    } else if (owns(next, key)) {
      ours.add(key);
      released.delete(key);
    } else if (ours.delete(key)) {
      const had = statusAddresses(before).filter((address) => address !== null);
      released.set(key, new Set([...had.map(addressText), ...(written.get(key) ?? [])]));
      written.delete(key);
    }
  };

  return {
    advance(next) {
      const affected = new Set<ObjectKey>();
      if (previous === null || previous.classes !== next.classes) {
        for (const [key] of entries(next.snapshot.ingresses)) affected.add(key);
      }
      if (previous) {
        for (const [key] of difference(previous.snapshot.ingresses, next.snapshot.ingresses))
          affected.add(key);
      }
      for (const key of affected) update(key, next);
      previous = next;
      return affected;
    },
    released: (key) => released.get(key),
    forget: (key) => void released.delete(key),
    wrote: (key, addresses) => void written.set(key, addresses),
    *all() {
      yield* ours;
      yield* released.keys();
    },
  };
}
