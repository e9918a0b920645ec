import type { Clock } from '../kubernetes/clock.ts';
import { MAX_REFERENCES } from '../model/object-reader.ts';
import { type Reference, namespaceOf, referenceParts } from '../model/objects.ts';
import type { ObjectChange, Unreadable } from '../model/snapshot.ts';
import type { Reflector } from './reflector.ts';

export interface NamedObjectsOptions {
  readonly clock: Clock;
  /** The Secrets and ConfigMaps that an object names; none when it is not ours, or is of a kind that names none. */
  readonly namedBy: (change: ObjectChange) => readonly Reference[];
  /** Starts to watch one object. */
  readonly watch: (reference: Reference, told: NamedObjectListener) => Reflector;
  /** What to apply to the snapshot, in this order. */
  readonly onChanges: (changes: readonly ObjectChange[]) => void;
  /** Why an object cannot be read; null when it can, or is not wanted any more. */
  readonly onUnreadable: (reference: Reference, reason: Unreadable | null) => void;
}

export interface NamedObjectListener {
  readonly onChanges: (changes: readonly ObjectChange[]) => void;
  readonly onListed: () => void;
  readonly onStateChange: () => void;
}

/** An object is held back for this long at most. */
const LISTED_WITHIN_MS = 10_000;

/** `Kind key` of an object that names others. */
type NamingId = string;

/** In place of such an object. */
const PORTICO_ITSELF: NamingId = '';

interface NamedObject {
  readonly namedIn: Set<NamingId>;
  /** Null when there are too many. */
  reflector: Reflector | null;
  /** Whether what there is of it is known, or was waited for in vain. */
  known: boolean;
  readonly whenKnown: PromiseWithResolvers<void>;
  cancel: () => void;
}

/**
 * Watches the Secrets and ConfigMaps that Ingresses and objects of Gateway API name, each by itself and for as long as one
 * names it, as kubelets do: no other object is read. What names a new one is held back until that is known, so that it is
 * never compiled as if the object were missing.
 */
export class NamedObjects {
  readonly #options: NamedObjectsOptions;
  readonly #objects = new Map<Reference, NamedObject>();
  /** What each object names, as it is served and as it is held back. */
  readonly #names = new Map<NamingId, readonly Reference[]>();
  /** Objects that wait for what they name. */
  readonly #held = new Map<NamingId, ObjectChange>();
  readonly #watchedIn = new Map<string, number>();
  readonly #tooMany = new Map<string, Set<Reference>>();
  /** Objects that are not named any more: they leave the snapshot after what named them last. */
  #gone: ObjectChange[] = [];
  #watched = 0;

  constructor(options: NamedObjectsOptions) {
    this.#options = options;
  }

