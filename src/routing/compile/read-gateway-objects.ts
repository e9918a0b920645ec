import { isDeepStrictEqual } from 'node:util';
import { type AffectedDependents, dependentUpdate } from '../../model/dependents.ts';
import { type Dependency, ObjectReader } from '../../model/object-reader.ts';
import type { ObjectKey } from '../../model/objects.ts';
import { referenceTo } from '../../model/problem.ts';
import type { IndexUpdate } from '../../model/reverse-index.ts';
import { type ShardedMap, difference, edit, entries, get } from '../../model/sharded-map.ts';
import { COLLECTIONS, type Snapshot } from '../../model/snapshot.ts';
import { type BackendTlsPolicyRead, readBackendTlsPolicy } from '../gateway/backend-tls-policies.ts';
import type { GatewayClassRead } from '../gateway/gateway-classes.ts';
import { type GatewayRead, type ListenerSetRead, readGateway, readListenerSet } from '../gateway/gateways.ts';
import { ROUTE_KINDS, type RouteKey } from '../gateway/kinds.ts';
import { type RouteRead, readRoute, unreadRoute } from '../gateway/read-route.ts';
import type { CompileSettings } from '../settings.ts';
import type { RouteKind } from '../table.ts';
import { type CompileFault, faultProblem } from './fault.ts';

/** What reading the objects of Gateway API starts from, and where it notes what it found. */
export interface GatewayReading {
  /** The empty one where nothing was read before. */
  readonly before: Snapshot;
  readonly snapshot: Snapshot;
  readonly settings: CompileSettings;
  readonly dependents: AffectedDependents;
  readonly dependencyUpdates: IndexUpdate[];
  readonly faults: CompileFault[];
}

type ObjectKind = 'Gateway' | 'ListenerSet' | 'BackendTLSPolicy';

/** The Gateways of these classes, as far as the classes are accepted. */
export function readGateways(
  last: ShardedMap<GatewayRead>,
  classesBefore: ReadonlyMap<string, GatewayClassRead>,
  classes: ReadonlyMap<string, GatewayClassRead>,
  reading: GatewayReading,
): ShardedMap<GatewayRead> {
  const hasServices = Boolean(reading.settings.gatewayServicePorts);
  const all = classes === classesBefore ? [] : [...entries(reading.snapshot.gateways)].map(([key]) => key);
  return readAffected('Gateway', last, all, reading, (key, object, objects) => {
    const gateway = readGateway(key, object, objects, hasServices);
    return classes.get(gateway.className)?.rejected === null ? gateway : undefined;
  });
}

export function readListenerSets(
  last: ShardedMap<ListenerSetRead>,
  reading: GatewayReading,
): ShardedMap<ListenerSetRead> {
  return readAffected('ListenerSet', last, [], reading, readListenerSet);
}

export function readBackendTlsPolicies(
  last: ShardedMap<BackendTlsPolicyRead>,
  reading: GatewayReading,
): ShardedMap<BackendTlsPolicyRead> {
  return readAffected('BackendTLSPolicy', last, [], reading, (_, object, objects) =>
    readBackendTlsPolicy(object, objects),
  );
}

/**
 * Reads again the objects of a kind that changed, those that depend on something that did, and `more`. An object that we fail
 * on is as if it were not there; the others are read.
 */
function readAffected<T extends { readonly dependencies: readonly Dependency[] }>(
  kind: ObjectKind,
  last: ShardedMap<T>,
  more: readonly ObjectKey[],
  { before, snapshot, settings, dependents, dependencyUpdates, faults }: GatewayReading,
  read: (key: ObjectKey, object: unknown, objects: ObjectReader) => T | undefined,
): ShardedMap<T> {
  const affected = new Set(more);
  for (const key of dependents.Gateway) {
    if (key.startsWith(`${kind} `)) affected.add(key.slice(kind.length + 1));
  }
  const collection = COLLECTIONS[kind];
  for (const [key] of difference(before[collection], snapshot[collection])) affected.add(key);
  const all = edit(last);
  for (const key of affected) {
    const object = get(snapshot[collection], key);
    const earlier = all.get(key);
    let next: T | undefined;
    try {
      next = object && read(key, object, new ObjectReader(snapshot, settings));
    } catch (error) {
      faultProblem(referenceTo(kind, key, object), error, faults);
    }
    dependencyUpdates.push(dependentUpdate('Gateway', `${kind} ${key}`, earlier, next));
    if (next === undefined) all.delete(key);
    else if (!isDeepStrictEqual(earlier, next)) all.set(key, next);
  }
  return all.done();
}

export function readRoutes(
  last: ShardedMap<RouteRead>,
  { before, snapshot, settings, dependents, dependencyUpdates, faults }: GatewayReading,
): ShardedMap<RouteRead> {
  const affected = new Map<RouteKey, readonly [RouteKind, ObjectKey]>();
  for (const kind of ROUTE_KINDS) {
    const collection = COLLECTIONS[kind];
    for (const [key] of difference(before[collection], snapshot[collection]))
      affected.set(`${kind} ${key}`, [kind, key]);
  }
  for (const key of dependents.Route) {
    const space = key.indexOf(' ');
    affected.set(key as RouteKey, [key.slice(0, space) as RouteKind, key.slice(space + 1)]);
  }
  const routes = edit(last);
  for (const [key, [kind, name]] of affected) {
    const object = get(snapshot[COLLECTIONS[kind]], name);
    const earlier = routes.get(key);
    const objects = new ObjectReader(snapshot, settings);
    const next = object && isolated(kind, name, object, objects, settings, faults);
    dependencyUpdates.push(dependentUpdate('Route', key, earlier, next));
    if (next === undefined) routes.delete(key);
    else if (!isDeepStrictEqual(earlier, next)) routes.set(key, next);
  }
  return routes.done();
}

/** A route that we fail on is not served; the others are. */
function isolated(
  kind: RouteKind,
  name: ObjectKey,
  object: unknown,
  objects: ObjectReader,
  settings: CompileSettings,
  faults: CompileFault[],
): RouteRead {
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
