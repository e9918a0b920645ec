import { isDeepStrictEqual } from 'node:util';
import type { AffectedDependents } from '../../model/dependents.ts';
import { ObjectReader } from '../../model/object-reader.ts';
import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import type { ObjectReference } from '../../model/problem.ts';
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
import { EMPTY_SNAPSHOT, type Snapshot } from '../../model/snapshot.ts';
import type { BackendTlsPolicyRead } from '../gateway/backend-tls-policies.ts';
import { type Attachment, attach, unattached } from '../gateway/attachment.ts';
import { type GatewayClassRead, readGatewayClasses } from '../gateway/gateway-classes.ts';
import type { GatewayRead, ListenerSetRead } from '../gateway/gateways.ts';
import type { ParentKey, RouteKey } from '../gateway/kinds.ts';
import { type ListenerPlan, isSameParent, planListeners, sharePlan } from '../gateway/listener-plan.ts';
import type { RouteRead } from '../gateway/read-route.ts';
import type { CompileSettings } from '../settings.ts';
import { admitAttachments } from './admit-attachments.ts';
import { type CompileFault, faultProblem } from './fault.ts';
import {
  type GatewayReading,
  readBackendTlsPolicies,
  readGateways,
  readListenerSets,
  readRoutes,
} from './read-gateway-objects.ts';

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
  /** BackendTLSPolicies by the Services that they are for. */
  readonly tlsPoliciesByService: ReverseIndex;
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
  tlsPoliciesByService: emptyMap(),
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
  const reading: GatewayReading = {
    before: from === NO_GATEWAYS ? EMPTY_SNAPSHOT : before,
    snapshot,
    settings,
    dependents,
    dependencyUpdates,
    faults,
  };
  const gateways = readGateways(from.gateways, from.classes, classes, reading);
  const sets = readListenerSets(from.sets, reading);
  const labels = new ObjectReader(snapshot, settings).namespaceLabels;
  const sameLabels = before.namespaces === snapshot.namespaces;
  const isSamePlan = gateways === from.gateways && sets === from.sets && sameLabels && from !== NO_GATEWAYS;
  const plan = isSamePlan
    ? from.plan
    : sharePlan(from.plan, planSound([...values(gateways)], [...values(sets)], settings, labels, faults));
  const routes = readRoutes(from.routes, reading);
  const tlsPolicies = readBackendTlsPolicies(from.tlsPolicies, reading);
  const tlsPolicyUpdates = [...difference(from.tlsPolicies, tlsPolicies)].map(([key, policy]) => ({
    member: key,
    before: servicesOfPolicy(get(from.tlsPolicies, key)),
    after: servicesOfPolicy(policy),
  }));

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

  const attachTo = (route: RouteRead): Attachment => {
    try {
      return attach(route, plan, labels);
    } catch (error) {
      faultProblem(route.object, error, faults);
      return unattached(route, plan);
    }
  };
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
    tlsPolicies,
    tlsPoliciesByService: updateIndex(from.tlsPoliciesByService, tlsPolicyUpdates),
  };
  return { compiled, changes, dependencyUpdates };
}

/** A hostname at a port, as `CompiledGateways.routesByPlace` has it. */
export function hostPlace(port: string, hostname: string): string {
  return `${port} ${hostname}`;
}

export function splitPlace(place: string): [port: string, hostname: string] {
  const space = place.indexOf(' ');
  return [place.slice(0, space), place.slice(space + 1)];
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

function servicesOfPolicy(policy: BackendTlsPolicyRead | undefined): readonly ObjectKey[] {
  return [...new Set(policy?.targets.map(({ service }) => service))];
}

function listenersOf(attachment: Attachment | undefined): readonly string[] {
  return [...new Set(attachment?.parents.flatMap(({ listeners }) => listeners))];
}

function parentsOf(route: RouteRead | undefined): readonly ParentKey[] {
  return [...new Set(route?.parents.flatMap(({ parent }) => parent ?? []))];
}

/** The old one where the new one says the same, so that nobody takes it for a change. */
function reuse<T>(before: T, after: T): T {
  return isDeepStrictEqual(before, after) ? before : after;
}

/** The plan of all Gateways and ListenerSets; of those that can be planned, where we fail on some. */
function planSound(
  gateways: readonly GatewayRead[],
  sets: readonly ListenerSetRead[],
  settings: CompileSettings,
  labels: ObjectReader['namespaceLabels'],
  faults: CompileFault[],
): ListenerPlan {
  const plan = (some: readonly GatewayRead[], theirs: readonly ListenerSetRead[]): ListenerPlan =>
    planListeners(some, theirs, settings, labels);
  try {
    return plan(gateways, sets);
  } catch {
    // Which one it is shows when each is planned by itself.
    const sound = gateways.filter((each) => isSound(each.object, () => plan([each], []), faults));
    const soundSets = sets.filter((set) => {
      const parents = sound.filter(({ key }) => key === set.gateway);
      return isSound(set.object, () => plan(parents, [set]), faults);
    });
    return plan(sound, soundSets);
  }
}

function isSound(object: ObjectReference, attempt: () => unknown, faults: CompileFault[]): boolean {
  try {
    attempt();
    return true;
  } catch (error) {
    faultProblem(object, error, faults);
    return false;
  }
}
