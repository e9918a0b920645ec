import { isDeepStrictEqual } from 'node:util';
import { type AffectedDependents, dependentUpdate } from '../../model/dependents.ts';
import { ObjectReader } from '../../model/object-reader.ts';
import { type Kind, type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { referenceTo } from '../../model/problem.ts';
import { type IndexUpdate, type ReverseIndex, updateIndex } from '../../model/reverse-index.ts';
import {
  type ShardedMap,
  difference,
  edit,
  emptyMap,
  entries,
  get,
  values,
} from '../../model/sharded-map.ts';
import { COLLECTIONS, type Snapshot } from '../../model/snapshot.ts';
import { type BackendTlsPolicyRead, readBackendTlsPolicy } from '../gateway/backend-tls-policies.ts';
import { type Attachment, attach } from '../gateway/attachment.ts';
import { type GatewayClassRead, readGatewayClasses } from '../gateway/gateway-classes.ts';
import { type GatewayRead, type ListenerSetRead, readGateway, readListenerSet } from '../gateway/gateways.ts';
import { ROUTE_KINDS, type ParentKey, type RouteKey } from '../gateway/kinds.ts';
import { type ListenerPlan, planListeners } from '../gateway/listener-plan.ts';
import { type RouteRead, readRoute, unreadRoute } from '../gateway/read-route.ts';
import type { CompileSettings } from '../settings.ts';
import type { RouteKind } from '../table.ts';
import { admitAttachments } from './admit-attachments.ts';
import { type CompileFault, faultProblem } from './fault.ts';

/** What was worked out of the objects of Gateway API, so that the next compile need not do again what did not change. */
export interface CompiledGateways {
  /** By name, those of ours. */
  readonly classes: ReadonlyMap<string, GatewayClassRead>;
  /** The Gateways of these classes. */
  readonly gateways: ShardedMap<GatewayRead>;
  readonly sets: ShardedMap<ListenerSetRead>;
  readonly plan: ListenerPlan;
  /** Those that name a parent of ours, by `HTTPRoute namespace/name`. */
  readonly attachments: ShardedMap<Attachment>;
  /** All routes, whatever their parents are. */
  readonly routes: ShardedMap<RouteRead>;
  /** What the routes of a namespace ask for, in matches at hosts. */
  readonly usesByNamespace: ShardedMap<number>;
  readonly routesByParent: ReverseIndex;
  /** Routes by the port and hostname that they are served at: `hostPlace`. */
  readonly routesByPlace: ReverseIndex;
  /** Accepted routes by the ids of the listeners that they are attached to. */
  readonly routesByListener: ReverseIndex;
  /** Accepted routes by the Services that they name. */
  readonly routesByService: ReverseIndex;
  readonly tlsPolicies: ShardedMap<BackendTlsPolicyRead>;
}

const NO_PLAN: ListenerPlan = { byParent: new Map(), ports: new Map(), gateways: new Map(), sets: new Map() };

export const NO_GATEWAYS: CompiledGateways = {
  classes: new Map(),
  gateways: emptyMap(),
  sets: emptyMap(),
  plan: NO_PLAN,
  attachments: emptyMap(),
  routes: emptyMap(),
  usesByNamespace: emptyMap(),
  routesByParent: emptyMap(),
  routesByPlace: emptyMap(),
  routesByListener: emptyMap(),
  routesByService: emptyMap(),
  tlsPolicies: emptyMap(),
};

/** A route that is served, is served elsewhere, or otherwise, than before. */
export interface AttachmentChange {
  readonly route: RouteKey;
  readonly before: Attachment | undefined;
  readonly after: Attachment | undefined;
}

export interface GatewayChanges {
  readonly compiled: CompiledGateways;
  readonly changes: readonly AttachmentChange[];
  /** Of what Gateways, ListenerSets and routes depend on. */
  readonly dependencyUpdates: readonly IndexUpdate[];
}

/** Reads the objects of Gateway API that changed, brings the listeners together, and attaches the routes. */
export function compileGateways(
  from: CompiledGateways,
  before: Snapshot,
  snapshot: Snapshot,
  settings: CompileSettings,
  dependents: AffectedDependents,
  faults: CompileFault[],
): GatewayChanges {
  const controller = settings.gatewayController ?? null;
  if (controller === null || (from === NO_GATEWAYS && snapshot.gatewayClasses.size === 0)) {
    return { compiled: from, changes: [], dependencyUpdates: [] };
  }
  const dependencyUpdates: IndexUpdate[] = [];
  const classes =
    before.gatewayClasses === snapshot.gatewayClasses && from !== NO_GATEWAYS
      ? from.classes
      : reuse(from.classes, readGatewayClasses(snapshot.gatewayClasses, controller));
  if (from === NO_GATEWAYS && classes.size === 0) return { compiled: from, changes: [], dependencyUpdates };
  const gateways = readGateways(
    from,
    classes,
    before,
    snapshot,
    settings,
    dependents,
    dependencyUpdates,
    faults,
  );
  const sets = readSets(from, before, snapshot, settings, dependents, dependencyUpdates, faults);
  const labels = new ObjectReader(snapshot, settings).namespaceLabels;
  const sameLabels = before.namespaces === snapshot.namespaces;
  const isSamePlan = gateways === from.gateways && sets === from.sets && sameLabels && from !== NO_GATEWAYS;
  const plan = isSamePlan
    ? from.plan
    : planListeners([...values(gateways)], [...values(sets)], settings, labels);
  const routes = readRoutes(from, before, snapshot, settings, dependents, dependencyUpdates, faults);

  const affected = new Set<string>();
  for (const [key] of difference(from.routes, routes)) affected.add(key);
  if (plan !== from.plan) {
    for (const parent of new Set([...from.plan.byParent.keys(), ...plan.byParent.keys()])) {
      if (isSameParent(from.plan, plan, parent)) continue;
      for (const key of get(from.routesByParent, parent) ?? []) affected.add(key);
    }
  }
  if (!sameLabels) {
    const namespaces = new Set([...difference(before.namespaces, snapshot.namespaces)].map(([name]) => name));
    for (const [key, { name }] of entries(routes)) if (namespaces.has(namespaceOf(name))) affected.add(key);
  }

  const attachTo = (route: RouteRead): Attachment => attach(route, plan, labels);
  const { admitted, usesByNamespace } = admitAttachments(from, routes, affected, attachTo);
  const attachments = edit(from.attachments);
  const changes: AttachmentChange[] = [];
  const parentUpdates: IndexUpdate[] = [];
  const placeUpdates: IndexUpdate[] = [];
  const listenerUpdates: IndexUpdate[] = [];
  const serviceUpdates: IndexUpdate[] = [];
  for (const [key, made] of admitted) {
    const route = get(routes, key);
    const was = get(from.routes, key);
    parentUpdates.push({ member: key, before: parentsOf(was), after: parentsOf(route) });
    const last = attachments.get(key);
    const next = made && made.parents.length > 0 ? made : undefined;
    if (next === undefined) attachments.delete(key);
    else attachments.set(key, next);
    placeUpdates.push({ member: key, before: placesOf(last), after: placesOf(next) });
    serviceUpdates.push({ member: key, before: servicesOf(last), after: servicesOf(next) });
    listenerUpdates.push({ member: key, before: listenersOf(last), after: listenersOf(next) });
    if (last || next) changes.push({ route: key as RouteKey, before: last, after: next });
  }
  const compiled = {
    classes,
    gateways,
    sets,
    plan,
    attachments: attachments.done(),
    routes,
    usesByNamespace,
    routesByParent: updateIndex(from.routesByParent, parentUpdates),
    routesByPlace: updateIndex(from.routesByPlace, placeUpdates),
    routesByListener: updateIndex(from.routesByListener, listenerUpdates),
    routesByService: updateIndex(from.routesByService, serviceUpdates),
    tlsPolicies: readTlsPolicies(from, before, snapshot, settings, dependents, dependencyUpdates, faults),
  };
  return { compiled, changes, dependencyUpdates };
}

/** A hostname at a port, as `CompiledGateways.routesByPlace` has it. */
export function hostPlace(port: string, hostname: string): string {
  return `${port} ${hostname}`;
}

/** Where a route is served, as `hostPlace` writes it. */
export function placesOf(attachment: Attachment | undefined): readonly string[] {
  const places = attachment?.hosts.flatMap(({ planned, hostname }) =>
    planned.ports.map((port) =>
      hostPlace(planned.listener.protocol === 'UDP' ? `udp/${port}` : port, hostname),
    ),
  );
  return [...new Set(places)];
}

const SERVICE = 'ServiceSpec ';

/** What an attached route names, found or not. */
function servicesOf(attachment: Attachment | undefined): readonly ObjectKey[] {
  if (!attachment || attachment.hosts.length === 0) return [];
  const named = attachment.route.dependencies.filter((dependency) => dependency.startsWith(SERVICE));
  return named.map((dependency) => dependency.slice(SERVICE.length));
}

function readTlsPolicies(
  from: CompiledGateways,
  before: Snapshot,
  snapshot: Snapshot,
  settings: CompileSettings,
  dependents: AffectedDependents,
  updates: IndexUpdate[],
  faults: CompileFault[],
): ShardedMap<BackendTlsPolicyRead> {
  const affected = dependentKeys(dependents, 'BackendTLSPolicy');
  const earlier = from === NO_GATEWAYS ? emptyMap<never>() : before.backendTlsPolicies;
  for (const [key] of difference(earlier, snapshot.backendTlsPolicies)) affected.add(key);
  const policies = edit(from.tlsPolicies);
  for (const key of affected) {
    const object = get(snapshot.backendTlsPolicies, key);
    const last = policies.get(key);
    const read = (): BackendTlsPolicyRead =>
      readBackendTlsPolicy(object, new ObjectReader(snapshot, settings));
    const next = object && contained('BackendTLSPolicy', key, object, read, faults);
    updates.push(dependentUpdate('Gateway', `BackendTLSPolicy ${key}`, last, next));
    if (next === undefined) policies.delete(key);
    else if (!isDeepStrictEqual(last, next)) policies.set(key, next);
  }
  return policies.done();
}

function listenersOf(attachment: Attachment | undefined): readonly string[] {
  return [...new Set(attachment?.parents.flatMap(({ listeners }) => listeners))];
}

function parentsOf(route: RouteRead | undefined): readonly ParentKey[] {
  return [...new Set(route?.parents.flatMap(({ parent }) => parent ?? []))];
}

function isSameParent(a: ListenerPlan, b: ListenerPlan, parent: ParentKey): boolean {
  const set = parent.startsWith('ListenerSet ') ? parent.slice('ListenerSet '.length) : '';
  return (
    isDeepStrictEqual(a.byParent.get(parent), b.byParent.get(parent)) &&
    isDeepStrictEqual(a.sets.get(set), b.sets.get(set))
  );
}

/** The old one where the new one says the same, so that nobody takes it for a change. */
function reuse<T>(before: T, after: T): T {
  return isDeepStrictEqual(before, after) ? before : after;
}

function readGateways(
  from: CompiledGateways,
  classes: CompiledGateways['classes'],
  before: Snapshot,
  snapshot: Snapshot,
  settings: CompileSettings,
  dependents: AffectedDependents,
  updates: IndexUpdate[],
  faults: CompileFault[],
): ShardedMap<GatewayRead> {
  const affected = dependentKeys(dependents, 'Gateway');
  for (const [key] of difference(before.gateways, snapshot.gateways)) affected.add(key);
  if (classes !== from.classes) for (const [key] of entries(snapshot.gateways)) affected.add(key);
  const gateways = edit(from.gateways);
  for (const key of affected) {
    const object = get(snapshot.gateways, key);
    const last = gateways.get(key);
    const readIt = (): GatewayRead => readGateway(key, object, new ObjectReader(snapshot, settings));
    const read = object && contained('Gateway', key, object, readIt, faults);
    const next = read && classes.get(read.className)?.rejected === null ? read : undefined;
    updates.push(dependentUpdate('Gateway', `Gateway ${key}`, last, next));
    if (next === undefined) gateways.delete(key);
    else if (!isDeepStrictEqual(last, next)) gateways.set(key, next);
  }
  return gateways.done();
}

function readSets(
  from: CompiledGateways,
  before: Snapshot,
  snapshot: Snapshot,
  settings: CompileSettings,
  dependents: AffectedDependents,
  updates: IndexUpdate[],
  faults: CompileFault[],
): ShardedMap<ListenerSetRead> {
  const affected = dependentKeys(dependents, 'ListenerSet');
  for (const [key] of difference(before.listenerSets, snapshot.listenerSets)) affected.add(key);
  if (from === NO_GATEWAYS) for (const [key] of entries(snapshot.listenerSets)) affected.add(key);
  const sets = edit(from.sets);
  for (const key of affected) {
    const object = get(snapshot.listenerSets, key);
    const last = sets.get(key);
    const read = (): ListenerSetRead => readListenerSet(key, object, new ObjectReader(snapshot, settings));
    const next = object && contained('ListenerSet', key, object, read, faults);
    updates.push(dependentUpdate('Gateway', `ListenerSet ${key}`, last, next));
    if (next === undefined) sets.delete(key);
    else if (!isDeepStrictEqual(last, next)) sets.set(key, next);
  }
  return sets.done();
}

function dependentKeys(
  dependents: AffectedDependents,
  kind: 'Gateway' | 'ListenerSet' | 'BackendTLSPolicy',
): Set<ObjectKey> {
  const keys = new Set<ObjectKey>();
  for (const key of dependents.Gateway) {
    if (key.startsWith(`${kind} `)) keys.add(key.slice(kind.length + 1));
  }
  return keys;
}

function readRoutes(
  from: CompiledGateways,
  before: Snapshot,
  snapshot: Snapshot,
  settings: CompileSettings,
  dependents: AffectedDependents,
  updates: IndexUpdate[],
  faults: CompileFault[],
): ShardedMap<RouteRead> {
  const affected = new Map<RouteKey, readonly [RouteKind, ObjectKey]>();
  for (const kind of ROUTE_KINDS) {
    const collection = COLLECTIONS[kind];
    const earlier = from === NO_GATEWAYS ? emptyMap<never>() : before[collection];
    for (const [key] of difference(earlier, snapshot[collection]))
      affected.set(`${kind} ${key}`, [kind, key]);
  }
  for (const key of dependents.Route) {
    const space = key.indexOf(' ');
    affected.set(key as RouteKey, [key.slice(0, space) as RouteKind, key.slice(space + 1)]);
  }
  const routes = edit(from.routes);
  for (const [key, [kind, name]] of affected) {
    const object = get(snapshot[COLLECTIONS[kind]], name);
    const last = routes.get(key);
    const next = object && isolated(kind, name, object, snapshot, settings, faults);
    updates.push(dependentUpdate('Route', key, last, next));
    if (next === undefined) routes.delete(key);
    else if (!isDeepStrictEqual(last, next)) routes.set(key, next);
  }
  return routes.done();
}

/** An object that we fail on is as if it were not there; the others are read. */
function contained<T>(
  kind: Kind,
  key: ObjectKey,
  object: unknown,
  read: () => T,
  faults: CompileFault[],
): T | undefined {
  try {
    return read();
  } catch (error) {
    faultProblem(referenceTo(kind, key, object), error, faults);
    return undefined;
  }
}

/** A route that we fail on is not served; the others are. */
function isolated(
  kind: RouteKind,
  name: ObjectKey,
  object: unknown,
  snapshot: Snapshot,
  settings: CompileSettings,
  faults: CompileFault[],
): RouteRead {
  const objects = new ObjectReader(snapshot, settings);
  try {
    return readRoute(kind, name, object, objects, settings);
  } catch (error) {
    const reference = referenceTo(kind, name, object);
    return {
      ...unreadRoute(kind, name, object, objects),
      problems: [faultProblem(reference, error, faults)],
    };
  }
}
