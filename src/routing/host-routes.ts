import type { Claims, PathClaim } from './ingress/claims.ts';
import { type ClientAuth } from '../policies/client-certificate.ts';
import { samePolicies } from '../policies/policy-set.ts';
import type { ObjectKey } from '../model/objects.ts';
import { type PathSlot, pathTree } from './path-tree.ts';
import { byAge, byPrecedence } from './precedence.ts';
import { type Problem, problem } from '../model/problem.ts';
import { CATCH_ALL, type Scope, describeScope, scopeHost } from './scope.ts';
import { type HostClients, type HostRoutes, type Route, UNVERIFIABLE } from './table.ts';

/** What the Ingresses that claim one scope make of it together. */
export interface ScopeRoutes {
  readonly routes: HostRoutes;
  /** For each Ingress that lost something here: what, and to whom. */
  readonly conflicts: ReadonlyMap<ObjectKey, readonly Problem[]>;
}

export function scopeRoutes(scope: Scope, claimants: readonly Claims[]): ScopeRoutes {
  const conflicts = new Map<ObjectKey, Problem[]>();
  const objects = new Map(claimants.map((claims) => [claims.ingress, claims.object]));
  const report: Report = (loser, winner, code, field, message) => {
    const object = objects.get(loser.ingress);
    if (!object) return;
    // Two rules that lead to the same place hurt nobody until one of them is changed.
    const same = loser.backend === winner.backend && samePolicies(loser.policies, winner.policies);
    const list = conflicts.get(loser.ingress) ?? [];
    conflicts.set(loser.ingress, list);
    list.push(problem(same ? 'warning' : 'error', code, object, field, message));
  };

  const paths = claimants.flatMap((claims) => claims.scopes.get(scope) ?? []);
  const oldestFirst = [...claimants].sort(byAge);
  const defaults = oldestFirst.flatMap((claims) => claims.defaultRoute ?? []);
  const [defaultRoute = null] = defaults;
  for (const loser of defaults.slice(1)) {
    if (!defaultRoute) break;
    const message = `Ingress ${defaultRoute.ingress} comes first, and ${defaultUse(scope)} goes to its default backend; this one is not used there.`;
    report(loser, defaultRoute, 'DefaultBackendConflict', 'spec.defaultBackend', message);
  }
  const clients = hostClients(scope, oldestFirst, ({ ingress, object }, message) => {
    const list = conflicts.get(ingress) ?? [];
    conflicts.set(ingress, list);
    list.push(problem('error', 'ClientCertificateConflict', object, 'metadata.annotations', message));
  });
  const routes = {
    host: scopeHost(scope),
    namespace: oldestFirst[0]?.object.namespace ?? '',
    paths: pathTree(settle(scope, paths.sort(byPrecedence), report)),
    defaultRoute: defaultRoute && { ...defaultRoute, host: scopeHost(scope) },
    ...(clients && { clients }),
  };
  return { routes, conflicts };
}

/**
 * What a host asks of its clients. The namespace of its oldest Ingress decides, by its oldest Ingress that asks: nobody
 * else can close a host that was there before. Whoever asks for something else is told.
 */
function hostClients(
  scope: Scope,
  oldestFirst: readonly Claims[],
  lost: (loser: Claims, message: string) => void,
): HostClients | null {
  const asking = oldestFirst.filter(({ clients }) => clients !== null);
  const [oldest] = oldestFirst;
  if (!oldest || asking.length === 0) return null;
  if (scope === CATCH_ALL) {
    const message =
      'What no rule takes is of no host that could ask its clients for certificates, so it gets 503 here; write a rule without a host.';
    for (const loser of asking) lost(loser, message);
    return null;
  }
  const winner = asking.find(({ object }) => object.namespace === oldest.object.namespace);
  const policyId = winner ? policyIdOf(winner.clients) : null;
  const theirs = winner
    ? `Ingress ${winner.ingress} comes first and asks the clients of ${describeScope(scope)} for certificates on other terms`
    : `Ingress ${oldest.ingress} of another namespace comes first and asks the clients of ${describeScope(scope)} for no certificates`;
  const message = `${theirs}, so the paths of this one get 503 there; agree on one.`;
  for (const loser of asking) if (policyIdOf(loser.clients) !== policyId) lost(loser, message);
  return winner && policyId !== null ? { policyId, ingress: winner.ingress } : null;
}

type Report = (loser: Route, winner: Route, code: string, field: string, message: string) => void;

/**
 * Who takes each place. `claims` come in order of precedence, so the first one to reach a place has it. A Prefix
 * that ends in a slash takes the path without it too, and is then longer than an Exact rule for that path.
 */
function settle(scope: Scope, claims: readonly PathClaim[], report: Report): ReadonlyMap<string, PathSlot> {
  const places = new Map<string, { whole: Route | null; prefix: Route | null }>();
  for (const claim of claims) {
    const exact = claim.route.pathType === 'Exact';
    const at = !exact && claim.at.endsWith('/') ? claim.at.slice(0, -1) : claim.at;
    const place = places.get(at) ?? { whole: null, prefix: null };
    places.set(at, place);
    const winner = exact ? (place.whole ?? place.prefix) : place.prefix;
    if (winner) reportLoser(scope, claim.route, winner, report);
    else if (exact) place.whole = claim.route;
    else place.prefix = claim.route;
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
  return scope === CATCH_ALL ? 'what no rule takes' : `what no path takes of ${describeScope(scope)}`;
}

/** The id by which hosts, routes and connections are compared; null asks for nothing. */
function policyIdOf(clients: ClientAuth | 'unverifiable' | null): string | null {
  return clients === 'unverifiable' ? UNVERIFIABLE : (clients?.policyId ?? null);
}
