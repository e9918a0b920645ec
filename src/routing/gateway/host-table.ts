import { TENANT_LIMITS } from '../tenant-limits.ts';
import { compareText } from '../precedence.ts';
import { type PathSlot, pathTree } from '../path-tree.ts';
import { type HostPatterns, type HostRoutes, type PatternEntry, type Route, UNVERIFIABLE } from '../table.ts';
import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { policySet } from '../../policies/policy-set.ts';
import type { Fault, RouteKey } from './kinds.ts';
import type { Listener } from './listeners.ts';
import type { RuleClaim } from './route-rules.ts';
import { type RouteRead, byAge } from './read-route.ts';

/** The routes of one hostname of a listener. */
export interface HostTable {
  readonly routes: HostRoutes;
  /** The routes of which a part is too much for the hostname, and is not served there. */
  readonly leftOut: RoutesLeftOut;
}

/** By `HTTPRoute namespace/name`. */
export type RoutesLeftOut = ReadonlyMap<RouteKey, Fault>;

/** From the routes that are attached to a listener at one of its hostnames. */
export function hostTable(
  listener: Listener,
  hostname: string,
  routes: readonly RouteRead[],
  clientSecret: ObjectKey | null,
): HostTable {
  const leftOut = new Map<RouteKey, Fault>();
  const oldestFirst = [...routes].sort(byAge);
  const claims = oldestFirst.flatMap((route, age) =>
    route.claims.map((claim) => ({
      claim: clientSecret === null ? claim : { ...claim, route: withClient(claim.route, clientSecret) },
      age,
    })),
  );
  // What is too much is cut by age: a younger route takes no place of an older one, however well it would rank.
  for (const { age } of claims.splice(TENANT_LIMITS.pathsPerHost)) {
    const route = oldestFirst[age];
    if (route) leftOut.set(route.key, tooManyPaths(hostname));
  }
  const ranked = claims.sort(byPrecedence);
  const plain = ranked.filter(({ claim }) => claim.route.pattern === undefined);
  const patterns = ranked.filter(({ claim }) => claim.route.pattern !== undefined);
  /** By route, its place in the list. */
  const linked = new Map<Route, number>();
  const link = (routes: readonly Route[], after: Route | null): Route | null =>
    linkRoutes(routes, after, linked);
  const paths = pathTree(linkPlaces(plain, link));
  const stream = oldestFirst.find(({ kind }) => kind === 'TLSRoute')?.stream ?? null;
  const { tlsMode, protocol, clients } = listener;
  const routesOfHost: HostRoutes = {
    host: hostname,
    namespace: listener.namespace,
    paths,
    ...(patterns.length > 0 && { patterns: linkPatterns(patterns, oldestFirst, link, hostname, leftOut) }),
    ...(linked.size > 0 && { linked: [...linked.keys()] }),
    defaultRoute: null,
    ...(clients !== null && {
      clients: {
        policyId: clients === 'unverifiable' ? UNVERIFIABLE : clients.policyId,
        ingress: listener.id,
      },
    }),
    gateway: {
      listener: listener.id,
      ...(protocol === 'TLS' && {
        tls: {
          mode: tlsMode === 'Passthrough' ? ('passthrough' as const) : ('terminate' as const),
          route: stream,
        },
      }),
    },
  };
  return { routes: routesOfHost, leftOut };
}

function tooManyPaths(hostname: string): Fault {
  const message = `A host may have ${TENANT_LIMITS.pathsPerHost} paths, and with the older routes at ${describeHostname(hostname)} they are more: what is beyond is not served there; remove matches, or use another host.`;
  return { reason: 'HostTooManyPaths', message };
}

function patternsTooLarge(hostname: string): Fault {
  const message = `The regular expressions of a namespace on one host may have ${TENANT_LIMITS.patternsSizePerHostAndNamespace} instructions, and those at ${describeHostname(hostname)} have more: what is beyond is not served there; use fewer or simpler ones, or another host.`;
  return { reason: 'HostPatternsTooLarge', message };
}

function describeHostname(hostname: string): string {
  return hostname === '' ? 'all hosts of the listener' : `"${hostname}"`;
}

/** The route as it is served where endpoints with TLS are shown a certificate. */
function withClient(route: Route, clientSecret: ObjectKey): Route {
  const { policies, backends } = route;
  const shown = backends?.map((each) =>
    each.route ? { ...each, route: withClient(each.route, clientSecret) } : each,
  );
  const tls = policies?.configs['upstream-tls'];
  const configs = { ...policies?.configs, ...(tls && { 'upstream-tls': { ...tls, clientSecret } }) };
  return {
    ...route,
    ...(shown && { backends: shown }),
    ...(policies && tls && { policies: policySet(configs, policies.closed) }),
  };
}

