import { get } from '../model/sharded-map.ts';
import { chooseByWeight } from './choose-backend.ts';
import type { Backend, BackendKey, Route, RouteTable, StreamRoute } from './table.ts';

/** The backend of a connection or of the datagrams of a client; null where there is none. `random` from 0 to below 1. */
export function streamBackend(
  table: RouteTable,
  { backend, gateway }: StreamRoute,
  random: number,
): Backend | null {
  if (gateway !== undefined) return routeBackend(table, gateway.route, random);
  return usable(table, backend);
}

/** The same of a route that takes connections as they are. */
export function routeBackend(table: RouteTable, route: Route | null, random: number): Backend | null {
  if (route === null) return null;
  const { backends } = route;
  const key = backends === undefined ? route.backend : chooseByWeight(backends, random)?.key;
  return key === undefined ? null : usable(table, key);
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
