import { asObject, asString } from './untyped.ts';
import {
  type ConfigMap,
  type EndpointSlice,
  type GatewayResource,
  type Ingress,
  type IngressClass,
  type Kind,
  type Kinds,
  type Namespace,
  type ObjectKey,
  type Reference,
  type Secret,
  type Service,
  isGatewayKind,
  objectKey,
} from './objects.ts';
import { type EndpointIds, NO_ENDPOINTS, lostReadiness } from './lost-readiness.ts';
import type { NameFault } from './name-fault.ts';
import { shareEqual } from './share-equal.ts';
import { type MapEdit, type ShardedMap, difference, edit, emptyMap, get } from './sharded-map.ts';

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
  /** With their labels only; all empty where Gateway API is not installed, as are the kinds that follow. */
  readonly namespaces: ShardedMap<Namespace>;
  readonly gatewayClasses: ShardedMap<GatewayResource>;
  readonly gateways: ShardedMap<GatewayResource>;
  readonly listenerSets: ShardedMap<GatewayResource>;
  readonly httpRoutes: ShardedMap<GatewayResource>;
  readonly grpcRoutes: ShardedMap<GatewayResource>;
  readonly tlsRoutes: ShardedMap<GatewayResource>;
  readonly tcpRoutes: ShardedMap<GatewayResource>;
  readonly udpRoutes: ShardedMap<GatewayResource>;
  readonly referenceGrants: ShardedMap<GatewayResource>;
  readonly backendTlsPolicies: ShardedMap<GatewayResource>;
  /** Why an object that an annotation names could not be read, by `Kind namespace/name`. */
  readonly unreadable: ShardedMap<Unreadable>;
  /** Index: the EndpointSlices of each Service by the Service's key, ordered by slice name. */
  readonly slicesByService: ShardedMap<readonly EndpointSlice[]>;
  /** Index: the ReferenceGrants of each namespace, ordered by name. */
  readonly referenceGrantsByNamespace: ShardedMap<readonly GatewayResource[]>;
  /** Index: the BackendTLSPolicies of each namespace, ordered by name. */
  readonly backendTlsPoliciesByNamespace: ShardedMap<readonly GatewayResource[]>;
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
  namespaces: emptyMap(),
  gatewayClasses: emptyMap(),
  gateways: emptyMap(),
  listenerSets: emptyMap(),
  httpRoutes: emptyMap(),
  grpcRoutes: emptyMap(),
  tlsRoutes: emptyMap(),
  tcpRoutes: emptyMap(),
  udpRoutes: emptyMap(),
  referenceGrants: emptyMap(),
  backendTlsPolicies: emptyMap(),
  unreadable: emptyMap(),
  slicesByService: emptyMap(),
  referenceGrantsByNamespace: emptyMap(),
  backendTlsPoliciesByNamespace: emptyMap(),
  lostReadiness: emptyMap(),
  nameFaults: emptyMap(),
};

/** Where a snapshot has the objects of each kind. */
export const COLLECTIONS = {
  Ingress: 'ingresses',
  IngressClass: 'ingressClasses',
  Service: 'services',
  EndpointSlice: 'endpointSlices',
  Secret: 'secrets',
  ConfigMap: 'configMaps',
  Namespace: 'namespaces',
  GatewayClass: 'gatewayClasses',
  Gateway: 'gateways',
  ListenerSet: 'listenerSets',
  HTTPRoute: 'httpRoutes',
  GRPCRoute: 'grpcRoutes',
  TLSRoute: 'tlsRoutes',
  TCPRoute: 'tcpRoutes',
  UDPRoute: 'udpRoutes',
  ReferenceGrant: 'referenceGrants',
  BackendTLSPolicy: 'backendTlsPolicies',
} as const satisfies Record<Kind, keyof Snapshot>;

export const KINDS = Object.keys(COLLECTIONS) as readonly Kind[];

/** How many objects of each kind there are. */
export function objectCounts(snapshot: Snapshot): Readonly<Record<Kind, number>> {
  const counts = KINDS.map((kind) => [kind, snapshot[COLLECTIONS[kind]].size]);
  return Object.fromEntries(counts) as Record<Kind, number>;
}

interface Index {
  readonly field: 'slicesByService' | 'referenceGrantsByNamespace' | 'backendTlsPoliciesByNamespace';
  /** What the object is listed under, if anything. */
  readonly keyOf: (object: AnyObject) => string | undefined;
}
type AnyObject = Kinds[Kind];