  reflectors(): readonly Reflector[] {
    return [...this.#objects.values()].flatMap(({ reflector }) => reflector ?? []);
  }

  /** Resolves when everything that is named is known; some of it may be named by what became known meanwhile. */
  async allKnown(): Promise<void> {
    for (;;) {
      const unknown = [...this.#objects.values()].filter(({ known }) => !known);
      if (unknown.length === 0) return;
      await Promise.all(unknown.map(({ whenKnown }) => whenKnown.promise));
    }
  }

  /** Follows what Portico itself is told to read. Gives what there is to change because of it. */
  keep(references: readonly Reference[]): readonly ObjectChange[] {
    this.#rename(PORTICO_ITSELF, references);
    return this.#gone.splice(0);
  }

  /** Follows what objects name now, without holding any of them back. Gives what there is to change because of it. */
  follow(objects: Iterable<ObjectChange>): readonly ObjectChange[] {
    for (const each of objects) this.#rename(idOf(each), this.#options.namedBy(each));
    return this.#gone.splice(0);
  }

  /** The changes that may be served now. What names something unknown comes later, through `onChanges`. */
  admit(changes: readonly ObjectChange[]): readonly ObjectChange[] {
    const admitted = changes.filter((change) => {
      const id = idOf(change);
      const next = this.#options.namedBy(change);
      if (next.length === 0 && !this.#names.has(id)) return true;
      // What it named until now is needed for as long as it is served as it was.
      this.#rename(id, [...new Set([...(this.#names.get(id) ?? []), ...next])]);
      if (next.some((reference) => this.#objects.get(reference)?.known === false)) {
        this.#held.set(id, change);
        return false;
      }
      this.#held.delete(id);
      this.#rename(id, next);
      return true;
    });
    return [...admitted, ...this.#gone.splice(0)];
  }

  async stop(): Promise<void> {
    for (const { cancel } of this.#objects.values()) cancel();
    await Promise.all(this.reflectors().map((reflector) => reflector.stop()));
  }

  #rename(id: NamingId, after: readonly Reference[]): void {
    const before = this.#names.get(id) ?? [];
    if (after.length > 0) this.#names.set(id, after);
    else this.#names.delete(id);
    for (const reference of after) {
      const object = this.#objects.get(reference) ?? this.#add(reference, id !== PORTICO_ITSELF);
      object.namedIn.add(id);
    }
    for (const reference of before) if (!after.includes(reference)) this.#forget(reference, id);
  }

  /** `isUrgent`: somebody is held back until it is known. */
  #add(reference: Reference, isUrgent: boolean): NamedObject {
    const object: NamedObject = {
      namedIn: new Set(),
      reflector: null,
      known: false,
      whenKnown: Promise.withResolvers(),
      cancel: () => {},
    };
    this.#objects.set(reference, object);
    this.#start(reference, object, isUrgent);
    return object;
  }

  #start(reference: Reference, object: NamedObject, isUrgent: boolean): void {
    const { clock, watch, onChanges, onUnreadable } = this.#options;
    const namespace = namespaceIn(reference);
    const inNamespace = this.#watchedIn.get(namespace) ?? 0;
    if (!hasRoom(inNamespace, this.#watched)) {
      const others = this.#tooMany.get(namespace) ?? new Set();
      this.#tooMany.set(namespace, others.add(reference));
      object.known = true;
      object.whenKnown.resolve();
      return onUnreadable(reference, 'too-many');
    }
    this.#watchedIn.set(namespace, inNamespace + 1);
    this.#watched++;
    const isCurrent = (): boolean => this.#objects.get(reference) === object;
    const becameKnown = (): void => {
      if (object.known || !isCurrent()) return;
      object.known = true;
      object.whenKnown.resolve();
      object.cancel();
      this.#release(object);
    };
    // What holds for all hosts may say who is kept out: nothing is served before it is known.
    if (isUrgent) object.cancel = clock.setTimeout(becameKnown, LISTED_WITHIN_MS);
    let forbidden = false;
    object.reflector = watch(reference, {
      onChanges: (changes) => isCurrent() && onChanges(changes),
      onListed: becameKnown,
      onStateChange() {
        if (!isCurrent() || !object.reflector) return;
        const now = object.reflector.forbidden !== null;
        if (now !== forbidden) onUnreadable(reference, now ? 'forbidden' : null);
        forbidden = now;
        if (now && !isUrgent) becameKnown();
      },
    });
  }

  #forget(reference: Reference, id: NamingId): void {
    const object = this.#objects.get(reference);
    object?.namedIn.delete(id);
    if (!object || object.namedIn.size > 0) return;
    const namespace = namespaceIn(reference);
    this.#objects.delete(reference);
    object.whenKnown.resolve();
    object.cancel();
    this.#options.onUnreadable(reference, null);
    if (!object.reflector) return void this.#tooMany.get(namespace)?.delete(reference);
    void object.reflector.stop();
    this.#watched--;
    this.#watchedIn.set(namespace, (this.#watchedIn.get(namespace) ?? 1) - 1);
    this.#gone.push(...object.reflector.drop());
    this.#startNext(namespace);
  }

  /** The first that there was no room for. */
  #startNext(namespace: string): void {
    const waiting = this.#tooMany.get(namespace);
    const [next] = waiting ?? [];
    const object = next && this.#objects.get(next);
    if (!next || !object) return;
    waiting?.delete(next);
    this.#options.onUnreadable(next, null);
    object.known = false;
    this.#start(next, object, true);
  }

  #release({ namedIn }: NamedObject): void {
    const waiting = [...namedIn].flatMap((id) => this.#held.get(id) ?? []);
    if (waiting.length > 0) this.#options.onChanges(waiting);
  }
}

function hasRoom(inNamespace: number, inAll: number): boolean {
  const { perNamespace, perNamespaceWhenMany, many, total } = MAX_REFERENCES;
  return inAll < total && inNamespace < (inAll < many ? perNamespace : perNamespaceWhenMany);
}

function idOf({ kind, key }: ObjectChange): NamingId {
  return `${kind} ${key}`;
}

function namespaceIn(reference: Reference): string {
  return namespaceOf(referenceParts(reference).key);
}
