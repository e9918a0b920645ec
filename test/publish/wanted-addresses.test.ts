import { expect, test } from 'vitest';
import type { ApiObject } from '../support/api-server.ts';
import { type JoinOptions, OUR_CLASS, ingressOf, openTown, service } from './fixture.ts';

const FROM_NODES: JoinOptions = { addresses: { kind: 'nodes', namespace: 'portico', podName: 'portico-a' } };

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
  await using town = await openTown({ objects: [...CLUSTER, stranger] });
  await town.join('a', FROM_NODES);
  await town.until(() => town.status('shop/web') === ALL);
  const lists = town.api.requests.filter(({ resource }) => resource === 'pods');
  expect(lists.every(({ verb, namespace }) => verb === 'list' && namespace === 'portico')).toBe(true);
  const nodes = town.api.requests.filter(({ resource }) => resource === 'nodes');
  expect(nodes.map(({ verb, path }) => `${verb} ${path}`).toSorted()).toEqual([
    'get /api/v1/nodes/n-a',
    'get /api/v1/nodes/n-b',
  ]);
});

test('a node whose Portico restarts keeps its address, one that leaves loses it, one that comes gets in', async () => {
  await using town = await openTown({ objects: CLUSTER });
  await town.join('a', FROM_NODES);
  await town.until(() => town.status('shop/web') === ALL);
  town.api.apply(pod('portico-b', 'n-b', false));
  await town.pass(40_000);
  expect(town.status('shop/web')).toBe(ALL);
  town.api.apply(pod('portico-b', 'n-b', true));
  await town.pass(30_000);
  expect(town.writes()).toHaveLength(1);

  town.api.delete('Pod', 'portico/portico-b');
  town.api.delete('Node', 'n-b');
  await town.until(() => town.status('shop/web') === '2001:db8::1,203.0.113.1');
  town.api.apply(pod('portico-c', 'n-c', true));
  await town.until(() => town.status('shop/web') === '10.0.0.3,2001:db8::1,203.0.113.1');
  expect(town.writes()).toHaveLength(3);
});

test('while no Pod is ready nothing is taken back, and a new leader gives the others time to come', async () => {
  const [first, ...rest] = ['203.0.113.1', '2001:db8::1', '10.0.0.2', '10.0.0.3'];
  const published = ingressOf('shop/web', 'portico', first ?? '', ...rest);
  await using town = await openTown({ objects: [...CLUSTER, published] });
  for (const [name, on] of [
    ['portico-a', 'n-a'],
    ['portico-b', 'n-b'],
  ] as const)
    town.api.apply(pod(name, on, false));
  await town.join('a', FROM_NODES);
  await town.pass(120_000);
  expect(town.writes()).toEqual([]);
});

test('without the rights to Pods and Nodes it is said once, with what to grant or to give', async () => {
  await using town = await openTown({ objects: CLUSTER });
  town.api.forbid('nodes');
  const { said } = await town.join('a', FROM_NODES);
  await town.pass(200_000);
  const lines = said.filter((line) => line.includes('nodes'));
  expect(lines).toEqual([
    expect.stringMatching(
      /"list" on resource "pods" in namespace "portico" and "get" on resource "nodes".*--publish-address/,
    ),
  ]);
  expect(town.writes()).toEqual([]);
  town.api.allow('nodes');
  await town.until(() => town.status('shop/web') === ALL);
});

test('the load-balancer status of a Service, as it comes, changes and goes', async () => {
  await using town = await openTown({ objects: [OUR_CLASS, ingressOf('shop/web', 'portico')] });
  const { said } = await town.join('a', { addresses: { kind: 'service', service: 'portico/front' } });
  await town.pass(5_000);
  expect(
    said.filter((line) => line.includes('--publish-service portico/front: there is no such Service')),
  ).toHaveLength(1);
  const front = (...ingress: object[]): ApiObject => ({
    ...service('portico/front'),
    status: { loadBalancer: { ingress } },
  });
  town.api.apply(front());
  await town.until(() => said.some((line) => line.includes('no load-balancer address')));
  town.api.apply(front({ hostname: 'lb.example.com' }, { ip: '198.51.100.1', ipMode: 'VIP' }));
  await town.until(() => town.status('shop/web') === '198.51.100.1,lb.example.com');
  town.api.apply(front({ ip: '198.51.100.1' }));
  await town.until(() => town.status('shop/web') === '198.51.100.1');
  // A Service that is being made anew says nothing about addresses.
  town.api.delete('Service', 'portico/front');
  await town.pass(10_000);
  expect(town.status('shop/web')).toBe('198.51.100.1');
  town.api.apply(front());
  await town.until(() => town.status('shop/web') === '');
});
