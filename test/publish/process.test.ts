import { expect, test } from 'vitest';
import { type ScriptedCluster, scriptedCluster } from '../e2e/cluster.ts';
import { ingressOf as siteIngress, siteObjects } from '../e2e/site.ts';
import type { ApiObject } from '../support/api-server.ts';
import { portico } from '../support/portico.ts';
import { HTTP_PORT, eventually, startDaemon } from '../support/daemon.ts';
import { OTHER_CLASS, ingressOf, objectsOf } from './fixture.ts';

/** A node with Pods of Portico on it. */
const NODE: ApiObject = {
  kind: 'Node',
  metadata: { name: 'n-1' },
  status: { addresses: [{ type: 'InternalIP', address: '10.0.0.5' }] },
};
const podOf = (name: string): ApiObject => ({
  kind: 'Pod',
  metadata: { namespace: 'ingress', name, labels: { 'app.kubernetes.io/name': 'portico' } },
  spec: { nodeName: 'n-1' },
  status: { conditions: [{ type: 'Ready', status: 'True' }] },
});
const inPod = (name: string) => ({ POD_NAME: name, POD_NAMESPACE: 'ingress' });

const apiVersion = 'gateway.networking.k8s.io/v1';
const GATEWAY_CLASS: ApiObject = {
  apiVersion,
  kind: 'GatewayClass',
  metadata: { name: 'portico' },
  spec: { controllerName: 'portico.dev/gateway-controller' },
};
const GATEWAY: ApiObject = {
  apiVersion,
  kind: 'Gateway',
  metadata: { name: 'main', namespace: 'default' },
  spec: { gatewayClassName: 'portico', listeners: [{ name: 'a', port: HTTP_PORT, protocol: 'HTTP' }] },
};

function addressesOf({ api }: ScriptedCluster): Record<string, string> {
  return Object.fromEntries(
    objectsOf(api, 'ingresses').map(({ metadata, ...ingress }) => {
      const { loadBalancer } = (ingress['status'] ?? {}) as {
        loadBalancer?: { ingress?: { ip?: string }[] };
      };
      return [
        `${metadata.namespace}/${metadata.name}`,
        (loadBalancer?.ingress ?? []).map(({ ip }) => ip).join(),
      ];
    }),
  );
}

function holderOf({ api }: ScriptedCluster): unknown {
  const [lease] = objectsOf(api, 'leases');
  return (lease?.['spec'] as { holderIdentity?: string } | undefined)?.holderIdentity;
}

function conditionsOfGateway({ api }: ScriptedCluster): string[] {
  const [gateway] = objectsOf(api, 'gateways');
  const { conditions = [] } = (gateway?.['status'] ?? {}) as {
    conditions?: { type?: string; status?: string }[];
  };
  return conditions.map(({ type, status }) => `${type}=${status}`);
}

