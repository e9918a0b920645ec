import { type EndpointIds, NO_ENDPOINTS } from './lost-readiness.ts';
import type { EndpointSlice, ObjectKey, Secret, Service } from './objects.ts';
import type { NameFault } from './name-fault.ts';
import { get } from './sharded-map.ts';
import type { Snapshot } from './snapshot.ts';

/** One object that something was compiled from, whether it exists or not; a Service stands for its slices too. */
export type Dependency = `Secret ${ObjectKey}` | `Service ${ObjectKey}`;

/**
 * Gives objects of one snapshot to whatever is being compiled, and records what it asked for. What asked for an object
 * is compiled again when that object appears, changes or goes.
 */
export class ObjectReader {
  readonly #snapshot: Snapshot;
  readonly #forbiddenSecrets: readonly string[];
  readonly #dependencies = new Set<Dependency>();

  /** `forbiddenSecrets`: the namespaces whose Secrets may not be read, or `*` for all. */
  constructor(snapshot: Snapshot, forbiddenSecrets: readonly string[] = []) {
    this.#snapshot = snapshot;
    this.#forbiddenSecrets = forbiddenSecrets;
  }

  /** Why `secret` gives none, as the beginning of a sentence; `what` is what the Secret should be. */
  secretAbsence(key: ObjectKey, what: string): string {
    const namespace = key.slice(0, key.indexOf('/'));
    return this.#forbiddenSecrets.includes('*') || this.#forbiddenSecrets.includes(namespace)
      ? `Portico may not read Secret ${key}: grant it the verbs "list" and "watch" on resource "secrets" (apply deploy/rbac.yaml)`
      : `There is no Secret ${key} ${what}`;
  }

  secret(key: ObjectKey): Secret | undefined {
    this.#dependencies.add(`Secret ${key}`);
    return get(this.#snapshot.secrets, key);
  }

  service(key: ObjectKey): Service | undefined {
    this.#dependencies.add(`Service ${key}`);
    return get(this.#snapshot.services, key);
  }

  /** The EndpointSlices of a Service, ordered by name. */
  endpointSlices(service: ObjectKey): readonly EndpointSlice[] {
    this.#dependencies.add(`Service ${service}`);
    return get(this.#snapshot.slicesByService, service) ?? [];
  }

  /** Those endpoints of a Service that were ready and are not any more; they change with its slices. */
  lostReadiness(service: ObjectKey): EndpointIds {
    this.#dependencies.add(`Service ${service}`);
    return get(this.#snapshot.lostReadiness, service) ?? NO_ENDPOINTS;
  }

  /** What was found out about the name of a Service; it counts as a part of it. */
  nameFault(service: ObjectKey): NameFault | undefined {
    this.#dependencies.add(`Service ${service}`);
    return get(this.#snapshot.nameFaults, service);
  }

  /** What was asked for so far, sorted. */
  dependencies(): readonly Dependency[] {
    return [...this.#dependencies].toSorted();
  }
}
