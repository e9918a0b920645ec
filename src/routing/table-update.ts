import type { GlobalSettings } from './global-options.ts';
import { EMPTY_TABLE } from './compile/compilation.ts';
import { type ShardedMap, difference, edit, emptyMap, entries, get, mapOf } from '../model/sharded-map.ts';
import type { ClientAuth } from '../policies/client-certificate.ts';
import type {
  Backend,
  BackendKey,
  CertificateReference,
  GatewayPort,
  GlobHost,
  HostRegexList,
  HostRoutes,
  Route,
  RouteTable,
  StreamRoute,
} from './table.ts';

export { EMPTY_TABLE };

/** What changed in a map: each key with its new value, or null when it is gone. */
export type MapUpdate<V> = readonly (readonly [key: string, value: V | null])[];

/** What changed at an address and port of Gateways; its hosts are as many as their routes. */
export type PortUpdate = Pick<GatewayPort, 'address' | 'port' | 'isTls'> & {
  readonly hosts: MapUpdate<HostRoutes>;
  readonly certificates: MapUpdate<string>;
};

/** What a thread that has one table needs to have the next: plain data, fit to be posted. */
export type TableUpdate =
  | { readonly kind: 'full'; readonly table: RouteTable }
  | {
      readonly kind: 'changes';
      /** The generation that this builds on. */
      readonly from: number;
      readonly generation: number;
      readonly hosts: MapUpdate<HostRoutes>;
      readonly wildcards: MapUpdate<HostRoutes>;
      readonly globs: MapUpdate<readonly GlobHost[]>;
      readonly backends: MapUpdate<Backend>;
      readonly certificates: MapUpdate<CertificateReference>;
      readonly clientPolicies: MapUpdate<ClientAuth>;
      readonly passthroughs: MapUpdate<BackendKey>;
      readonly streams: MapUpdate<StreamRoute>;
      readonly ports: MapUpdate<PortUpdate>;
      /** Present when it is another one. */
      readonly hostRegexes?: readonly HostRegexList[];
      readonly hostless?: HostRoutes | null;
      readonly defaultRoute?: Route | null;
      readonly globals?: GlobalSettings | null;
    };

/** The whole table when there is none to start from, else the differences; its size follows theirs. */
export function tableUpdate(from: RouteTable | null, to: RouteTable): TableUpdate {
  if (from === null) return { kind: 'full', table: to };
  return {
    kind: 'changes',
    from: from.generation,
    generation: to.generation,
    hosts: mapUpdate(from.hosts, to.hosts),
    wildcards: mapUpdate(from.wildcards, to.wildcards),
    globs: mapUpdate(from.globs, to.globs),
    backends: mapUpdate(from.backends, to.backends),
    certificates: mapUpdate(from.certificates, to.certificates),
    clientPolicies: mapUpdate(from.clientPolicies, to.clientPolicies),
    passthroughs: mapUpdate(from.passthroughs, to.passthroughs),
    streams: mapUpdate(from.streams, to.streams),
    ports: [...difference(from.ports, to.ports)].map(([key, port]) => [
      key,
      port ? portUpdate(get(from.ports, key), port) : null,
    ]),
    ...(from.hostRegexes !== to.hostRegexes && { hostRegexes: to.hostRegexes }),
    ...(from.hostless !== to.hostless && { hostless: to.hostless }),
    ...(from.defaultRoute !== to.defaultRoute && { defaultRoute: to.defaultRoute }),
    ...(from.globals !== to.globals && { globals: to.globals ?? null }),
  };
}

/** The table after an update; `table` itself is left as it was. Throws when the update builds on another table. */
export function applyTableUpdate(table: RouteTable, update: TableUpdate): RouteTable {
  if (update.kind === 'full') return update.table;
  if (update.from !== table.generation) {
    throw new Error(`an update from generation ${update.from} does not fit the table of ${table.generation}`);
  }
  return {
    generation: update.generation,
    hosts: updated(table.hosts, update.hosts),
    wildcards: updated(table.wildcards, update.wildcards),
    globs: updated(table.globs, update.globs),
    hostRegexes: update.hostRegexes ?? table.hostRegexes,
    hostless: update.hostless === undefined ? table.hostless : update.hostless,
    defaultRoute: update.defaultRoute === undefined ? table.defaultRoute : update.defaultRoute,
    backends: updated(table.backends, update.backends),
    certificates: updated(table.certificates, update.certificates),
    clientPolicies: updated(table.clientPolicies, update.clientPolicies),
    passthroughs: updated(table.passthroughs, update.passthroughs),
    streams: updated(table.streams, update.streams),
    ports: updatedPorts(table.ports, update.ports),
    ...withGlobals(update.globals === undefined ? table.globals : update.globals),
  };
}

/** A table without the entries that cannot be copied to another thread, and their names. */
export function copyableTable(table: RouteTable): { copyable: RouteTable; leftOut: readonly string[] } {
  const leftOut: string[] = [];
  const part = <V>(name: string, value: V, instead: V): V => {
    try {
      structuredClone(value);
      return value;
    } catch {
      leftOut.push(name);
      return instead;
    }
  };
  const map = <V>(name: string, from: ShardedMap<V>): ShardedMap<V> => {
    const copyable = [...entries(from)].filter(
      ([key, value]) => part(`${name} ${key}`, value, null) !== null,
    );
    return mapOf(copyable);
  };
  const copyable: RouteTable = {
    generation: table.generation,
    hosts: map('host', table.hosts),
    wildcards: map('wildcard', table.wildcards),
    globs: map('globs under', table.globs),
    hostRegexes: part('hosts that are regular expressions', table.hostRegexes, []),
    hostless: part('rules without a host', table.hostless, null),
    defaultRoute: part('default backend', table.defaultRoute, null),
    backends: map('backend', table.backends),
    certificates: map('certificate', table.certificates),
    clientPolicies: map('client policy', table.clientPolicies),
    passthroughs: map('TLS passthrough', table.passthroughs),
    streams: map('stream', table.streams),
    ports: map('port', table.ports),
    ...withGlobals(table.globals),
  };
  return { copyable, leftOut };
}

function withGlobals(globals: GlobalSettings | null | undefined): Pick<RouteTable, 'globals'> {
  return globals ? { globals } : {};
}

function mapUpdate<V>(from: ShardedMap<V>, to: ShardedMap<V>): MapUpdate<V> {
  return [...difference(from, to)].map(([key, value]) => [key, value ?? null] as const);
}

function portUpdate(from: GatewayPort | undefined, to: GatewayPort): PortUpdate {
  return {
    ...to,
    hosts: mapUpdate(from?.hosts ?? emptyMap(), to.hosts),
    certificates: mapUpdate(from?.certificates ?? emptyMap(), to.certificates),
  };
}

function updatedPorts(
  ports: ShardedMap<GatewayPort>,
  update: MapUpdate<PortUpdate>,
): ShardedMap<GatewayPort> {
  const changes = edit(ports);
  for (const [key, port] of update) {
    if (port === null) {
      changes.delete(key);
      continue;
    }
    const before = changes.get(key);
    changes.set(key, {
      ...port,
      hosts: updated(before?.hosts ?? emptyMap(), port.hosts),
      certificates: updated(before?.certificates ?? emptyMap(), port.certificates),
    });
  }
  return changes.done();
}

function updated<V>(map: ShardedMap<V>, update: MapUpdate<V>): ShardedMap<V> {
  const changes = edit(map);
  for (const [key, value] of update) {
    if (value === null) changes.delete(key);
    else changes.set(key, value);
  }
  return changes.done();
}
