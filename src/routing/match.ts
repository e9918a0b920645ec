import { patternTakes } from './glob-pattern.ts';
import { findPath } from './path-tree.ts';
import { findHostRegex, isNobodys } from './find-host-regex.ts';
import { findRoute } from './find-route.ts';
import { firstTaking } from './request-match.ts';
import type { RequestFacts } from '../http/request-facts.ts';
import { TOO_COSTLY } from '../http/regex/first-match.ts';
import { get } from '../model/sharded-map.ts';
import type { GlobHost, HostRoutes, Route, RouteTable } from './table.ts';

export { normalizeHost } from './host.ts';
export { normalizePath } from '../http/path.ts';

/**
 * The route of a request, or null for a 404. `host` comes from `normalizeHost` (empty for a request without a
 * host) and `path` from `normalizePath`. The first class that has the host decides: precise, wildcard, glob,
 * hostless. What misses there goes to that host's default backend, else to the table's. Null also
 * where the regular expressions of the host would take too long.
 */
export function match(table: RouteTable, host: string, path: string): Route | null {
  const route = matchIn(table, routesFor(table, host), path);
  return route === TOO_COSTLY ? null : route;
}

/** The same where the routes of the host are known already. */
export function matchIn(
  table: RouteTable,
  routes: HostRoutes | null,
  path: string,
): Route | null | typeof TOO_COSTLY {
  if (routes === null) return table.defaultRoute;
  if (isNobodys(routes)) return null;
  return findRoute(routes, path) ?? routes.defaultRoute ?? table.defaultRoute;
}

/** The route of a listener's host that takes a request, by its path and whatever else its routes look at. */
export function matchForGateway(
  routes: HostRoutes,
  path: string,
  request: RequestFacts,
): Route | null | typeof TOO_COSTLY {
  const found = findRoute(routes, path);
  if (found === null || found === TOO_COSTLY) return found;
  const taking = firstTaking(found, routes.linked, request);
  // What a regular expression comes before is not linked to it: it depends on the path.
  if (taking !== null || found.pattern === undefined) return taking;
  return firstTaking(findPath(routes.paths, path), routes.linked, request);
}

/** The routes of the host class that owns a host. */
export function routesFor(table: RouteTable, host: string): HostRoutes | null {
  const precise = get(table.hosts, host);
  if (precise) return precise;
  const dot = host.indexOf('.');
  if (dot > 0) {
    const wildcard = table.wildcards.size > 0 ? get(table.wildcards, host.slice(dot + 1)) : undefined;
    if (wildcard) return wildcard;
    const glob = table.globs.size > 0 ? findGlob(table, host, dot) : null;
    if (glob) return glob.routes;
  }
  const found = table.hostRegexes.length > 0 && host !== '' ? findHostRegex(table.hostRegexes, host) : null;
  if (found) return found;
  return table.hostless;
}

/** The first glob that takes the host, of those with the longest suffix. How many there are is bounded. */
function findGlob(table: RouteTable, host: string, firstDot: number): GlobHost | null {
  for (let dot = firstDot; dot > 0; dot = host.indexOf('.', dot + 1)) {
    const bucket = get(table.globs, host.slice(dot + 1));
    if (!bucket) continue;
    for (const glob of bucket) if (globTakes(glob, host, dot)) return glob;
  }
  return null;
}

/** Whether a glob takes a host, whose suffix begins with the dot at `end`. */
export function globTakes({ patterns }: GlobHost, host: string, end: number): boolean {
  for (const pattern of patterns) if (patternTakes(pattern, host, end)) return true;
  return false;
}
