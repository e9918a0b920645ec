import type { Compilation } from '../routing/compile/compile.ts';
import type { ObjectKey } from '../model/objects.ts';
import { difference, entries, get } from '../model/sharded-map.ts';
import { addressText, statusAddresses } from './addresses.ts';
import { serves } from './status.ts';

/**
 * Which Ingresses we serve, and which we no longer do. Every replica keeps this, so that the next leader knows
 * what its predecessor left behind.
 */
export interface Served {
  /** Takes the next compilation. Answers the Ingresses to look at again. */
  advance(next: Compilation): ReadonlySet<ObjectKey>;
  /** By Ingress that is no longer ours: what its status said when it last was. */
  left(key: ObjectKey): ReadonlySet<string> | undefined;
  forget(key: ObjectKey): void;
  /** What was written and may not have come back through the watch yet. */
  wrote(key: ObjectKey, addresses: readonly string[]): void;
  all(): Iterable<ObjectKey>;
}

export function trackServed(): Served {
  const ours = new Set<ObjectKey>();
  const left = new Map<ObjectKey, Set<string>>();
  const written = new Map<ObjectKey, readonly string[]>();
  let previous: Compilation | null = null;

  const look = (key: ObjectKey, next: Compilation): void => {
    const before = previous && get(previous.snapshot.ingresses, key);
    if (get(next.snapshot.ingresses, key) === undefined) {
      for (const memory of [ours, left, written]) memory.delete(key);
    } else if (serves(next, key)) {
      ours.add(key);
      left.delete(key);
    } else if (ours.delete(key)) {
      const had = statusAddresses(before).filter((address) => address !== null);
      left.set(key, new Set([...had.map(addressText), ...(written.get(key) ?? [])]));
      written.delete(key);
    }
  };

  return {
    advance(next) {
      const touched = new Set<ObjectKey>();
      if (previous === null || previous.classes !== next.classes) {
        for (const [key] of entries(next.snapshot.ingresses)) touched.add(key);
      }
      if (previous) {
        for (const [key] of difference(previous.snapshot.ingresses, next.snapshot.ingresses))
          touched.add(key);
      }
      for (const key of touched) look(key, next);
      previous = next;
      return touched;
    },
    left: (key) => left.get(key),
    forget: (key) => void left.delete(key),
    wrote: (key, addresses) => void written.set(key, addresses),
    *all() {
      yield* ours;
      yield* left.keys();
    },
  };
}
