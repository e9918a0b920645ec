import type { BackendRow, EndpointRow, Rates } from './answers.ts';
import { values } from '../../model/sharded-map.ts';
import { compareText } from '../../routing/precedence.ts';
import type { Backend, Endpoint, RouteTable } from '../../routing/table.ts';
import { sortedInSteps } from '../sorted-in-steps.ts';

/** All backends of a table, by key. */
export function* allBackends({
  backends,
}: Pick<RouteTable, 'backends'>): Generator<void, readonly Backend[]> {
  const found: Backend[] = [];
  for (const backend of values(backends)) {
    found.push(backend);
    yield;
  }
  return yield* sortedInSteps(found, (a, b) => compareText(a.key, b.key));
}

/** Which backends are listed; empty for all. */
export interface BackendFilter {
  readonly text: string;
  /** Only those without an endpoint, or with nothing but a last resort. */
  readonly unavailable: boolean;
}

export function backendFilter({ text, unavailable }: BackendFilter): (backend: Backend) => boolean {
  const part = text.toLowerCase();
  return ({ key, unavailable: reason, lastResort }) =>
    (part === '' || key.includes(part)) && (!unavailable || reason !== null || lastResort === true);
}

/** Of each endpoint, by `address:port` with IPv6 in brackets. */
export type EndpointHealths = ReadonlyMap<string, EndpointRow['health']>;

/** Endpoints that one row shows, and threads are asked about. */
export const MAX_ENDPOINTS = 50;

export function backendRow(
  { key, protocol, endpoints, failoverEndpoints = [], lastResort, externalName, unavailable }: Backend,
  health: EndpointHealths | undefined,
  traffic: Rates | null,
): BackendRow {
  const named: readonly Endpoint[] = externalName
    ? [{ address: externalName.host, port: externalName.port }]
    : [];
  const near = [...named, ...endpoints];
  const shown = [...near, ...failoverEndpoints].slice(0, MAX_ENDPOINTS);
  return {
    key,
    protocol,
    endpointCount: near.length,
    failoverCount: failoverEndpoints.length,
    lastResort: lastResort === true,
    externalName: externalName?.host ?? null,
    unavailable,
    endpoints: shown.map((endpoint, index) => endpointRow(endpoint, index >= near.length, health)),
    traffic,
  };
}

function endpointRow(
  { address, port, pod, node, zone, terminating }: Endpoint,
  failover: boolean,
  health: EndpointHealths | undefined,
): EndpointRow {
  const key = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  return {
    address: key,
    pod: pod ?? null,
    node: node ?? null,
    zone: zone ?? null,
    terminating: terminating === true,
    failover,
    health: health?.get(key) ?? null,
  };
}
