import { get } from '../../model/sharded-map.ts';
import type { ClientAuth } from '../../policies/client-certificate.ts';
import { type ArrivalPort, routesAt } from '../../routing/gateway-routes.ts';
import { normalizeHost } from '../../routing/match.ts';
import type { RouteTable } from '../../routing/table.ts';

/** What clients are asked for when a handshake begins, by the newest table. */
export interface ClientPolicies {
  /** Whether anybody is asked for anything, so that nobody else's handshake is looked at. */
  any(): boolean;
  /** By the name that the client gives (SNI), or none; null asks for nothing. */
  of(serverName: string | null, arrival?: ArrivalPort): ClientAuth | null;
}

export function clientPolicies(newest: () => RouteTable): ClientPolicies {
  return {
    any: () => newest().clientPolicies.size > 0,
    of(serverName, arrival = {}) {
      const table = newest();
      const policyId = routesAt(table, arrival, normalizeHost(serverName ?? '') ?? '')?.clients?.policyId;
      return (policyId !== undefined && get(table.clientPolicies, policyId)) || null;
    },
  };
}
