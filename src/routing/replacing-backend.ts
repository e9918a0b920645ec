import { get } from '../model/sharded-map.ts';
import type { LocalReason } from '../http/local-response.ts';
import type { Backend, BackendKey, Route, RouteTable } from './table.ts';

/** Which backend a route names for errors; null for none. It is compiled like the route's own. */
export function errorBackendKey({ policies }: Route): BackendKey | null {
  return policies?.configs['error-backend']?.backend ?? null;
}

/** What answers in place of a Service without endpoints; null for nothing. */
export function backendWithoutEndpoints(table: RouteTable, route: Route): Backend | null {
  const key = errorBackendKey(route);
  return key === null ? null : usable(table, key);
}

/**
 * What answers in place of a response with this status, of a Pod or of Portico itself for a reason; null where the response
 * stays.
 */
export function replacingBackend(
  table: RouteTable,
  route: Route,
  status: number,
  reason: LocalReason | null,
): Backend | null {
  const config = route.policies?.configs['error-backend'];
  if (config === undefined || !config.statuses.includes(status)) return null;
  if (reason === null ? !config.replacesPods : KEPT.has(reason)) return null;
  const controllers = table.defaultRoute?.ingress === '' ? table.defaultRoute.backend : null;
  const key = config.backend ?? controllers;
  return key === null ? null : usable(table, key);
}

/** What Portico says of access and of the connection is said by nobody else. */
const KEPT: ReadonlySet<LocalReason> = new Set<LocalReason>([
  'closed-by-policy',
  'clients-unverifiable',
  'certificate-missing',
  'certificate-refused',
  'client-certificate-not-available',
  'client-name-denied',
  'address-denied',
  'blocked',
  'misdirected',
  'loop-detected',
  'client-gone',
  'request-timed-out',
  'bad-message',
  'bad-framing',
  'overloaded',
  'draining',
  'internal-fault',
]);

function usable(table: RouteTable, key: BackendKey): Backend | null {
  const backend = get(table.backends, key);
  return backend && !backend.unavailable ? backend : null;
}
