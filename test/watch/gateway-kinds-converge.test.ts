import { array, assert, asyncProperty, boolean, constantFrom, integer, oneof, record } from 'fast-check';
import { expect, test } from 'vitest';
import { entries } from '../../src/model/sharded-map.ts';
import { COLLECTIONS, type Snapshot } from '../../src/model/snapshot.ts';
import type { ApiObject, ApiServer, Fault } from '../support/api-server.ts';
import { GATEWAY_RESOURCES, parseSelector } from '../support/api-server-resources.ts';
import { ingress, watchCluster } from './cluster-fixture.ts';
import { examples } from '../support/examples.ts';

const naming = {
  ingressClass: 'portico',
  controllerName: 'portico.dev/ingress-controller',
  watchIngressWithoutClass: false,
  gatewayController: 'portico.dev/gateway-controller',
};
const FAULTS: readonly Fault[] = [
  { kind: 'reset' },
  { kind: 'expired' },
  { kind: 'status', status: 500 },
  { kind: 'status', status: 429, retryAfterSeconds: 1 },
  { kind: 'status', status: 404 },
  { kind: 'body', status: 200, contentType: 'text/html', body: '<html>' },
];
const KINDS = ['Gateway', 'HTTPRoute', 'TCPRoute'] as const;
const resources = GATEWAY_RESOURCES.filter(({ kind }) => (KINDS as readonly string[]).includes(kind));

const resource = constantFrom(...resources);
const step = oneof(
  { weight: 4, arbitrary: record({ what: constantFrom('install' as const), resource, isOld: boolean() }) },
  { weight: 3, arbitrary: record({ what: constantFrom('uninstall' as const), resource }) },
  {
    weight: 5,
    arbitrary: record({
      what: constantFrom('apply' as const),
      resource,
      number: integer({ min: 0, max: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: record({ what: constantFrom('fail' as const), resource, fault: constantFrom(...FAULTS) }),
  },
  {
    weight: 4,
    arbitrary: record({ what: constantFrom('end', 'compact', 'wait', 'hide', 'forbid', 'allow') }),
  },
);

const object = (kind: string, number: number): ApiObject => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind,
  metadata: { namespace: 'shop', name: `web-${number}` },
  spec: {},
});

/** `HTTPRoute shop/web-1@407` of everything that the server has. */
function truth({ store }: ApiServer): string[] {
  const everything = parseSelector(new URLSearchParams());
  return resources.flatMap((each) =>
    store
      .all(each, undefined, everything)
      .map(({ key, object: { metadata } }) => `${each.kind} ${key}@${metadata.resourceVersion}`),
  );
}

function held(snapshot: Snapshot): string[] {
  return KINDS.flatMap((kind) =>
    [...entries(snapshot[COLLECTIONS[kind]])].map(
      ([key, { metadata }]) => `${kind} ${key}@${metadata?.resourceVersion}`,
    ),
  );
}

test('whatever is installed and deleted, in the end the snapshot says what the server says', async () => {
  await assert(
    asyncProperty(array(step, { maxLength: 20 }), boolean(), async (steps, aggregated) => {
      await using cluster = await watchCluster({ source: { naming }, objects: [ingress('shop/web')] });
      const { api, source } = cluster;
      api.aggregatedDiscovery = aggregated;
      await source.synced;
      const installed = new Set<string>();
      const takeBack: (() => void)[] = [];
      for (const each of steps) {
        switch (each.what) {
          case 'install': {
            const { versions, resource: name } = each.resource;
            installed.add(name);
            api.install([name], each.isOld ? versions.slice(-1) : versions);
            break;
          }
          case 'uninstall':
            installed.delete(each.resource.resource);
            api.uninstall([each.resource.resource]);
            break;
          case 'apply':
            if (installed.has(each.resource.resource)) api.apply(object(each.resource.kind, each.number));
            break;
          case 'fail':
            takeBack.push(api.fail({ resource: each.resource.resource }, each.fault));
            break;
          case 'hide':
            takeBack.push(
              api.fail({ when: ({ path }) => path === '/apis' }, { kind: 'status', status: 503 }),
            );
            break;
          case 'end':
            api.endWatches();
            break;
          case 'compact':
            api.compact();
            break;
          case 'wait':
            await cluster.advance(cluster.clock.pending()[0] ?? 0);
            break;
          case 'forbid':
            api.forbid('gateways');
            break;
          case 'allow':
            api.allow('gateways');
            break;
        }
      }
      for (const undo of takeBack) undo();
      api.allow('gateways');
      // So long a kind that was forbidden waits.
      await cluster.advance(30_250);
      const wanted = truth(api).toSorted().join();
      await cluster.pass(() => held(source.snapshot()).toSorted().join() === wanted);
      await cluster.advance(4_000);
      const kinds = new Set(source.states().map(({ kind }) => kind));
      expect(KINDS.filter((kind) => kinds.has(kind))).toEqual(
        resources.filter(({ resource: name }) => installed.has(name)).map(({ kind }) => kind),
      );
      expect(cluster.ingresses()).toEqual(['shop/web@401']);
      expect(cluster.logs.filter(({ level }) => level === 'error')).toEqual([]);
    }),
    { numRuns: examples(30) },
  );
}, 60_000);
