import { get } from '../../model/sharded-map.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import { isObject } from '../../model/untyped.ts';
import type { ConvertedObject } from './conversion.ts';

/** Whether there is an object of the kind and name that says something else: to apply the new one replaces it. */
export function replacesAnother(
  { kind, metadata: { namespace = '', name }, spec }: ConvertedObject,
  snapshot: Snapshot,
): boolean {
  const key = namespace === '' ? name : `${namespace}/${name}`;
  const existing = objectsOf(kind, snapshot);
  const found = existing === null ? undefined : get(existing, key);
  return found !== undefined && !says(found.spec, spec);
}

function objectsOf(kind: string, snapshot: Snapshot): Snapshot['gateways'] | null {
  switch (kind) {
    case 'GatewayClass':
      return snapshot.gatewayClasses;
    case 'Gateway':
      return snapshot.gateways;
    case 'ListenerSet':
      return snapshot.listenerSets;
    case 'HTTPRoute':
      return snapshot.httpRoutes;
    case 'GRPCRoute':
      return snapshot.grpcRoutes;
    case 'TLSRoute':
      return snapshot.tlsRoutes;
    case 'ReferenceGrant':
      return snapshot.referenceGrants;
    case 'BackendTLSPolicy':
      return snapshot.backendTlsPolicies;
    default:
      return null;
  }
}

/** Whether an object has all that is written, and in its lists nothing else: the API server adds fields that have defaults. */
function says(existing: unknown, written: unknown): boolean {
  if (Array.isArray(written)) {
    return (
      Array.isArray(existing) &&
      existing.length === written.length &&
      written.every((each, index) => says(existing[index], each))
    );
  }
  if (!isObject(written)) return existing === written;
  return isObject(existing) && Object.entries(written).every(([name, each]) => says(existing[name], each));
}
