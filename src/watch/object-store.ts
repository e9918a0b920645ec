import { type Kind, type Kinds, type ObjectKey, objectKey } from '../model/objects.ts';
import type { ObjectChange } from '../model/snapshot.ts';

/** What one reflector holds: the objects of a kind, in one namespace or in all. Says what a snapshot must change. */
export class ObjectStore<K extends Kind> {
  readonly kind: K;
  #held = new Map<ObjectKey, Kinds[K] | undefined>();

  constructor(kind: K) {
    this.kind = kind;
  }

  get size(): number {
    return this.#held.size;
  }

  /** The same object at the same resourceVersion is no change; under another uid it is another object. */
  put(object: Kinds[K]): ObjectChange | undefined {
    const key = objectKey(object);
    const held = this.#held.get(key)?.metadata;
    const { uid, resourceVersion } = object.metadata ?? {};
    if (held && held.uid === uid && held.resourceVersion === resourceVersion) return undefined;
    this.#held.set(key, object);
    return changeOf(this.kind, key, object);
  }

  /** Everything put from now on is a change; what is held stays held. */
  forgetVersions(): void {
    for (const key of this.#held.keys()) this.#held.set(key, undefined);
  }

  delete(key: ObjectKey): ObjectChange | undefined {
    const held = this.#held.get(key);
    return this.#held.delete(key) ? gone(this.kind, key, held) : undefined;
  }

  /** Drops what a complete list did not have: it was deleted while nobody was watching. */
  retain(keys: ReadonlySet<ObjectKey>): ObjectChange[] {
    const lost = [...this.#held].filter(([key]) => !keys.has(key));
    for (const [key] of lost) this.#held.delete(key);
    return lost.map(([key, held]) => gone(this.kind, key, held));
  }
}

// TypeScript does not see that the pair (K, Kinds[K]) is one of the pairs of the union.
function gone<K extends Kind>(kind: K, key: ObjectKey, held: Kinds[K] | undefined): ObjectChange {
  const uid = held?.metadata?.uid;
  return { ...changeOf(kind, key, undefined), ...(uid ? { uid } : {}) } as ObjectChange;
}

function changeOf<K extends Kind>(kind: K, key: ObjectKey, object: Kinds[K] | undefined): ObjectChange {
  // TypeScript does not see that the pair (K, Kinds[K]) is one of the pairs of the union.
  return { kind, key, object } as ObjectChange;
}
