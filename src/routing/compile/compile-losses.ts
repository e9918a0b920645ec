import { isDeepStrictEqual } from 'node:util';
import type { ObjectKey } from '../../model/objects.ts';
import { type Problem, problem } from '../../model/problem.ts';
import { type ShardedMap, difference, edit, get } from '../../model/sharded-map.ts';
import type { Claims } from '../ingress/claims.ts';
import { type Attachment, attachedPlace } from '../gateway/attachment.ts';
import type { RouteKey } from '../gateway/kinds.ts';
import type { PlannedPort } from '../gateway/listener-plan.ts';
import { ownerOf } from '../gateway/port-table.ts';
import { byAge } from '../gateway/read-route.ts';
import {
  type Loss,
  type Losses,
  lossesAmong,
  lossesToIngress,
  lossesToListener,
} from '../gateway/route-losses.ts';
import type { CompileSettings } from '../settings.ts';
import { type Scope, describeScope, scopeKind } from '../scope.ts';
import { portKey } from '../table.ts';
import type { Compilation } from './compilation.ts';
import { type CompiledGateways, hostPlace, placesOf, splitPlace } from './compile-gateways.ts';
import type { CompiledPorts } from './compile-ports.ts';
import { type CompiledScopes, claimantsOf } from './compile-scopes.ts';

export interface CompiledLosses {
  /** By `hostPlace`: what routes lose there. */
  readonly lossesByPlace: ShardedMap<Losses>;
  /** Those that lose something, or no longer do. */
  readonly affectedRoutes: ReadonlySet<RouteKey>;
  readonly affectedIngresses: ReadonlySet<ObjectKey>;
}

/** Works out what routes lose to Ingresses, to other listeners and to older routes, at the places whose routes or Ingresses changed. */
export function compileLosses(
  from: Compilation,
  settings: CompileSettings,
  gateways: CompiledGateways,
  { affectedPlaces }: Pick<CompiledPorts, 'affectedPlaces'>,
  scopes: CompiledScopes,
  claims: ShardedMap<Claims>,
): CompiledLosses {
  const affected = new Set(affectedPlaces);
  // Most clusters have Ingresses or routes of Gateways, not both.
  if (gateways.routesByPlace.size > 0) {
    for (const [scope] of difference(from.scopes, scopes.scopes)) {
      for (const place of placesOfScope(scope, settings)) {
        if (get(gateways.routesByPlace, place) !== undefined) affected.add(place);
      }
    }
  }
  const lossesByPlace = edit(from.lossesByPlace);
  const affectedRoutes = new Set<RouteKey>();
  const affectedIngresses = new Set<ObjectKey>();
  for (const place of affected) {
    const before = lossesByPlace.get(place) ?? NONE;
    const [port, hostname] = splitPlace(place);
    const planned = gateways.plan.ports.get(port);
    const after = planned ? lossesAt(planned, port, hostname, settings, gateways, scopes, claims) : NONE;
    if (isDeepStrictEqual(before, after)) continue;
    if (after.size > 0) lossesByPlace.set(place, after);
    else lossesByPlace.delete(place);
    for (const key of [...before.keys(), ...after.keys()]) affectedRoutes.add(key);
    for (const ingress of get(scopes.indexes.ingressesByScope, hostname) ?? [])
      affectedIngresses.add(ingress);
  }
  return { lossesByPlace: lossesByPlace.done(), affectedRoutes, affectedIngresses };
}

const NONE: Losses = new Map();

/** Where an Ingress with this scope and routes of Gateways meet. */
function placesOfScope(scope: Scope, { ingressPorts }: CompileSettings): readonly string[] {
  if (!['precise', 'wildcard', 'hostless'].includes(scopeKind(scope)) || !ingressPorts) return [];
  return [ingressPorts.http, ingressPorts.https].flatMap((port) =>
    port === null ? [] : [hostPlace(portKey('', port), scope)],
  );
}

function lossesAt(
  planned: PlannedPort,
  port: string,
  hostname: string,
  settings: CompileSettings,
  { routesByPlace, attachments }: CompiledGateways,
  scopes: CompiledScopes,
  claims: ShardedMap<Claims>,
): Losses {
  const owner = ownerOf(planned, hostname);
  const { clientPort = planned.port } = planned;
  const keys = [...(get(routesByPlace, hostPlace(port, hostname)) ?? [])];
  const attached = keys.flatMap((key) => get(attachments, key) ?? []);
  const place = owner && attachedPlace(owner.id, hostname);
  const isOwned = ({ places }: Attachment): boolean => place !== null && places.has(place);
  const routes = attached
    .filter(isOwned)
    .map(({ route }) => route)
    .sort(byAge);
  const elsewhere = attached.filter((each) => !isOwned(each)).map(({ route }) => route);
  const isShared = placesOfScope(hostname, settings).includes(hostPlace(port, hostname));
  if (isShared && get(scopes.scopes, hostname)?.routes) {
    const [ingress] = claimantsOf(hostname, scopes.indexes.ingressesByScope, claims);
    if (ingress) return lossesToIngress(ingress.ingress, [...routes, ...elsewhere], hostname, clientPort);
  }
  return new Map([
    ...(routes.length > 1 ? lossesAmong(routes, hostname, clientPort) : []),
    ...(owner === null || elsewhere.length === 0
      ? []
      : lossesToListener(owner, elsewhere, hostname, clientPort)),
  ]);
}

/** Those listed of one route. */
const MAX_LOSSES = 8;

/** What a route loses, wherever it is attached. */
export function lossesOf(
  lossesByPlace: ShardedMap<Losses>,
  attachment: Attachment | undefined,
): readonly Loss[] {
  const key = attachment?.route.key;
  if (key === undefined || lossesByPlace.size === 0) return [];
  const found = placesOf(attachment).flatMap((place) => get(lossesByPlace, place)?.get(key) ?? []);
  return found.slice(0, MAX_LOSSES);
}

/** What the author of an Ingress is told of routes that ask for the same hosts. */
export function sharedHostProblems(
  { object, scopes }: Claims,
  lossesByPlace: ShardedMap<Losses>,
  settings: CompileSettings,
): readonly Problem[] {
  if (lossesByPlace.size === 0) return [];
  return [...scopes.keys()].flatMap((scope) => {
    const places = placesOfScope(scope, settings).flatMap((place) => get(lossesByPlace, place) ?? []);
    const routes = new Set(
      places.flatMap((losses) =>
        [...losses].flatMap(([route, { kind }]) => (kind === 'host' ? [route] : [])),
      ),
    );
    const [first] = [...routes].toSorted();
    if (first === undefined) return [];
    const others = routes.size - 1;
    const who = others === 0 ? `${first} asks` : `${first} and ${others} more ask`;
    const message = `${who} for ${describeScope(scope)}, too. Ingresses come first, so that this one is served: delete it, or its rule for the host, when the route is to be served.`;
    return [problem('warning', 'HostAlsoOfRoute', object, 'spec.rules', message)];
  });
}
