import { hostPassthrough } from './host-passthrough.ts';
import type { Claims, PathClaim } from './ingress/claims.ts';
import { type ClientAuth } from '../policies/client-certificate.ts';
import { samePolicies } from '../policies/policy-set.ts';
import type { ObjectKey } from '../model/objects.ts';
import { separatePatterns, withPatterns } from './host-patterns.ts';
import type { PathSlot } from './path-tree.ts';
import { byPrecedence } from './precedence.ts';
import { splitRoutes } from './split-routes.ts';
import { compactMap } from '../model/compact.ts';
import { type Problem, problem } from '../model/problem.ts';
import { CATCH_ALL, type Scope, describeScope, scopeHost } from './scope.ts';
import {
  type HostClients,
  type HostPatterns,
  type HostRoutes,
  type PathTree,
  type Route,
  UNVERIFIABLE,
} from './table.ts';
import { TENANT_LIMITS } from './tenant-limits.ts';

/** What the Ingresses that claim one scope make of it together. */
export interface ScopeRoutes {
  /** Null when no claimant may have it: see `hostOwner`. */
  readonly routes: HostRoutes | null;
  /** Of the Ingress that had the scope first. */
  readonly namespace: string;
  /** For each Ingress that lost something here: what, and to whom. */
  readonly conflicts: ReadonlyMap<ObjectKey, readonly Problem[]>;
}

/** Gives scopes with the same claims the same routes. */
interface RoutesSharing {
  tree(claimed: readonly (readonly PathClaim[])[], slots: ReadonlyMap<string, PathSlot>): PathTree;
  patterns(claimed: readonly (readonly PathClaim[])[], found: HostPatterns): HostPatterns;
}

/**
 * The routes of a scope by what its claimants ask for, and its canaries; both the oldest first. `shared` may give scopes with
 * the same claims the same routes.
 */
export function scopeRoutes(
  scope: Scope,
  claimants: readonly Claims[],
  canariesOldestFirst: readonly Claims[],
  shared: RoutesSharing,
): ScopeRoutes {
  const conflicts = new Map<ObjectKey, Problem[]>();
  const tell = (ingress: ObjectKey, problem: Problem): void => {
    conflicts.set(ingress, [...(conflicts.get(ingress) ?? []), problem]);
  };
  const tellCanary = ({ ingress }: Claims, problem: Problem): void => tell(ingress, problem);
  const everyone = withPatterns(scope, [...claimants, ...canariesOldestFirst], tell);
  const oldestFirst = everyone.slice(0, claimants.length);
  const canaries = everyone.slice(claimants.length);
  if (oldestFirst.length === 0) {
    splitRoutes(scope, new Map(), null, canaries, tellCanary);
    return { routes: null, namespace: '', conflicts: compactMap(conflicts) };
  }
  const objects = new Map(oldestFirst.map((claims) => [claims.ingress, claims.object]));
  const report: Report = (loser, winner, code, field, message) => {
    const object = objects.get(loser.ingress);
    if (!object) return;
    // Two rules that lead to the same place hurt nobody until one of them is changed.
    const same = loser.backend === winner.backend && samePolicies(loser.policies, winner.policies);
    const list = conflicts.get(loser.ingress) ?? [];
    conflicts.set(loser.ingress, list);
    list.push(problem(same ? 'warning' : 'error', code, object, field, message));
  };

  const claimed = claimants.map((claims) => claims.scopes.get(scope) ?? []);
  // The namespace that had the host first comes first: no other can use up what the host may have.
  const isOwner = ({ object }: Claims): boolean => object.namespace === oldestFirst[0]?.object.namespace;
  const ownersFirst = [...oldestFirst.filter(isOwner), ...oldestFirst.filter((each) => !isOwner(each))];
  const admitted = ownersFirst.flatMap((claims) => claims.scopes.get(scope) ?? []);
  for (const { route } of admitted.splice(TENANT_LIMITS.pathsPerHost)) {
    const object = objects.get(route.ingress);
    const known = conflicts.get(route.ingress)?.some(({ code }) => code === 'HostTooManyPaths');
    if (!object || known) continue;
    const message = `A host may have ${TENANT_LIMITS.pathsPerHost} paths, and those that come first on ${describeScope(scope)} are as many; this one and all after it in this Ingress are not served there: remove paths or use another host.`;
    const list = conflicts.get(route.ingress) ?? [];
    conflicts.set(route.ingress, list);
    list.push(problem('error', 'HostTooManyPaths', object, `${route.field}.path`, message));
  }
  const defaults = oldestFirst.flatMap((claims) => claims.defaultRoute ?? []);
  const [defaultRoute = null] = defaults;
  for (const loser of defaults.slice(1)) {
    if (!defaultRoute) break;
    const message = `Ingress ${defaultRoute.ingress} comes first, and its default backend receives ${defaultUse(scope)}; this default backend is not used there.`;
    report(loser, defaultRoute, 'DefaultBackendConflict', 'spec.defaultBackend', message);
  }
  const clients = hostClients(scope, oldestFirst, ({ ingress, object }, message) => {
    const list = conflicts.get(ingress) ?? [];
    conflicts.set(ingress, list);
    list.push(problem('error', 'ClientCertificateConflict', object, 'metadata.annotations', message));
  });
  const places = resolveConflicts(scope, admitted.sort(byPrecedence), report);
  const split = splitRoutes(scope, places, defaultRoute, canaries, tellCanary);
  const { backend: passthrough, refused } = hostPassthrough(scope, oldestFirst, places, clients !== null);
  for (const [ingress, found] of refused) conflicts.set(ingress, [...(conflicts.get(ingress) ?? []), found]);
  const { plain, patterns } = separatePatterns(scope, split.places, oldestFirst, tell);
  const shares = canariesOldestFirst.map(({ canary }) => canary?.scopes.get(scope) ?? []);
  const routes = {
    host: scopeHost(scope),
    namespace: oldestFirst[0]?.object.namespace ?? '',
    paths: shared.tree([...claimed, ...shares], plain),
    ...(patterns && { patterns: shared.patterns([...claimed, ...shares], patterns) }),
    defaultRoute: split.defaultRoute,
    ...(clients && { clients }),
    ...(passthrough !== null && { passthrough }),
  };
  return { routes, namespace: routes.namespace, conflicts: compactMap(conflicts) };
}

