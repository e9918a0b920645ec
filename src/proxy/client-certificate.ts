import { normalizeHost, routesFor } from '../routing/match.ts';
import { get } from '../model/sharded-map.ts';
import type { ClientAuth } from '../policies/client-certificate.ts';
import { type HostRoutes, type Route, type RouteTable, UNVERIFIABLE } from '../routing/table.ts';
import type { ConnectionInfo } from './connection-info.ts';

/** Why a request is refused for want of a certificate; `answer.ts` gives each its status and its words. */
export type CertificateRefusal =
  | 'certificate-missing'
  /** One was shown that is not good. */
  | 'certificate-refused'
  /** It came in clear text, perhaps from a proxy that ended TLS: nobody here has seen a certificate. */
  | 'certificate-out-of-sight'
  /** The connection was opened for hosts that ask for something else (RFC 9110 15.5.20). */
  | 'misdirected'
  /** There is nothing to verify clients by, or the Ingress wants other policyId than its host has. */
  | 'clients-unverifiable';

/** What a client showed on a connection that asked for a certificate; the same for all of its requests. */
export interface ShownCertificate {
  /** Of the policy that it was asked by. */
  readonly policyId: string;
  readonly verdict: 'verified' | 'missing' | 'refused';
  /** What pods are told of it, under the names that ingress-nginx uses. */
  readonly fields: Readonly<Record<string, string>>;
  /** The same as lines of a head. */
  readonly lines: string;
}

/**
 * Why a request may not go on, or null. The terms of its connection, of its host and of its Ingress must be the same.
 * `challenge` says that it is for a certificate authority that looks for its token in clear text: an Ingress that asks
 * for no certificates itself, as those of cert-manager, answers it.
 */
export function certificateRefusal(
  table: RouteTable,
  routes: HostRoutes | null,
  route: Route | null,
  connectionInfo: Pick<ConnectionInfo, 'tls' | 'certificate'> | undefined,
  challenge: boolean,
): CertificateRefusal | null {
  const shown = connectionInfo?.certificate;
  const policyId = routes?.clients?.policyId;
  const wanted = route?.policies?.configs['client-certificate']?.policyId;
  if (shown === undefined && policyId === undefined && wanted === undefined) return null;
  // A load balancer that ended TLS leaves clear text to us, whatever it says: nobody here has seen a certificate.
  const secure = connectionInfo?.tls === true;
  if (challenge && !secure && route !== null && wanted === undefined) return null;
  if (policyId === UNVERIFIABLE || (wanted !== undefined && wanted !== policyId))
    return 'clients-unverifiable';
  if (policyId !== undefined && !secure) return 'certificate-out-of-sight';
  if (shown?.policyId !== policyId) return 'misdirected';
  const policy = policyId === undefined ? undefined : get(table.clientPolicies, policyId);
  if (shown === undefined || !policy) return 'clients-unverifiable';
  switch (shown.verdict) {
    case 'verified':
      return null;
    case 'refused':
      return 'certificate-refused';
    case 'missing':
      return policy.required ? 'certificate-missing' : null;
  }
}

/** What clients are asked for when a handshake begins, by the newest table. */
export interface ClientPolicies {
  /** Whether anybody is asked for anything, so that nobody else's handshake is looked at. */
  any(): boolean;
  /** By the name that the client gives (SNI), or none; null asks for nothing. */
  of(serverName: string | null): ClientAuth | null;
}

export function clientPolicies(newest: () => RouteTable): ClientPolicies {
  return {
    any: () => newest().clientPolicies.size > 0,
    of(serverName) {
      const table = newest();
      const policyId = routesFor(table, normalizeHost(serverName ?? '') ?? '')?.clients?.policyId;
      return (policyId !== undefined && get(table.clientPolicies, policyId)) || null;
    },
  };
}
