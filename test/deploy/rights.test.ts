import type { V1ClusterRole, V1PolicyRule, V1Role } from '@kubernetes/client-node';
import { expect, test } from 'vitest';
import { type ApiObject, OUR_CLASS, ingressOf, objectsOf, openTown, service } from '../publish/fixture.ts';
import { parsePath } from '../support/api-server-resources.ts';
import { theOnly } from './manifests.ts';

const NAMESPACE = 'portico-system';

function granted(rules: readonly V1PolicyRule[] | undefined): string[] {
  return (rules ?? []).flatMap(({ apiGroups = [], resources = [], verbs, resourceNames, ...rest }) => {
    expect(rest).toEqual({});
    // The only name that is known beforehand is that of the Lease of the default class.
    if (resourceNames) expect([resources, resourceNames]).toEqual([['leases'], ['portico-portico']]);
    return apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
    );
  });
}

const OWN: readonly ApiObject[] = [
  {
    kind: 'Pod',
    metadata: { namespace: NAMESPACE, name: 'portico-a', labels: { 'app.kubernetes.io/name': 'portico' } },
    spec: { nodeName: 'n-1' },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  },
  {
    kind: 'Node',
    metadata: { name: 'n-1' },
    status: { addresses: [{ type: 'InternalIP', address: '10.0.0.5' }] },
  },
];

test('are those that are used by everything Portico does in a cluster, no more and no fewer', async () => {
  // Whichever way a list is made, streamed or by pages, the rights are the same.
  await using town = await openTown({
    objects: [OUR_CLASS, ...OWN, ingressOf('shop/web', 'portico')],
    streamingList: false,
  });
  const a = await town.join('a', {
    addresses: { kind: 'nodes', namespace: NAMESPACE, podName: 'portico-a' },
    namespace: NAMESPACE,
    events: true,
  });
  const events = (): readonly ApiObject[] => objectsOf(town.api, 'events');
  await town.until(() => town.status('shop/web') === '10.0.0.5' && events().length === 1);
  town.api.apply(service('shop/web'));
  await town.until(() => a.compilation()?.snapshot.services.size === 1);
  await town.pass(1_000);
  town.api.delete('Service', 'shop/web');
  await town.until(() => events().some((event) => 'series' in event));
  await a.publisher.stop();

  const inCluster = new Set<string>();
  const inNamespace = new Set<string>();
  for (const { verb, path } of town.api.requests) {
    const { resource, namespace, subresource } = parsePath(path) ?? {};
    expect(resource, path).toBeDefined();
    const name = `${resource?.resource}${subresource === undefined ? '' : `/${subresource}`}`;
    (namespace === NAMESPACE ? inNamespace : inCluster).add(`${verb} ${resource?.group}/${name}`);
  }
  expect([...inCluster].toSorted()).toEqual(granted(theOnly<V1ClusterRole>('ClusterRole').rules).toSorted());
  expect([...inNamespace].toSorted()).toEqual(granted(theOnly<V1Role>('Role').rules).toSorted());
});
