import { get } from '../model/sharded-map.ts';
import { chooseByWeight } from './choose-backend.ts';
import type { Backend, BackendKey, Route, RouteTable, StreamRoute } from './table.ts';

/** The backend of a connection or of the datagrams of a client; null where there is none. `random` from 0 to below 1. */
export function streamBackend(
  table: RouteTable,
  { backend, gateway }: StreamRoute,
  random: number,
): Backend | null {
  if (gateway !== undefined) return routeTarget(table, gateway.route, random)?.backend ?? null;
  return usable(table, backend);
}

/** Where a connection goes. */
export interface StreamTarget {
  readonly backend: Backend;
  /** As its backend serves it; null where an Ingress or a ConfigMap says so. */
  readonly route: Route | null;
}

/** The same of a route that takes connections as they are. */
export function routeTarget(table: RouteTable, route: Route | null, random: number): StreamTarget | null {
  if (route === null) return null;
  const { backends } = route;
  const chosen = backends === undefined ? null : chooseByWeight(backends, random);
  const key = backends === undefined ? route.backend : chosen?.key;
  const backend = key === undefined ? null : usable(table, key);
  return backend && { backend, route: chosen?.route ?? route };
}

function usable(table: RouteTable, key: BackendKey): Backend | null {
  const backend = get(table.backends, key);
  return backend && !backend.unavailable ? backend : null;
}

/** Whether a stream still sends something to a backend. */
export function mayReach({ backend, gateway }: StreamRoute, key: BackendKey): boolean {
  if (gateway === undefined) return backend === key;
  const { route } = gateway;
  if (route?.backends === undefined) return route?.backend === key;
  return route.backends.some((each) => each.key === key && each.weight > 0);
}

/** Whether two streams are listened for at the same place. */
export function isSamePlace(one: StreamRoute, other: StreamRoute | undefined): boolean {
  return (
    one.protocol === other?.protocol &&
    one.port === other.port &&
    (one.gateway?.address ?? '') === (other.gateway?.address ?? '')
  );
}
