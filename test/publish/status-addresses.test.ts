import { expect, test } from 'vitest';
import type { ApiObject } from '../support/api-server.ts';
import { type ReplicaOptions, OUR_CLASS, ingressOf, startPublisherHarness, service } from './fixture.ts';

const FROM_NODES: ReplicaOptions = {
  addresses: { kind: 'nodes', namespace: 'portico', podName: 'portico-a' },
};

function pod(name: string, node: string, ready: boolean, daemonSet = 'ds-1'): ApiObject {
  const owner = {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    name: 'portico',
    uid: daemonSet,
    controller: true,
  };
  const labels = { 'app.kubernetes.io/name': 'portico' };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'portico', name, labels, ownerReferences: [owner] },
    spec: { nodeName: node },
    status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  };
}

function node(name: string, addresses: Record<string, string[]>): ApiObject {
  const list = Object.entries(addresses).flatMap(([type, texts]) =>
    texts.map((address) => ({ type, address })),
  );
  return { apiVersion: 'v1', kind: 'Node', metadata: { name }, status: { addresses: list } };
}

const CLUSTER = [
  OUR_CLASS,
  ingressOf('shop/web', 'portico'),
  node('n-a', { InternalIP: ['10.0.0.1'], ExternalIP: ['203.0.113.1', '2001:db8::1'], Hostname: ['n-a'] }),
  node('n-b', { InternalIP: ['10.0.0.2'], Hostname: ['n-b'] }),
  node('n-c', { InternalIP: ['10.0.0.3'] }),
  pod('portico-a', 'n-a', true),
  pod('portico-b', 'n-b', true),
  pod('portico-c', 'n-c', false),
];
const ALL = '10.0.0.2,2001:db8::1,203.0.113.1';

test('the nodes whose Portico Pod is ready, external addresses first, else internal ones', async () => {
  const stranger = pod('other-d', 'n-c', true, 'ds-2');
  await using harness = await startPublisherHarness({ objects: [...CLUSTER, stranger] });
  await harness.addReplica('a', FROM_NODES);
  await harness.until(() => harness.status('shop/web') === ALL);
  const lists = harness.api.requests.filter(({ resource }) => resource === 'pods');
  expect(lists.every(({ verb, namespace }) => verb === 'list' && namespace === 'portico')).toBe(true);
  const nodes = harness.api.requests.filter(({ resource }) => resource === 'nodes');
  expect(nodes.map(({ verb, path }) => `${verb} ${path}`).toSorted()).toEqual([
    'get /api/v1/nodes/n-a',
    'get /api/v1/nodes/n-b',
  ]);
});

test('a node whose Portico restarts keeps its address, one that leaves loses it, one that comes gets in', async () => {
  await using harness = await startPublisherHarness({ objects: CLUSTER });
  await harness.addReplica('a', FROM_NODES);
  await harness.until(() => harness.status('shop/web') === ALL);
  harness.api.apply(pod('portico-b', 'n-b', false));
  await harness.advance(40_000);
  expect(harness.status('shop/web')).toBe(ALL);
  harness.api.apply(pod('portico-b', 'n-b', true));
  await harness.advance(30_000);
  expect(harness.writes()).toHaveLength(1);

  harness.api.delete('Pod', 'portico/portico-b');
  harness.api.delete('Node', 'n-b');
  await harness.until(() => harness.status('shop/web') === '2001:db8::1,203.0.113.1');
  harness.api.apply(pod('portico-c', 'n-c', true));
  await harness.until(() => harness.status('shop/web') === '10.0.0.3,2001:db8::1,203.0.113.1');
  expect(harness.writes()).toHaveLength(3);
});

test('while no Pod is ready nothing is taken back, and a new leader gives the others time to come', async () => {
  const [first, ...rest] = ['203.0.113.1', '2001:db8::1', '10.0.0.2', '10.0.0.3'];
  const published = ingressOf('shop/web', 'portico', first ?? '', ...rest);
  await using harness = await startPublisherHarness({ objects: [...CLUSTER, published] });
  for (const [name, on] of [
    ['portico-a', 'n-a'],
    ['portico-b', 'n-b'],
  ] as const)
    harness.api.apply(pod(name, on, false));
  await harness.addReplica('a', FROM_NODES);
  await harness.advance(120_000);
  expect(harness.writes()).toEqual([]);
});

test('without the rights to Pods and Nodes it is said once, with what to grant or to give', async () => {
  await using harness = await startPublisherHarness({ objects: CLUSTER });
  harness.api.forbid('nodes');
  const { logLines } = await harness.addReplica('a', FROM_NODES);
  await harness.advance(200_000);
  const lines = logLines.filter((line) => line.includes('nodes'));
  expect(lines).toEqual([
    expect.stringMatching(
      /"list" on resource "pods" in namespace "portico" and "get" on resource "nodes".*--publish-address/,
    ),
  ]);
  expect(harness.writes()).toEqual([]);
  harness.api.allow('nodes');
  await harness.until(() => harness.status('shop/web') === ALL);
});

test('the load-balancer status of a Service, as it comes, changes and goes', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ingressOf('shop/web', 'portico')],
  });
  const { logLines } = await harness.addReplica('a', {
    addresses: { kind: 'service', service: 'portico/front' },
  });
  await harness.advance(5_000);
  expect(
    logLines.filter((line) => line.includes('--publish-service portico/front: there is no such Service')),
  ).toHaveLength(1);
  const front = (...ingress: object[]): ApiObject => ({
    ...service('portico/front'),
    status: { loadBalancer: { ingress } },
  });
  harness.api.apply(front());
  await harness.until(() => logLines.some((line) => line.includes('no load-balancer address')));
  harness.api.apply(front({ hostname: 'lb.example.com' }, { ip: '198.51.100.1', ipMode: 'VIP' }));
  await harness.until(() => harness.status('shop/web') === '198.51.100.1,lb.example.com');
  harness.api.apply(front({ ip: '198.51.100.1' }));
  await harness.until(() => harness.status('shop/web') === '198.51.100.1');
  // A Service that is being made anew says nothing about addresses.
  harness.api.delete('Service', 'portico/front');
  await harness.advance(10_000);
  expect(harness.status('shop/web')).toBe('198.51.100.1');
  harness.api.apply(front());
  await harness.until(() => harness.status('shop/web') === '');
});
