import { type Problem, problem } from '../../model/problem.ts';
import type { RuleClaim } from './route-rules.ts';
import type { RouteKey } from './kinds.ts';
import type { Listener } from './listeners.ts';
import type { RouteRead } from './read-route.ts';

/** What a route does not get although it is attached: the first thing at one hostname of a port. */
export interface Loss {
  /** The whole host, to an Ingress or to another listener; one match; or connections, which go to one route alone. */
  readonly kind: 'host' | 'listener' | 'match' | 'connections';
  /** Who has it: `Ingress shop/web`, an older route, or `Listener "http" of Gateway shop/main`. */
  readonly to: string;
  /** Where the route asks for it: `spec.rules[0].matches[0]`; `spec.hostnames` where it is the whole host. */
  readonly field: string;
  /** Empty for all hosts. */
  readonly hostname: string;
  readonly port: number;
}

/** By route; those that lose nothing are absent. */
export type Losses = ReadonlyMap<RouteKey, Loss>;

/** What routes at one place lose to older ones: matches that say the same, and connections that go to one route alone. */
export function lossesAmong(oldestFirst: readonly RouteRead[], hostname: string, port: number): Losses {
  const losses = new Map<RouteKey, Loss>();
  const owners = new Map<string, RouteKey>();
  const take = (kind: 'match' | 'connections', what: string, route: RouteRead, field: string): void => {
    const to = owners.get(what);
    if (to === undefined) owners.set(what, route.key);
    else if (to !== route.key && !losses.has(route.key))
      losses.set(route.key, { kind, to, field, hostname, port });
  };
  for (const route of oldestFirst) {
    for (const [claim, identity] of identities(route)) take('match', identity, route, claim.route.field);
    if (route.stream !== null) take('connections', '', route, 'spec.rules[0]');
  }
  return losses;
}

type Identified = readonly (readonly [claim: RuleClaim, identity: string])[];

const known = new WeakMap<RouteRead, Identified>();

/** Of a route that stays as it is, worked out once: thousands of them may be at the place where one changes. */
function identities(route: RouteRead): Identified {
  let found = known.get(route);
  if (!found) known.set(route, (found = route.claims.map((claim) => [claim, identityOf(claim)] as const)));
  return found;
}

/** The same for matches that take the same requests with the same precedence. */
function identityOf({ at, route: { pathType, pattern, matches } }: RuleClaim): string {
  const kind = pattern ? 'pattern' : pathType === 'Exact' ? 'exact' : 'prefix';
  return matches === undefined ? `${kind} ${at}` : `${kind} ${at} ${JSON.stringify(matches)}`;
}

/** What all routes at a place lose to an Ingress, which has the same host there. */
export function lossesToIngress(
  ingress: string,
  routes: readonly RouteRead[],
  hostname: string,
  port: number,
): Losses {
  const loss = { kind: 'host', to: `Ingress ${ingress}`, field: 'spec.hostnames', hostname, port } as const;
  return new Map(routes.map(({ key }) => [key, loss]));
}

/** What routes lose that are attached to other listeners than the one that has the hostname. */
export function lossesToListener(
  { name, parent }: Pick<Listener, 'name' | 'parent'>,
  routes: readonly RouteRead[],
  hostname: string,
  port: number,
): Losses {
  const to = `Listener "${name}" of ${parent}`;
  const loss = { kind: 'listener', to, field: 'spec.parentRefs', hostname, port } as const;
  return new Map(routes.map(({ key }) => [key, loss]));
}

/** For the author of the route. */
export function lossMessage({ kind, to, field, hostname, port }: Loss): string {
  const host = hostname === '' ? 'all hosts' : `host "${hostname}"`;
  switch (kind) {
    case 'host':
      return `${to} has ${host} on port ${port}, too, and Ingresses come first: its requests do not come to this route until the Ingress is deleted, or has another host.`;
    case 'listener':
      return `${to} is for ${host} on port ${port} more closely than the one that this route is attached to, and gets its requests: attach the route to it, or use another host.`;
    case 'match':
      return `${to} is older and has the same match as ${field} for ${host} on port ${port}, so that this route does not get its requests: change or remove one of them.`;
    case 'connections':
      return `${to} is older and gets all connections${hostname === '' ? '' : ` for ${host}`} on port ${port}: remove one of them, or use another listener.`;
  }
}

/** The code of the problem, and the reason of the condition. */
export function lossReason({ kind }: Loss): 'HostServedByIngress' | 'HostOfOtherListener' | 'MatchConflict' {
  switch (kind) {
    case 'host':
      return 'HostServedByIngress';
    case 'listener':
      return 'HostOfOtherListener';
    case 'match':
    case 'connections':
      return 'MatchConflict';
  }
}

export function lossProblems(
  { object }: Pick<RouteRead, 'object'>,
  losses: readonly Loss[],
): readonly Problem[] {
  return losses.map((loss) => problem('warning', lossReason(loss), object, loss.field, lossMessage(loss)));
}
