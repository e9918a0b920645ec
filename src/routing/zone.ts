import { fields, items } from '../model/untyped.ts';
import type { EndpointSlice } from '../model/objects.ts';
import { type ShardedMap, difference } from '../model/sharded-map.ts';

/** The zone of a node, learned from the endpoints on it in the slices that are new since `before`; null when none tells. */
export function zoneOfNode(
  node: string,
  before: ShardedMap<EndpointSlice>,
  after: ShardedMap<EndpointSlice>,
): string | null {
  for (const [, slice] of difference(before, after)) {
    for (const entry of items(fields(slice)['endpoints'])) {
      const { nodeName, zone } = fields(entry);
      if (nodeName === node && typeof zone === 'string' && zone !== '') return zone;
    }
  }
  return null;
}
