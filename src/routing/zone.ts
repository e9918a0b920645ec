import type { Snapshot } from '../model/snapshot.ts';
import { type CompileSettings, NOWHERE } from './settings.ts';
import { asObject, asArray } from '../model/untyped.ts';
import type { EndpointSlice } from '../model/objects.ts';
import { type ShardedMap, difference } from '../model/sharded-map.ts';

/** The zone of a node, learned from the endpoints on it in the slices that are new since `before`; null when none tells. */
export function zoneOfNode(
  node: string,
  before: ShardedMap<EndpointSlice>,
  after: ShardedMap<EndpointSlice>,
): string | null {
  for (const [, slice] of difference(before, after)) {
    for (const entry of asArray(asObject(slice)['endpoints'])) {
      const { nodeName, zone } = asObject(entry);
      if (nodeName === node && typeof zone === 'string' && zone !== '') return zone;
    }
  }
  return null;
}

/** The settings with the zone, as soon as an endpoint on our node tells it; a node stays in its zone. */
export function withLearnedZone<S extends Pick<CompileSettings, 'location'>>(
  settings: S,
  before: Snapshot,
  after: Snapshot,
): S {
  const { node, zone } = settings.location ?? NOWHERE;
  if (node === null || zone !== null) return settings;
  const learned = zoneOfNode(node, before.endpointSlices, after.endpointSlices);
  return learned === null ? settings : { ...settings, location: { node, zone: learned } };
}
