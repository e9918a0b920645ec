import { type ObjectReference, referenceTo } from '../../model/problem.ts';
import { type ShardedMap, entries } from '../../model/sharded-map.ts';
import type { GatewayResource } from '../../model/objects.ts';
import { asObject, isAbsent } from '../../model/untyped.ts';
import { generationOf } from './gateways.ts';
import type { Fault } from './kinds.ts';

/** A GatewayClass whose controller Portico is. */
export interface GatewayClassRead {
  readonly object: ObjectReference;
  readonly generation: number;
  readonly rejected: Fault | null;
}

/** The classes of ours, by name; those of other controllers are not touched. */
export function readGatewayClasses(
  classes: ShardedMap<GatewayResource>,
  controller: string,
): ReadonlyMap<string, GatewayClassRead> {
  const read = new Map<string, GatewayClassRead>();
  for (const [name, each] of entries(classes)) {
    const spec = asObject(asObject(each)['spec']);
    if (spec['controllerName'] !== controller) continue;
    const message = 'Portico takes no parameters: remove spec.parametersRef.';
    read.set(name, {
      object: referenceTo('GatewayClass', name, each),
      generation: generationOf(each),
      rejected: isAbsent(spec['parametersRef']) ? null : { reason: 'InvalidParameters', message },
    });
  }
  return read;
}
