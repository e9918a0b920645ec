import { array, assert, asyncProperty, constantFrom, integer, oneof, record } from 'fast-check';
import { expect, test } from 'vitest';
import { entries } from '../../src/model/sharded-map.ts';
import { type ObjectChange, type Snapshot, snapshotOf } from '../../src/model/snapshot.ts';
import { arrive } from '../../src/kubernetes/resources.ts';
import { type ApiServer, type Fault } from '../support/api-server.ts';
import { RESOURCES, parseSelector } from '../support/api-server-resources.ts';
import { endpointSlice, ingress, watchCluster } from './cluster-fixture.ts';
import { examples } from '../support/examples.ts';

const FAULTS: readonly Fault[] = [
  { kind: 'reset' },
  { kind: 'silent' },
  { kind: 'cut' },
  { kind: 'expired' },
  { kind: 'text', text: 'nonsense\n' },
  { kind: 'status', status: 500 },
  { kind: 'status', status: 410, reason: 'Expired' },
  { kind: 'status', status: 422, reason: 'Invalid' },
  { kind: 'body', status: 200, contentType: 'text/html', body: '<html>' },
];

const number = integer({ min: 0, max: 5 });
const resource = constantFrom('ingresses', 'endpointslices');
const step = oneof(
  { weight: 6, arbitrary: record({ what: constantFrom('apply' as const), resource, number }) },
  { weight: 4, arbitrary: record({ what: constantFrom('delete' as const), resource, number }) },
  {
    weight: 3,
    arbitrary: record({ what: constantFrom('fail' as const), resource, fault: constantFrom(...FAULTS) }),
  },
  {
    weight: 4,
    arbitrary: record({
      what: constantFrom('end', 'compact', 'bookmark', 'wait', 'restart', 'forbid', 'allow'),
    }),
  },
);

/** What the server has, as a snapshot of someone who never missed anything. */
function truth({ store }: ApiServer): Snapshot {
  const changes = RESOURCES.flatMap((resource) => {
    const { kind } = resource;
    if (kind !== 'Ingress' && kind !== 'EndpointSlice') return [];
    return store
      .all(resource, undefined, parseSelector(new URLSearchParams()))
      .map(({ key, json }) => ({ kind, key, object: arrive(kind, JSON.parse(json)) }) as ObjectChange);
  });
  return snapshotOf(changes);
}

function plain({ ingresses, endpointSlices, slicesByService }: Snapshot): object {
  return [ingresses, endpointSlices, slicesByService].map((map) => Object.fromEntries(entries<unknown>(map)));
}

test('whatever happens in between, in the end the snapshot says what the server says', async () => {
  await assert(
    asyncProperty(array(step, { maxLength: 25 }), constantFrom(true, false), async (steps, streamingList) => {
      await using cluster = await watchCluster({ streamingList, objects: [ingress('shop/web-0')] });
      const { api, source } = cluster;
      const takeBack: (() => void)[] = [];
      for (const step of steps) {
        const objects = {
          ingresses: (number: number) => ingress(`shop/web-${number}`),
          endpointslices: (number: number) =>
            endpointSlice(`shop/web-${number}`, `web-${number % 2}`, '10.0.0.1'),
        };
        switch (step.what) {
          case 'apply':
            api.apply(objects[step.resource](step.number));
            break;
          case 'delete': {
            const { kind } = objects[step.resource](0);
            const resource = RESOURCES.find((resource) => resource.kind === kind)!;
            if (api.store.get(resource, `shop/web-${step.number}`))
              api.delete(kind, `shop/web-${step.number}`);
            break;
          }
          case 'fail':
            takeBack.push(api.fail({ resource: step.resource }, step.fault));
            break;
          case 'end':
            api.endWatches();
            break;
          case 'compact':
            api.compact();
            break;
          case 'bookmark':
            api.bookmark();
            break;
          case 'wait':
            await cluster.advance(cluster.clock.pending()[0] ?? 0);
            break;
          case 'restart':
            await api.refuse();
            await api.accept();
            break;
          case 'forbid':
            api.forbid('ingresses');
            break;
          case 'allow':
            api.allow('ingresses');
            break;
        }
      }
      for (const undo of takeBack) undo();
      api.allow('ingresses');
      // Watches that a fault has silenced would be given up in two and a half minutes.
      api.endWatches();
      // So long a kind that was forbidden waits, and a list that a fault has silenced.
      await cluster.advance(30_000);
      const wanted = JSON.stringify(plain(truth(api)));
      await cluster.pass(
        () =>
          source.states().every(({ synced }) => synced) &&
          JSON.stringify(plain(source.snapshot())) === wanted,
      );
      expect(plain(source.snapshot())).toEqual(plain(truth(api)));
    }),
    { numRuns: examples(25) },
  );
}, 120_000);