function writersOf({ api }: ScriptedCluster): string[] {
  return api.requests.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path}`);
}

test('one of two Pods publishes the address of its node and the ports that are bound, the other takes over when it ends, and cleanup leaves nothing behind', async () => {
  await using cluster = await scriptedCluster({ objects: [OTHER_CLASS] });
  await cluster.apply(
    ...siteObjects({ host: 'shop.test', name: 'shop', endpoints: ['127.0.0.1:9'] }),
    siteIngress({ host: 'lost.test', name: 'lost', endpoints: [] }),
    ingressOf('default/theirs', 'nginx'),
    ...[NODE, podOf('portico-x'), podOf('portico-y')],
  );
  cluster.api.install();
  await cluster.apply(GATEWAY_CLASS);
  const args = [...cluster.args, '--access-log', 'off'];
  await using first = startDaemon({ args, env: inPod('portico-x') });
  const published = { 'default/shop': '10.0.0.5', 'default/lost': '10.0.0.5', 'default/theirs': '' };
  await eventually(async () => addressesOf(cluster)['default/shop'] !== '', first.exited);
  await eventually(async () => objectsOf(cluster.api, 'events').length === 1, first.exited);
  await eventually(async () => addressesOf(cluster)['default/lost'] !== '', first.exited);
  expect(addressesOf(cluster)).toEqual(published);
  expect(objectsOf(cluster.api, 'events')[0]).toMatchObject({
    reason: 'ServiceNotFound',
    type: 'Warning',
    note: expect.stringContaining('There is no Service default/lost'),
    regarding: { kind: 'Ingress', namespace: 'default', name: 'lost' },
    reportingController: 'portico.dev/ingress-controller',
  });
  const [lease] = objectsOf(cluster.api, 'leases');
  expect(lease?.metadata).toMatchObject({ namespace: 'ingress', name: 'portico-portico' });
  const leader = holderOf(cluster);
  expect(leader).toMatch(/^portico-x_[0-9a-f-]{36}$/);
  // Threads say that they listen when the table is compiled and published already.
  await cluster.apply(GATEWAY);
  await eventually(async () => conditionsOfGateway(cluster).includes('Programmed=True'), first.exited);

  await using second = startDaemon({ args, env: inPod('portico-y') });
  await second.line(new RegExp(`${String(leader)} publishes to the cluster`));
  await cluster.apply(siteIngress({ host: 'more.test', name: 'more', endpoints: [] }));
  await eventually(async () => addressesOf(cluster)['default/more'] === '10.0.0.5', first.exited);
  expect(holderOf(cluster)).toBe(leader);

  expect(await first.stop()).toBe(0);
  await second.line(/leader: this process publishes to the cluster as portico-y_/);
  expect(holderOf(cluster)).toMatch(/^portico-y_/);
  await cluster.apply(siteIngress({ host: 'last.test', name: 'last', endpoints: [] }));
  await eventually(async () => addressesOf(cluster)['default/last'] === '10.0.0.5', second.exited);

  expect(await second.stop()).toBe(0);
  expect(holderOf(cluster)).toBe('');
  const statuses = writersOf(cluster).filter((write) => /^PATCH .*\/ingresses\/.*\/status$/.test(write));
  expect(statuses.toSorted()).toEqual(
    ['last', 'lost', 'more', 'shop'].map(
      (name) => `PATCH /apis/networking.k8s.io/v1/namespaces/default/ingresses/${name}/status`,
    ),
  );

  const kubeconfig = cluster.args.slice(0, 2);
  const cleaned = await portico(['cleanup', ...kubeconfig, '--publish-namespace', 'ingress']);
  expect([cleaned.code, cleaned.stderr]).toEqual([0, '']);
  expect(cleaned.stdout.split('\n').slice(-3)).toEqual([
    'Lease ingress/portico-portico: deleted',
    '4 statuses cleaned',
    '',
  ]);
  expect(new Set(Object.values(addressesOf(cluster)))).toEqual(new Set(['']));
});

test('without any right to publish it serves, and says so once for each', async () => {
  await using cluster = await scriptedCluster();
  await cluster.apply(siteIngress({ host: 'lost.test', name: 'lost', endpoints: [] }));
  cluster.api.forbid('leases');
  await using daemon = startDaemon({ args: [...cluster.args, '--publish-address', '203.0.113.7'] });
  await daemon.ready();
  await daemon.line(/leader election: nothing is published .*serving continues/);
  expect((await daemon.request('lost.test')).status).toBe(503);
  expect(await daemon.stop()).toBe(0);
});

test('every mistake in what to publish is said at once', async () => {
  const args =
    '--publish-address 0.0.0.0 1.2.3 fe80::1%eth0 a_b --publish-service web --publish-status maybe --publish-namespace A';
  const { code, stderr } = await portico(['run', ...args.split(' ')]);
  expect(code).toBe(64);
  expect(stderr.split('\n').slice(0, -2)).toEqual([
    "portico run: --publish-address: '0.0.0.0' is not an address that clients can use",
    "portico run: --publish-address: '1.2.3' is neither an IP address nor a host name",
    "portico run: --publish-address: 'fe80::1%eth0' is not an address that clients can use",
    "portico run: --publish-address: 'a_b' is neither an IP address nor a host name",
    "portico run: --publish-service: 'web' does not name a Service; write namespace/service",
    "portico run: --publish-status: 'maybe' is neither true nor false",
    "portico run: --publish-namespace: 'A' is not the name of a namespace",
  ]);
  const both = await portico([
    'run',
    '--manifests',
    '.',
    '--publish-address',
    '192.0.2.1',
    '--publish-service',
    'a/b',
  ]);
  expect(both.stderr).toContain('--publish-address and --publish-service exclude each other');
  expect(both.stderr).toContain('--manifests and --publish-address exclude each other');
});
