import type { Compilation } from './compile/compile.ts';
import { listProblems } from './compile/compile.ts';
import { entries, values } from '../model/sharded-map.ts';
import type { HostRoutes, Route, RouteTable } from './table.ts';

/** The routes of a host in the order of their paths. */
export function* routesOf(host: HostRoutes): Generator<Route> {
  const seen = new Set<Route>();
  for (const { whole, prefix } of host.paths) {
    for (const route of [whole, prefix]) {
      if (!route || seen.has(route)) continue;
      seen.add(route);
      yield route;
    }
  }
  for (const { entries: patterns } of host.patterns?.lists ?? []) {
    for (const { route } of patterns) {
      if (!seen.has(route)) yield route;
      seen.add(route);
    }
  }
  if (host.defaultRoute) yield host.defaultRoute;
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
  const counting = countTableInSteps(table);
  for (;;) {
    const step = counting.next();
    if (step.done) return step.value;
  }
}

/** The same, and may be interrupted after each route: the table may be large. */
export function* countTableInSteps(table: RouteTable): Generator<void, TableCounts> {
  let hosts = 0;
  let routes = 0;
  for (const host of hostsOf(table)) {
    hosts++;
    for (const _ of routesOf(host)) {
      routes++;
      yield;
    }
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
  const hosts = [...hostsOf(table)].sort((a, b) => (a.host < b.host ? -1 : 1));
  const backends = [...entries(table.backends)].sort(([a], [b]) => (a < b ? -1 : 1));
  yield `{"generation":${table.generation},"hosts":[`;
  yield* separated(hosts, hostJson);
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

function* hostJson(host: HostRoutes): Generator<string> {
  const clients = host.clients ? `"clients":${JSON.stringify(host.clients)},` : '';
  yield `{"host":${JSON.stringify(host.host)},${clients}"routes":[`;
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
