import type { Compilation } from './compile/compile.ts';
import { listProblems } from './compile/compile.ts';
import { entries, values } from '../model/sharded-map.ts';
import type { HostRoutes, PathNode, Route, RouteTable } from './table.ts';

/** The routes of a host in the order of their paths. */
export function* routesOf(host: HostRoutes): Generator<Route> {
  const seen = new Set<Route>();
  for (const route of routesBelow(host.paths)) {
    if (seen.has(route)) continue;
    seen.add(route);
    yield route;
  }
  if (host.defaultRoute) yield host.defaultRoute;
}

function* routesBelow(node: PathNode): Generator<Route> {
  if (node.whole) yield node.whole;
  if (node.prefix) yield node.prefix;
  for (const child of node.children?.values() ?? []) yield* routesBelow(child);
}

/** Every host of the table: precise, wildcard, glob, then the hostless rules. */
export function* hostsOf(table: RouteTable): Generator<HostRoutes> {
  yield* values(table.hosts);
  yield* values(table.wildcards);
  for (const bucket of values(table.globs)) for (const glob of bucket) yield glob.routes;
  if (table.hostless) yield table.hostless;
}

export interface TableCounts {
  readonly hosts: number;
  readonly routes: number;
  readonly backends: number;
  /** Backends without a ready endpoint, served by endpoints that were ready before. */
  readonly lastResort: number;
}

export function countTable(table: RouteTable): TableCounts {
  let hosts = 0;
  let routes = 0;
  for (const host of hostsOf(table)) {
    hosts++;
    for (const _ of routesOf(host)) routes++;
  }
  let lastResort = 0;
  for (const backend of values(table.backends)) if (backend.lastResort) lastResort++;
  return { hosts, routes, backends: table.backends.size, lastResort };
}

/** What `/routes` shows: everything that is served, readable by people and programs. */
export function tableView(compilation: Compilation): unknown {
  const { table } = compilation;
  const hosts = [...hostsOf(table)].map((host) => ({
    host: host.host,
    ...(host.clients && { clients: host.clients }),
    routes: [...routesOf(host)],
  }));
  return {
    generation: table.generation,
    hosts: hosts.sort((a, b) => (a.host < b.host ? -1 : 1)),
    defaultRoute: table.defaultRoute,
    backends: Object.fromEntries([...entries(table.backends)].sort(([a], [b]) => (a < b ? -1 : 1))),
    problems: listProblems(compilation),
  };
}
