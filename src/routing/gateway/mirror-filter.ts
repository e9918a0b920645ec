import type { ObjectReader } from '../../model/object-reader.ts';
import { type UntypedObject, asObject, isAbsent } from '../../model/untyped.ts';
import type { FilterReader } from '../../policies/filter-reader.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import { type RefOwner, readBackendRef } from './backend-refs.ts';
import type { Fault } from './kinds.ts';

export interface MirrorContext {
  readonly owner: RefOwner;
  readonly objects: ObjectReader;
  /** What is named and cannot be had. */
  readonly unresolved: Fault[];
}

/** Where copies go, null for nowhere: what the filter names and cannot have costs the copies alone. */
export function readMirrorFilter(
  { backendRef, percent, fraction }: UntypedObject,
  read: FilterReader,
  { owner, objects, unresolved }: MirrorContext,
): NonNullable<PolicyConfigs['request-mirror']> | null {
  const { numerator, denominator = 100 } = isAbsent(fraction)
    ? { numerator: percent ?? 100 }
    : asObject(fraction);
  if (!isCount(numerator) || !isCount(denominator) || denominator === 0 || numerator > denominator) {
    read.fail('copies no valid part of the requests', 'write a percent from 0 to 100');
  }
  const ref = readBackendRef(backendRef, owner, objects);
  if (ref.kind === 'invalid') {
    unresolved.push(ref.fault);
    return null;
  }
  if (numerator === 0) return null;
  return { mirrors: [{ namespace: owner.namespace, backend: ref.key, numerator, denominator }] };
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0;
}