/**
 * What a host asks of its clients. The namespace of its oldest Ingress decides, by its oldest Ingress that asks: nobody
 * else can close a host that was there before. An Ingress that asks for something else gets a problem.
 */
function hostClients(
  scope: Scope,
  oldestFirst: readonly Claims[],
  lost: (loser: Claims, message: string) => void,
): HostClients | null {
  // A host that is redirected has nothing to protect.
  const asking = oldestFirst.filter(({ clients, yields }) => clients !== null && !yields.has(scope));
  const [oldest] = oldestFirst;
  if (!oldest || asking.length === 0) return null;
  if (scope === CATCH_ALL) {
    const message =
      'Requests that match no rule belong to no host that could ask for client certificates, so they get 503 here; write a rule without a host.';
    for (const loser of asking) lost(loser, message);
    return null;
  }
  const winner = asking.find(({ object }) => object.namespace === oldest.object.namespace);
  const policyId = winner ? policyIdOf(winner.clients) : null;
  const theirs = winner
    ? `Ingress ${winner.ingress} comes first and asks the clients of ${describeScope(scope)} for certificates on other terms`
    : `Ingress ${oldest.ingress} of another namespace comes first and asks the clients of ${describeScope(scope)} for no certificates`;
  const message = `${theirs}, so the paths of this one answer 503 there; use the same settings in both.`;
  for (const loser of asking) if (policyIdOf(loser.clients) !== policyId) lost(loser, message);
  return winner && policyId !== null ? { policyId, ingress: winner.ingress } : null;
}

type Report = (loser: Route, winner: Route, code: string, field: string, message: string) => void;

/** Who takes each place. `claims` come in order of precedence, so the first one to reach a place has it. */
function resolveConflicts(
  scope: Scope,
  claims: readonly PathClaim[],
  report: Report,
): ReadonlyMap<string, PathSlot> {
  const places = new Map<string, { whole: Route | null; prefix: Route | null }>();
  for (const { at, route } of claims) {
    const exact = route.pathType === 'Exact';
    const place = places.get(at) ?? { whole: null, prefix: null };
    places.set(at, place);
    const winner = exact ? place.whole : place.prefix;
    if (winner) reportLoser(scope, route, winner, report);
    else if (exact) place.whole = route;
    else place.prefix = route;
  }
  return places;
}

function reportLoser(scope: Scope, loser: Route, winner: Route, report: Report): void {
  const equal = winner.path === loser.path && winner.pathType === loser.pathType;
  const field = `${loser.field}.path`;
  const theirs = `${winner.pathType} "${winner.path}" of ${describeScope(scope)}`;
  if (winner.ingress === loser.ingress) {
    const message = `${winner.field} of the same Ingress already takes ${theirs}, so this path is never reached; remove one of them.`;
    report(loser, winner, equal ? 'PathConflict' : 'PathShadowed', field, message);
  } else if (equal) {
    const message = `Ingress ${winner.ingress} comes first and serves ${theirs} (${winner.field}), so this path is not served; change or remove one of them.`;
    report(loser, winner, 'PathConflict', field, message);
  } else {
    const message = `Ingress ${winner.ingress} takes every request for this path with ${theirs} (${winner.field}); change or remove one of them.`;
    report(loser, winner, 'PathShadowed', field, message);
  }
}

function defaultUse(scope: Scope): string {
  return scope === CATCH_ALL
    ? 'requests that match no rule'
    : `requests for ${describeScope(scope)} that match no path`;
}

/** The id by which hosts, routes and connections are compared; null asks for nothing. */
function policyIdOf(clients: ClientAuth | 'unverifiable' | null): string | null {
  return clients === 'unverifiable' ? UNVERIFIABLE : (clients?.policyId ?? null);
}
