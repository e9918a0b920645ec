import { namespaceOf } from '../model/objects.ts';
import { get } from '../model/sharded-map.ts';
import type { CertificateReference, HostRoutes, RouteTable } from './table.ts';

/**
 * What `spec.tls` says of a host: the reference for its name, else for the wildcard above it, one with a Secret first;
 * null when nobody asks for TLS. A reference counts only if it comes from the namespace that has the host: that of
 * `routes`, which is what `routesFor` gives for the host. No other namespace can redirect its clients or show them a
 * certificate.
 */
export function hostReference(
  table: Pick<RouteTable, 'certificates' | 'defaultRoute'>,
  host: string,
  routes: HostRoutes | null,
): CertificateReference | null {
  const { certificates } = table;
  if (certificates.size === 0 || host === '') return null;
  const namespace = routes === null ? namespaceOf(table.defaultRoute?.ingress ?? '') : routes.namespace;
  const precise = ofNamespace(get(certificates, host), namespace);
  if (precise?.secret) return precise;
  const dot = host.indexOf('.');
  const wildcard = dot > 0 ? ofNamespace(get(certificates, `*${host.slice(dot)}`), namespace) : null;
  return wildcard?.secret ? wildcard : (precise ?? wildcard);
}

function ofNamespace(
  reference: CertificateReference | undefined,
  namespace: string,
): CertificateReference | null {
  return reference?.namespace === namespace ? reference : null;
}