interface Ranked {
  readonly claim: RuleClaim;
  /** The place of its route by age. */
  readonly age: number;
}

/** Among the claims of one place: what asks for a method, for more fields, for more parameters, then the older route. */
function byPrecedence({ claim: a, age: ageOfA }: Ranked, { claim: b, age: ageOfB }: Ranked): number {
  const [x, y] = [a.route.matches, b.route.matches];
  const fields = (route: typeof x): number => (route?.headers?.length ?? 0) + Number(route?.isGrpc ?? false);
  return (
    Number(y?.method !== undefined) - Number(x?.method !== undefined) ||
    fields(y) - fields(x) ||
    (y?.query?.length ?? 0) - (x?.query?.length ?? 0) ||
    ageOfA - ageOfB ||
    a.order - b.order
  );
}

/**
 * What takes requests at each place of the tree, each route linked to the one that is asked after it: those of its own place,
 * then those of the next shorter prefix.
 */
function linkPlaces(ranked: readonly Ranked[], link: Link): ReadonlyMap<string, PathSlot> {
  const places = new Map<string, { whole: Route[]; prefix: Route[] }>();
  for (const { claim } of ranked) {
    const place = places.get(claim.at) ?? { whole: [], prefix: [] };
    places.set(claim.at, place);
    (claim.route.pathType === 'Exact' ? place.whole : place.prefix).push(claim.route);
  }
  const linked = new Map<string, PathSlot>();
  for (const at of [...places.keys()].sort((a, b) => a.length - b.length)) {
    const { whole, prefix } = places.get(at) ?? { whole: [], prefix: [] };
    const above = prefixAbove(linked, at);
    const first = link(prefix, above);
    linked.set(at, {
      whole: link(whole, whole.length > 0 ? exactAfter(linked, at, first ?? above) : null),
      prefix: prefix.length > 0 ? first : null,
    });
  }
  return linked;
}

/** What is asked after the Exact paths of a place: the prefix at the same place, which may have a slash less. */
function exactAfter(
  linked: ReadonlyMap<string, PathSlot>,
  at: string,
  otherwise: Route | null,
): Route | null {
  if (!at.endsWith('/')) return otherwise;
  return linked.get(at.slice(0, -1))?.prefix ?? otherwise;
}

/** The routes of the longest prefix that is shorter. */
function prefixAbove(linked: ReadonlyMap<string, PathSlot>, at: string): Route | null {
  for (let slash = at.lastIndexOf('/'); slash >= 0; slash = at.lastIndexOf('/', slash - 1)) {
    const above = linked.get(at.slice(0, slash))?.prefix;
    if (above) return above;
    if (slash === 0) break;
  }
  return null;
}

type Link = (routes: readonly Route[], after: Route | null) => Route | null;

/** The first of the routes, each with its way to the next one and to `after`, which are put into `linked`. */
function linkRoutes(routes: readonly Route[], after: Route | null, linked: Map<Route, number>): Route | null {
  let next = after;
  for (const route of routes.toReversed()) {
    // What takes every request never falls back.
    if (route.matches === undefined || next === null) next = route;
    else {
      const place = linked.get(next) ?? linked.size;
      linked.set(next, place);
      next = { ...route, next: place };
    }
  }
  return next;
}

/** Regular expressions, the longer text first; those of the same text are linked. */
function linkPatterns(
  ranked: readonly Ranked[],
  oldestFirst: readonly RouteRead[],
  link: Link,
  hostname: string,
  leftOut: Map<RouteKey, Fault>,
): HostPatterns {
  const ages = new Map(oldestFirst.map(({ name }, age) => [name, age]));
  const byNamespace = Map.groupBy(ranked, ({ claim }) => namespaceOf(claim.route.ingress));
  const lists = [...byNamespace].map(([namespace, ofNamespace]) => {
    const byText = Map.groupBy(ofNamespace, ({ claim }) => claim.at);
    let size = 0;
    const entries = [...byText.values()].flatMap((same): readonly PatternEntry[] => {
      const route = link(
        same.map(({ claim }) => claim.route),
        null,
      );
      const pattern = route?.pattern;
      if (!route || !pattern) return [];
      size += pattern.size;
      if (size <= TENANT_LIMITS.patternsSizePerHostAndNamespace) return [{ pattern, route }];
      for (const { age } of same) {
        const owner = oldestFirst[age];
        if (owner) leftOut.set(owner.key, patternsTooLarge(hostname));
      }
      return [];
    });
    return {
      namespace,
      entries: entries.toSorted(
        (a, b) =>
          b.pattern.text.length - a.pattern.text.length || compareText(b.pattern.text, a.pattern.text),
      ),
    };
  });
  return { lists, ages };
}
