import { expect, it } from 'vitest';
import type { EndpointSlice } from '../../src/model/objects.ts';
import { emptyMap } from '../../src/model/sharded-map.ts';
import { EMPTY_SNAPSHOT, applyChanges } from '../../src/model/snapshot.ts';
import { zoneOfNode } from '../../src/routing/zone.ts';

function slices(...endpoints: readonly object[]) {
  const changes = endpoints.map((endpoint, index) => {
    const object = { metadata: { name: `s${index}` }, addressType: 'IPv4', endpoints: [endpoint] };
    return { kind: 'EndpointSlice', key: `s${index}`, object: object as unknown as EndpointSlice } as const;
  });
  return applyChanges(EMPTY_SNAPSHOT, changes).endpointSlices;
}

const elsewhere = { addresses: ['10.0.0.2'], nodeName: 'node-2', zone: 'zone-b' };
const here = { addresses: ['10.0.0.1'], nodeName: 'node-1', zone: 'zone-a' };

it('is told by any endpoint on the node', () => {
  expect(zoneOfNode('node-1', emptyMap(), slices(elsewhere, here))).toBe('zone-a');
});

it('is not told by endpoints elsewhere, nor by those without a zone or with an invalid one', () => {
  const silent = { ...here, zone: undefined };
  expect(zoneOfNode('node-1', emptyMap(), slices(elsewhere, silent, { ...here, zone: 7 }))).toBeNull();
});

it('is looked for only in what is new', () => {
  const seen = slices(here);
  expect(zoneOfNode('node-1', seen, seen)).toBeNull();
});
