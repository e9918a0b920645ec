import { isDeepStrictEqual } from 'node:util';
import { difference, get } from '../model/sharded-map.ts';
import type { Compilation } from './compile/compilation.ts';
import type { HostRoutes, Route, RouteTable } from './table.ts';
import { routesOf } from './table-view.ts';

/** A route that one table has and the other has not, or has otherwise. */
export interface RouteChange {
  readonly kind: 'added' | 'removed' | 'changed';
  /** As its rule wrote it; empty for every host. */
  readonly host: string;
  readonly path: string;
}

/** The routes in which two tables differ. Looks only at the hosts in which they do. */
export function* routeChanges(before: RouteTable, after: RouteTable): Generator<RouteChange> {
  for (const part of ['hosts', 'wildcards'] as const) {
    for (const [key, host] of difference(before[part], after[part])) {
      yield* ofHost(get(before[part], key) ?? null, host ?? null);
    }
  }
  for (const [suffix, globs] of difference(before.globs, after.globs)) {
    const had = new Map((get(before.globs, suffix) ?? []).map(({ glob, routes }) => [glob, routes]));
    const has = new Map((globs ?? []).map(({ glob, routes }) => [glob, routes]));
    for (const glob of new Set([...had.keys(), ...has.keys()])) {
      yield* ofHost(had.get(glob) ?? null, has.get(glob) ?? null);
    }
  }
  if (before.hostRegexes !== after.hostRegexes) {
    const had = regexHosts(before);
    const has = regexHosts(after);
    for (const host of new Set([...had.keys(), ...has.keys()])) {
      yield* ofHost(had.get(host) ?? null, has.get(host) ?? null);
    }
  }
  yield* ofHost(before.hostless, after.hostless);
}

function regexHosts({ hostRegexes }: RouteTable): ReadonlyMap<string, HostRoutes> {
  return new Map(hostRegexes.flatMap(({ entries }) => entries.map(({ routes }) => [routes.host, routes])));
}

function* ofHost(before: HostRoutes | null, after: HostRoutes | null): Generator<RouteChange> {
  if (before === after) return;
  const host = (after ?? before)?.host ?? '';
  const had = byRule(before);
  const has = byRule(after);
  for (const [rule, route] of has) {
    const old = had.get(rule);
    if (!old) yield { kind: 'added', host, path: route.path };
    else if (!isDeepStrictEqual(old, route)) yield { kind: 'changed', host, path: route.path };
  }
  for (const [rule, route] of had) if (!has.has(rule)) yield { kind: 'removed', host, path: route.path };
}

function byRule(host: HostRoutes | null): Map<string, Route> {
  return new Map(host ? [...routesOf(host)].map((route) => [`${route.pathType} ${route.path}`, route]) : []);
}

/** The TLS hosts that one compilation serves with another certificate than the other one. */
export function certificateChanges(before: Compilation, after: Compilation): readonly string[] {
  const hosts = new Set<string>();
  for (const [host, reference] of difference(before.table.certificates, after.table.certificates)) {
    if (reference?.secret) hosts.add(host || '(default)');
  }
  for (const [secret, keys] of difference(before.keys, after.keys)) {
    if (keys === undefined) continue;
    for (const host of get(after.indexes.hostsBySecret, secret) ?? []) hosts.add(host || '(default)');
  }
  return [...hosts];
}
