import { type UntypedObject, asObject, isAbsent } from '../../model/untyped.ts';
import type { FilterReader } from '../../policies/filter-reader.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import { type AskingRoute, readAskedBackend } from './asked-backends.ts';

/** Where copies go, null for nowhere: what the filter names and cannot have costs the copies alone. */
export function readMirrorFilter(
  { backendRef, percent, fraction }: UntypedObject,
  read: FilterReader,
  route: AskingRoute,
): NonNullable<PolicyConfigs['request-mirror']> | null {
  const { numerator, denominator = 100 } = isAbsent(fraction)
    ? { numerator: percent ?? 100 }
    : asObject(fraction);
  if (!isCount(numerator) || !isCount(denominator) || denominator === 0 || numerator > denominator) {
    read.fail('copies no valid part of the requests', 'write a percent from 0 to 100');
  }
  const asked = readAskedBackend(backendRef, route);
  if (asked === null || numerator === 0) return null;
  return { mirrors: [{ namespace: route.owner.namespace, ...asked, numerator, denominator }] };
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0;
}