const INDEXES: { readonly [K in Kind]?: Index } = {
  EndpointSlice: { field: 'slicesByService', keyOf: serviceKeyOf },
  ReferenceGrant: { field: 'referenceGrantsByNamespace', keyOf: namespaceOfObject },
  BackendTLSPolicy: { field: 'backendTlsPoliciesByNamespace', keyOf: namespaceOfObject },
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
  // Most changes are of one kind: only its maps are edited.
  const edits = new Map<EditedField, MapEdit<unknown>>();
  const editOf = <V>(field: EditedField): MapEdit<V> => {
    const begun = edits.get(field) ?? edit<unknown>(snapshot[field]);
    edits.set(field, begun);
    // A field holds the objects of its kind, or lists of them.
    return begun as MapEdit<V>;
  };

  for (const change of changes) {
    const { kind, key } = change;
    const collection = editOf<AnyObject>(COLLECTIONS[kind]);
    const before = collection.get(key);
    if (kind === 'Secret' && isOfAnother(change, before)) continue;
    const after = isGatewayKind(kind) ? shareEqual(before, change.object) : change.object;
    if (after === before) continue;
    if (after) collection.set(key, after);
    else collection.delete(key);
    const index = INDEXES[kind];
    if (index) moveInIndex(editOf(index.field), index, before, after);
  }

  const next = Object.fromEntries([...edits].map(([field, edited]) => [field, edited.done()]));
  const fields = [...edits.keys()];
  if (fields.every((field) => next[field] === snapshot[field])) return snapshot;
  const changed: Snapshot = { ...snapshot, ...next, generation: snapshot.generation + 1 };
  return changed.slicesByService === snapshot.slicesByService
    ? changed
    : { ...changed, lostReadiness: nextLostReadiness(snapshot, changed.slicesByService) };
}

type EditedField = (typeof COLLECTIONS)[Kind] | Index['field'];

/** Secrets come by several watches: the end of one that was created anew meanwhile, under another uid, says nothing. */
function isOfAnother({ object, uid }: ObjectChange, held: AnyObject | undefined): boolean {
  return object === undefined && uid !== undefined && uid !== held?.metadata?.uid;
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

function nextLostReadiness(last: Snapshot, slices: Snapshot['slicesByService']): Snapshot['lostReadiness'] {
  const lost = edit(last.lostReadiness);
  for (const [service, after = []] of difference(last.slicesByService, slices)) {
    const before = get(last.slicesByService, service) ?? [];
    const ids = lostReadiness(before, lost.get(service) ?? NO_ENDPOINTS, after);
    if (ids.size > 0) lost.set(service, ids);
    else lost.delete(service);
  }
  return lost.done();
}

/** The Service an EndpointSlice belongs to, by its `kubernetes.io/service-name` label. */
function serviceKeyOf(slice: AnyObject): ObjectKey | undefined {
  const metadata = asObject(slice.metadata);
  const service = asString(asObject(metadata['labels'])['kubernetes.io/service-name']);
  return service ? `${asString(metadata['namespace'])}/${service}` : undefined;
}

function namespaceOfObject(object: AnyObject): string | undefined {
  return asString(asObject(object.metadata)['namespace']);
}

/** Lists an object where it belongs now, in the order of names. */
function moveInIndex(
  index: MapEdit<readonly AnyObject[]>,
  { keyOf }: Index,
  before: AnyObject | undefined,
  after: AnyObject | undefined,
): void {
  const from = before && keyOf(before);
  if (from !== undefined) {
    const rest = (index.get(from) ?? []).filter((other) => other !== before);
    if (rest.length > 0) index.set(from, rest);
    else index.delete(from);
  }
  const to = after && keyOf(after);
  if (after && to !== undefined) {
    const listed = index.get(to) ?? [];
    index.set(to, listed.toSpliced(placeAmong(listed, objectKey(after)), 0, after));
  }
}

/** How many of the objects, which are ordered by key, come before a key. */
function placeAmong(listed: readonly AnyObject[], key: ObjectKey): number {
  let low = 0;
  for (let high = listed.length; low < high;) {
    const middle = (low + high) >> 1;
    const object = listed[middle];
    if (object && objectKey(object) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
