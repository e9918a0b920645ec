import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type GatewayResource, GATEWAY_KINDS, objectKey } from '../../src/model/objects.ts';
import { values } from '../../src/model/sharded-map.ts';
import {
  COLLECTIONS,
  EMPTY_SNAPSHOT,
  type ObjectChange,
  applyChanges,
  snapshotOf,
} from '../../src/model/snapshot.ts';

type Indexed = 'ReferenceGrant' | 'BackendTLSPolicy' | 'EndpointSlice';

const INDEXES = {
  ReferenceGrant: 'referenceGrantsByNamespace',
  BackendTLSPolicy: 'backendTlsPoliciesByNamespace',
  EndpointSlice: 'slicesByService',
} as const;

const change = fc
  .record({
    kind: fc.constantFrom<Indexed[]>('ReferenceGrant', 'BackendTLSPolicy', 'EndpointSlice'),
    namespace: fc.constantFrom('a', 'b'),
    name: fc.constantFrom('x', 'y', 'z'),
    service: fc.constantFrom('s', 't', undefined),
    isGone: fc.boolean(),
  })
  .map(({ kind, namespace, name, service, isGone }): ObjectChange => {
    const labels = service === undefined ? {} : { 'kubernetes.io/service-name': service };
    const object = { metadata: { namespace, name, labels }, addressType: 'IPv4', endpoints: [] };
    return { kind, key: `${namespace}/${name}`, object: isGone ? undefined : object };
  });

describe('applyChanges', () => {
  test('indexes list what the collections hold, ordered by name', () => {
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 5 }), { maxLength: 6 }), (batches) => {
        const snapshot = batches.reduce(applyChanges, EMPTY_SNAPSHOT);
        for (const [kind, index] of Object.entries(INDEXES) as [Indexed, (typeof INDEXES)[Indexed]][]) {
          const isListed = ({ metadata }: GatewayResource): boolean =>
            kind !== 'EndpointSlice' || metadata?.labels?.['kubernetes.io/service-name'] !== undefined;
          const held = [...values<GatewayResource>(snapshot[COLLECTIONS[kind]])].filter(isListed);
          const lists = [...values<readonly GatewayResource[]>(snapshot[index])];
          expect(new Set(lists.flat())).toEqual(new Set(held));
          for (const list of lists) expect(list.map(objectKey)).toEqual(list.map(objectKey).toSorted());
        }
      }),
    );
  });

  test.each(GATEWAY_KINDS)('a status that is written leaves the spec of a %s as it is', (kind) => {
    const object = (resourceVersion: string, status: object): ObjectChange => ({
      kind,
      key: 'a/x',
      object: {
        metadata: { namespace: 'a', name: 'x', resourceVersion, labels: { app: 'x' } },
        spec: { rules: [{ name: 'one' }] },
        status,
      },
    });
    const first = snapshotOf([object('1', {})]);
    const second = applyChanges(first, [object('2', { parents: [] })]);
    const [before] = [...values<GatewayResource>(first[COLLECTIONS[kind]])];
    const [after] = [...values<GatewayResource>(second[COLLECTIONS[kind]])];
    expect(after?.status).toEqual({ parents: [] });
    expect(after?.spec).toBe(before?.spec);
    expect(after?.metadata?.labels).toBe(before?.metadata?.labels);
  });

  test('an object that arrives once more, and is equal, changes nothing', () => {
    const arrival = (): ObjectChange => ({
      kind: 'Gateway',
      key: 'a/x',
      object: { metadata: { namespace: 'a', name: 'x' }, spec: { listeners: [] } },
    });
    const snapshot = snapshotOf([arrival()]);
    expect(applyChanges(snapshot, [arrival()])).toBe(snapshot);
  });
});
