import { asObject, asString } from './untyped.ts';
import {
  type ConfigMap,
  type EndpointSlice,
  type Ingress,
  type IngressClass,
  type Kind,
  type Kinds,
  type ObjectKey,
  type Secret,
  type Service,
  objectKey,
} from './objects.ts';
import { type EndpointIds, NO_ENDPOINTS, lostReadiness } from './lost-readiness.ts';
import type { NameFault } from './name-fault.ts';
import type { Reference } from './objects.ts';
import { type MapEdit, type ShardedMap, edit, emptyMap, get } from './sharded-map.ts';

/** What the cluster says at one moment, frozen. Two snapshots share what did not change between them. */
export interface Snapshot {
  readonly generation: number;
  readonly ingresses: ShardedMap<Ingress>;
  readonly ingressClasses: ShardedMap<IngressClass>;
  readonly services: ShardedMap<Service>;
  readonly endpointSlices: ShardedMap<EndpointSlice>;
  /** Those of type `kubernetes.io/tls`, and those that annotations name. */
  readonly secrets: ShardedMap<Secret>;
  /** Those that annotations name. */
  readonly configMaps: ShardedMap<ConfigMap>;
  /** Why an object that an annotation names could not be read, by `Kind namespace/name`. */
  readonly unreadable: ShardedMap<Unreadable>;
  /** Index: the EndpointSlices of each Service by the Service's key, ordered by slice name. */
  readonly slicesByService: ShardedMap<readonly EndpointSlice[]>;
  /**
   * The one thing that the snapshots before add: endpoints that were ready in one of them and are neither ready nor
   * terminating now, by the key of their Service; no entry where there are none.
   */
  readonly lostReadiness: ShardedMap<EndpointIds>;
  /** What was found out about ExternalNames that requests wanted, by the key of their Service. */
  readonly nameFaults: ShardedMap<NameFault>;
}

export const EMPTY_SNAPSHOT: Snapshot = {
  generation: 0,
  ingresses: emptyMap(),
  ingressClasses: emptyMap(),
  services: emptyMap(),
  endpointSlices: emptyMap(),
  secrets: emptyMap(),
  configMaps: emptyMap(),
  unreadable: emptyMap(),
  slicesByService: emptyMap(),
  lostReadiness: emptyMap(),
  nameFaults: emptyMap(),
};

/** `forbidden`: the right to is missing. `too-many`: its namespace names more objects than are watched. */
export type Unreadable = 'forbidden' | 'too-many';

/** The object of a key as it is now, or, when `object` is undefined, the news that it is gone. */
export type ObjectChange = {
  [K in Kind]: {
    readonly kind: K;
    readonly key: ObjectKey;
    readonly object: Kinds[K] | undefined;
    /** Of the object that is gone: one that was created anew meanwhile, and came by another watch, stays. */
    readonly uid?: string;
  };
}[Kind];

