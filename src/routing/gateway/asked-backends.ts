import type { ObjectReader } from '../../model/object-reader.ts';
import type { AskedBackend } from '../../policies/asked-backend.ts';
import { type RefOwner, readBackendRef } from './backend-refs.ts';
import { backendPolicies } from './backend-tls.ts';
import type { Fault } from './kinds.ts';

/** Whose filters name backends, and what reading them leaves behind. */
export interface AskingRoute {
  readonly owner: RefOwner;
  readonly objects: ObjectReader;
  /** What is named and cannot be had. */
  readonly unresolved: Fault[];
}

/** The backend that a filter names, spoken to as its BackendTLSPolicy says, by gRPC if asked for; null where it cannot be had. */
export function readAskedBackend(
  written: unknown,
  { owner, objects, unresolved }: AskingRoute,
  isGrpc = false,
): AskedBackend | null {
  const ref = readBackendRef(written, owner, objects);
  if (ref.kind === 'invalid') {
    unresolved.push(ref.fault);
    return null;
  }
  const transport = backendPolicies(ref, isGrpc ? { kind: 'GRPCRoute' } : owner, objects, undefined);
  if (transport === 'unusable') {
    const message = `The BackendTLSPolicy of Service ${ref.service} cannot be kept to: correct it.`;
    unresolved.push({ reason: 'BackendNotFound', message });
    return null;
  }
  return { backend: ref.key, ...(Object.keys(transport).length > 0 && { transport }) };
}
