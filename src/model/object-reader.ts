import { compactList } from './compact.ts';
import type { NameRules } from './refused-addresses.ts';
import { type EndpointIds, NO_ENDPOINTS } from './lost-readiness.ts';
import {
  type ConfigMap,
  type EndpointSlice,
  type GatewayResource,
  type ObjectKey,
  type Reference,
  type Secret,
  type Service,
  namespaceOf,
  referenceParts,
} from './objects.ts';
import type { NameFault } from './name-fault.ts';
import { get } from './sharded-map.ts';
import { type UntypedObject, asObject } from './untyped.ts';
import type { Snapshot } from './snapshot.ts';

/** One object that something was compiled from, whether it exists or not; a Service stands for its slices too. */
export type Dependency =
  | Reference
  | `Service ${ObjectKey}`
  /** The Service alone, without its slices. */
  | `ServiceSpec ${ObjectKey}`
  /** The labels of a namespace. */
  | `Namespace ${string}`
  /** All of a namespace. */
  | `ReferenceGrants ${string}`
  | `BackendTLSPolicies ${string}`;

/**
 * How many objects the annotations of one namespace may name. Each is a watch of its own, and API servers take 1,000
 * streams on a connection.
 */
export const MAX_REFERENCES = { perNamespace: 100, perNamespaceWhenMany: 10, many: 400, total: 800 };

/** What may be read, by the rights and the flags. */
export interface ReadableObjects {
  /** The namespaces whose Secrets may not be read, or `*` for all; none when absent. */
  readonly forbiddenSecrets?: readonly string[];
  /** Whether annotations may name Secrets and ConfigMaps of other namespaces; no when absent. */
  readonly allowCrossNamespaceReferences?: boolean;
  /** Whether limits of all replicas together have a store; yes when absent. */
  readonly hasLimitStore?: boolean;
  /** What annotations of ingress-nginx begin with, before the `/`: that of ingress-nginx when absent. */
  readonly annotationsPrefix?: string;
  /** Whether spans have a collector; yes when absent. */
  readonly hasCollector?: boolean;
  /** As for ExternalNames: see `NameRules`. No when absent. */
  readonly allowLoopback?: boolean;
  readonly allowCrossNamespaceExternalNames?: boolean;
}

const GRANTS = {
  Secret: '"secrets" (apply deploy/rbac.yaml)',
  ConfigMap: '"configmaps" (apply deploy/variants/configmaps.yaml)',
};

/**
 * Gives objects of one snapshot to whatever is being compiled, and records what it asked for. What asked for an object
 * is compiled again when that object appears, changes or goes.
 */
export class ObjectReader {
  readonly #snapshot: Snapshot;
  readonly #forbiddenSecrets: readonly string[];
  readonly #dependencies = new Set<Dependency>();
  /** Whether annotations may name objects of other namespaces. */
  readonly acrossNamespaces: boolean;
  readonly hasLimitStore: boolean;
  /** See `ReadableObjects`. */
  readonly annotationsPrefix: string | undefined;
  readonly hasCollector: boolean;
  /** Which hosts annotations may name. */
  readonly nameRules: NameRules;

  constructor(
    snapshot: Snapshot,
    {
      forbiddenSecrets = [],
      hasLimitStore = true,
      hasCollector = true,
      allowCrossNamespaceReferences = false,
      allowLoopback = false,
      allowCrossNamespaceExternalNames = false,
      annotationsPrefix,
    }: ReadableObjects = {},
  ) {
    this.#snapshot = snapshot;
    this.#forbiddenSecrets = forbiddenSecrets;
    this.hasLimitStore = hasLimitStore;
    this.annotationsPrefix = annotationsPrefix;
    this.hasCollector = hasCollector;
    this.acrossNamespaces = allowCrossNamespaceReferences;
    this.nameRules = { allowLoopback, allowCrossNamespaceExternalNames };
  }

  /** Why there is no such object, as the beginning of a sentence; `what` continues it with what the object should be. */
  absence(reference: Reference, what: string): string {
    const unreadable = get(this.#snapshot.unreadable, reference);
    if (unreadable === 'too-many')
      return `Annotations of its namespace name more objects than Portico watches, so ${reference} is not read: name at most ${MAX_REFERENCES.perNamespace}`;
    const { kind, key } = referenceParts(reference);
    const isForbidden = unreadable === 'forbidden' || (kind === 'Secret' && this.#isForbiddenSecret(key));
    return isForbidden
      ? `Portico may not read ${reference}: grant it the verbs "list" and "watch" on resource ${GRANTS[kind]}`
      : `There is no ${reference}${what === '' ? '' : ` ${what}`}`;
  }

  #isForbiddenSecret(key: ObjectKey): boolean {
    return this.#forbiddenSecrets.includes('*') || this.#forbiddenSecrets.includes(namespaceOf(key));
  }

  configMap(key: ObjectKey): ConfigMap | undefined {
    this.#dependencies.add(`ConfigMap ${key}`);
    return get(this.#snapshot.configMaps, key);
  }

  secret(key: ObjectKey): Secret | undefined {
    this.#dependencies.add(`Secret ${key}`);
    return get(this.#snapshot.secrets, key);
  }

  service(key: ObjectKey): Service | undefined {
    this.#dependencies.add(`Service ${key}`);
    return get(this.#snapshot.services, key);
  }

  /** A Service whose endpoints make no difference. */
  serviceSpec(key: ObjectKey): Service | undefined {
    this.#dependencies.add(`ServiceSpec ${key}`);
    return get(this.#snapshot.services, key);
  }

  /** The labels of a namespace; none where it is not known. */
  readonly namespaceLabels = (namespace: string): UntypedObject => {
    this.#dependencies.add(`Namespace ${namespace}`);
    return asObject(asObject(asObject(get(this.#snapshot.namespaces, namespace))['metadata'])['labels']);
  };

  /** The ReferenceGrants of a namespace, ordered by name. */
  referenceGrants(namespace: string): readonly GatewayResource[] {
    this.#dependencies.add(`ReferenceGrants ${namespace}`);
    return get(this.#snapshot.referenceGrantsByNamespace, namespace) ?? [];
  }

  /** The BackendTLSPolicies of a namespace, ordered by name. */
  backendTlsPolicies(namespace: string): readonly GatewayResource[] {
    this.#dependencies.add(`BackendTLSPolicies ${namespace}`);
    return get(this.#snapshot.backendTlsPoliciesByNamespace, namespace) ?? [];
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
    return compactList([...this.#dependencies].sort());
  }
}