/** The next snapshot; the same one when the changes change nothing. */
export function applyChanges(snapshot: Snapshot, changes: Iterable<ObjectChange>): Snapshot {
  const ingresses = edit(snapshot.ingresses);
  const ingressClasses = edit(snapshot.ingressClasses);
  const services = edit(snapshot.services);
  const endpointSlices = edit(snapshot.endpointSlices);
  const secrets = edit(snapshot.secrets);
  const configMaps = edit(snapshot.configMaps);
  const slicesByService = edit(snapshot.slicesByService);
  const affectedServices = new Set<ObjectKey>();

  for (const change of changes) {
    switch (change.kind) {
      case 'Ingress':
        put(ingresses, change.key, change.object);
        break;
      case 'IngressClass':
        put(ingressClasses, change.key, change.object);
        break;
      case 'Service':
        put(services, change.key, change.object);
        break;
      case 'Secret': {
        const held = secrets.get(change.key)?.metadata?.uid;
        const isAnother = change.uid !== undefined && change.uid !== held;
        if (change.object !== undefined || !isAnother) put(secrets, change.key, change.object);
        break;
      }
      case 'ConfigMap':
        put(configMaps, change.key, change.object);
        break;
      case 'EndpointSlice': {
        const before = endpointSlices.get(change.key);
        put(endpointSlices, change.key, change.object);
        if (before) unlist(slicesByService, before);
        if (change.object) list(slicesByService, change.object);
        for (const slice of [before, change.object]) {
          const service = slice ? serviceKeyOf(slice) : undefined;
          if (service !== undefined) affectedServices.add(service);
        }
        break;
      }
    }
  }

  const next = {
    ingresses: ingresses.done(),
    ingressClasses: ingressClasses.done(),
    services: services.done(),
    endpointSlices: endpointSlices.done(),
    secrets: secrets.done(),
    configMaps: configMaps.done(),
  };
  const same = (Object.keys(next) as (keyof typeof next)[]).every((kind) => next[kind] === snapshot[kind]);
  if (same) return snapshot;
  const slices = slicesByService.done();
  return {
    generation: snapshot.generation + 1,
    ...next,
    slicesByService: slices,
    unreadable: snapshot.unreadable,
    nameFaults: snapshot.nameFaults,
    lostReadiness: nextLostReadiness(snapshot, slices, affectedServices),
  };
}

/** The next snapshot, in which an object cannot be read, or can again when `reason` is null; the same one if it says so. */
export function applyUnreadable(
  snapshot: Snapshot,
  reference: Reference,
  reason: Unreadable | null,
): Snapshot {
  const unreadable = edit(snapshot.unreadable);
  if (reason) unreadable.set(reference, reason);
  else unreadable.delete(reference);
  const next = unreadable.done();
  if (next === snapshot.unreadable) return snapshot;
  return { ...snapshot, generation: snapshot.generation + 1, unreadable: next };
}

/** The snapshot of objects that all exist at once, as a test or a one-off command has them. */
export function snapshotOf(objects: Iterable<ObjectChange>): Snapshot {
  return applyChanges(EMPTY_SNAPSHOT, objects);
}

function nextLostReadiness(
  last: Snapshot,
  slices: Snapshot['slicesByService'],
  services: Iterable<ObjectKey>,
): Snapshot['lostReadiness'] {
  const lost = edit(last.lostReadiness);
  for (const service of services) {
    const before = get(last.slicesByService, service) ?? [];
    const ids = lostReadiness(before, lost.get(service) ?? NO_ENDPOINTS, get(slices, service) ?? []);
    if (ids.size > 0) lost.set(service, ids);
    else lost.delete(service);
  }
  return lost.done();
}

function put<V>(map: MapEdit<V>, key: ObjectKey, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

/** The Service an EndpointSlice belongs to, by its `kubernetes.io/service-name` label. */
function serviceKeyOf(slice: EndpointSlice): ObjectKey | undefined {
  const metadata = asObject(slice.metadata);
  const service = asString(asObject(metadata['labels'])['kubernetes.io/service-name']);
  return service ? `${asString(metadata['namespace'])}/${service}` : undefined;
}

function unlist(slicesByService: MapEdit<readonly EndpointSlice[]>, slice: EndpointSlice): void {
  const service = serviceKeyOf(slice);
  if (service === undefined) return;
  const key = objectKey(slice);
  const rest = (slicesByService.get(service) ?? []).filter((other) => objectKey(other) !== key);
  if (rest.length > 0) slicesByService.set(service, rest);
  else slicesByService.delete(service);
}

function list(slicesByService: MapEdit<readonly EndpointSlice[]>, slice: EndpointSlice): void {
  const service = serviceKeyOf(slice);
  if (service === undefined) return;
  const slices = [...(slicesByService.get(service) ?? []), slice];
  slicesByService.set(
    service,
    slices.sort((a, b) => (objectKey(a) < objectKey(b) ? -1 : 1)),
  );
}
