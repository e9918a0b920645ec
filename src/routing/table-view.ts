import type { Compilation } from './compile/compile.ts';
import { listProblems } from './compile/compile.ts';
import { runToEnd } from '../model/run-to-end.ts';
import { entries, values } from '../model/sharded-map.ts';
import type { GatewayPort, HostRoutes, Route, RouteTable } from './table.ts';

/** The routes of a host in the order of their paths, and of one path in the order in which they are asked. */
export function* routesOf(host: HostRoutes): Generator<Route> {
  const seen = new Set<Route>();
  for (const first of firstRoutesOf(host)) {
    let route: Route | undefined = first;
    while (route && !seen.has(route)) {
      seen.add(route);
      yield route;
      route = route.next === undefined ? undefined : host.linked?.[route.next];
    }
  }
}

function* firstRoutesOf({ gateway, paths, patterns, defaultRoute }: HostRoutes): Generator<Route> {
  if (gateway?.tls?.route) yield gateway.tls.route;
  for (const { whole, prefix } of paths) {
    if (whole) yield whole;
    if (prefix) yield prefix;
  }
  for (const { entries } of patterns?.lists ?? []) for (const { route } of entries) yield route;
  if (defaultRoute) yield defaultRoute;
}

/** Every host of the table: precise, wildcard, glob, the hostless rules, then those on the ports of Gateways. */
export function* hostsOf(
  table: Pick<RouteTable, 'hosts' | 'wildcards' | 'globs' | 'hostRegexes' | 'hostless' | 'ports'>,
): Generator<HostRoutes> {
  yield* values(table.hosts);
  yield* values(table.wildcards);
  for (const bucket of values(table.globs)) for (const glob of bucket) yield glob.routes;
  for (const list of table.hostRegexes) for (const { routes } of list.entries) yield routes;
  if (table.hostless) yield table.hostless;
  for (const { hosts } of values(table.ports)) yield* values(hosts);
}

export interface TableCounts {
  readonly hosts: number;
  readonly routes: number;
  readonly backends: number;
  /** Backends without a ready endpoint, served by endpoints that were ready before. */
  readonly lastResort: number;
}

export function countTable(table: RouteTable): TableCounts {
  return runToEnd(countTableInSteps(table));
}

/** The same, and may be interrupted after each route: the table may be large. */
export function* countTableInSteps(table: RouteTable): Generator<void, TableCounts> {
  let hosts = 0;
  let routes = 0;
  for (const host of hostsOf(table)) {
    const before = routes;
    for (const _ of routesOf(host)) {
      routes++;
      yield;
    }
    // A listener has an entry for its hostname, whether a route has that hostname or not.
    if (routes > before) hosts++;
  }
  let lastResort = 0;
  for (const backend of values(table.backends)) {
    if (backend.lastResort) lastResort++;
    yield;
  }
  return { hosts, routes, backends: table.backends.size, lastResort };
}

/** What `/routes` shows: everything that is served, as pieces of JSON with a line for each route, backend and problem. */
export function* tableJson(compilation: Compilation): Generator<string> {
  const { table } = compilation;
  const portOf = portsByHost(table);
  const hosts = [...hostsOf(table)].sort((a, b) => (a.host < b.host ? -1 : 1));
  const backends = [...entries(table.backends)].sort(([a], [b]) => (a < b ? -1 : 1));
  yield `{"generation":${table.generation},"hosts":[`;
  yield* separated(hosts, (host) => hostJson(host, portOf.get(host)));
  yield `],\n"defaultRoute":${JSON.stringify(table.defaultRoute)},\n"backends":{`;
  yield* separated(backends, function* ([key, backend]) {
    yield `${JSON.stringify(key)}:${JSON.stringify(backend)}`;
  });
  yield '},\n"problems":[';
  yield* separated(listProblems(compilation), function* (problem) {
    yield JSON.stringify(problem);
  });
  yield ']}\n';
}

/** Where the hosts of Gateways are served. */
function portsByHost({ ports }: RouteTable): ReadonlyMap<HostRoutes, GatewayPort> {
  const found = new Map<HostRoutes, GatewayPort>();
  for (const port of values(ports)) for (const host of values(port.hosts)) found.set(host, port);
  return found;
}

function* hostJson(host: HostRoutes, port: GatewayPort | undefined): Generator<string> {
  const { listener } = host.gateway ?? {};
  const at = port
    ? `"listener":${JSON.stringify(listener)},"address":${JSON.stringify(port.address)},"port":${port.port},`
    : '';
  const clients = host.clients ? `"clients":${JSON.stringify(host.clients)},` : '';
  yield `{"host":${JSON.stringify(host.host)},${at}${clients}"routes":[`;
  yield* separated(routesOf(host), function* (route) {
    yield JSON.stringify(route);
  });
  yield ']}';
}

function* separated<T>(items: Iterable<T>, json: (item: T) => Generator<string>): Generator<string> {
  let separator = '\n';
  for (const item of items) {
    yield separator;
    yield* json(item);
    separator = ',\n';
  }
}
