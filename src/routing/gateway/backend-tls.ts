import type { ObjectReader } from '../../model/object-reader.ts';
import { namespaceOf } from '../../model/objects.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import type { BackendRef, RefOwner } from './backend-refs.ts';
import { policiesForService, policyFor, readBackendTlsPolicy } from './backend-tls-policies.ts';

/**
 * How a Service port is spoken to: HTTP/2 for the calls of a GRPCRoute, TLS where a BackendTLSPolicy says so, or else what
 * the annotations of the route say (`annotated`). `unusable` where that cannot be kept to.
 */
export function backendPolicies(
  { appProtocol, service, portName }: Extract<BackendRef, { kind: 'backend' }>,
  { kind }: Pick<RefOwner, 'kind'>,
  objects: ObjectReader,
  annotated: PolicyConfigs['backend-transport'],
): PolicyConfigs | 'unusable' {
  const isHttp2 = kind === 'GRPCRoute' || appProtocol === 'kubernetes.io/h2c' || appProtocol === 'grpc';
  const namespace = namespaceOf(service);
  const name = service.slice(namespace.length + 1);
  const policies = policiesForService(objects.backendTlsPolicies(namespace), name);
  const policy =
    policies.length === 0
      ? null
      : policyFor(
          policies.map((each) => readBackendTlsPolicy(each, objects)),
          { service, port: portName },
        );
  if (policy !== null) {
    const { rejected, caCertificates, hostname, names } = policy;
    if (rejected !== null || caCertificates === null) return 'unusable';
    return {
      'backend-transport': { protocol: isHttp2 ? 'grpcs' : 'https', serverName: null, caCertificates: null },
      'upstream-tls': {
        clientSecret: null,
        caCertificates: caCertificates === 'system' ? null : caCertificates,
        ...(caCertificates === 'system' && { trustsSystem: true as const }),
        name: hostname,
        ...(names.length > 0 && { names }),
        sendsName: true,
        depth: MOST_INTERMEDIATES,
        ciphers: null,
        minVersion: 'TLSv1.2',
        maxVersion: 'TLSv1.3',
      },
    };
  }
  if (kind !== 'GRPCRoute') return {};
  const { protocol = null, serverName = null, caCertificates = null } = annotated ?? {};
  const isTls = protocol === null ? SPEAKS_TLS.test(appProtocol) : protocol.endsWith('s');
  return { 'backend-transport': { protocol: isTls ? 'grpcs' : 'grpc', serverName, caCertificates } };
}

const SPEAKS_TLS = /^(?:https|kubernetes\.io\/wss)$/i;

const MOST_INTERMEDIATES = 10;
