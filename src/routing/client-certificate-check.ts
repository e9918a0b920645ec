import { get } from '../model/sharded-map.ts';
import { type HostRoutes, type Route, type RouteTable, UNVERIFIABLE } from './table.ts';
import type { ConnectionInfo } from '../http/connection-info.ts';
import type { CertificateRefusal } from '../http/local-response.ts';

/**
 * Why a request may not go on, or null. Its connection, its host and its Ingress must ask for the same.
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
  if (policyId !== undefined && !secure) return 'client-certificate-not-available';
  if (shown?.policyId !== policyId) return 'misdirected';
  const policy = policyId === undefined ? undefined : get(table.clientPolicies, policyId);
  if (shown === undefined || !policy) return 'clients-unverifiable';
  if (policy.enforced === 'never') return null;
  switch (shown.verdict) {
    case 'verified':
      return null;
    case 'refused':
      return 'certificate-refused';
    case 'missing':
      return policy.required ? 'certificate-missing' : null;
  }
}
