import { type ShardedMap, get } from '../model/sharded-map.ts';
import { normalizeHost, routesFor } from './match.ts';
import type { GatewayPort, HostRoutes, RouteTable } from './table.ts';

/** Where a request or a handshake came in: the part of `ConnectionInfo` that says whose it may be. */
export interface ArrivalPort {
  readonly portKey?: string;
  readonly gatewayOnly?: true;
}

/**
 * The routes of a host at a port. On a port that Ingresses and Gateways share the more specific host wins, and the Ingress
 * where both have the same.
 */
export function routesAt(
  table: RouteTable,
  { portKey, gatewayOnly }: ArrivalPort,
  host: string,
): HostRoutes | null {
  const port = portKey === undefined ? undefined : get(table.ports, portKey);
  const gateway = port ? gatewayRoutes(port, host) : null;
  if (gatewayOnly) return gateway;
  const ingress = routesFor(table, host);
  return gateway !== null && isMoreSpecific(gateway, ingress, host) ? gateway : ingress;
}

/** The listener of a Gateway that a request with this Host belongs to; undefined where it is an Ingress's, or nobody's. */
export function listenerAt(table: RouteTable, arrival: ArrivalPort, host: string): string | undefined {
  if (table.ports.size === 0) return undefined;
  return routesAt(table, arrival, normalizeHost(host) ?? '')?.gateway?.listener;
}

/** The routes of the listener that has a host: by its precise name, the longest wildcard above it, or for all hosts. */
export function gatewayRoutes({ hosts }: Pick<GatewayPort, 'hosts'>, host: string): HostRoutes | null {
  return byHostKey(hosts, host);
}

/** What a map by `hostKey` has for a host: of its precise name, of the longest wildcard above it, or of all hosts. */
export function byHostKey<V>(map: ShardedMap<V>, host: string): V | null {
  const found = get(map, host);
  if (found !== undefined) return found;
  for (let dot = host.indexOf('.'); dot > 0; dot = host.indexOf('.', dot + 1)) {
    const wildcard = get(map, host.slice(dot));
    if (wildcard !== undefined) return wildcard;
  }
  return get(map, '') ?? null;
}

function isMoreSpecific(gateway: HostRoutes, ingress: HostRoutes | null, host: string): boolean {
  if (ingress === null) return true;
  if (ingress.host === host) return false;
  return gateway.host === host || gateway.host.length > ingress.host.length;
}
