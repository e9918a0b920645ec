import type { V1PodTemplateSpec } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { type ScriptedCluster, scriptedCluster } from '../e2e/cluster.ts';
import { ingressOf, serviceOf, siteObjects } from '../e2e/site.ts';
import { objectsOf } from '../publish/fixture.ts';
import { apiCallOf, isDiscovery } from '../support/api-calls.ts';
import type { ApiObject } from '../support/api-server.ts';
import { portico } from '../support/portico.ts';
import { eventually, startDaemon } from '../support/daemon.ts';
import { heldPort } from '../support/loopback.ts';
import { GATEWAY_RESOURCES } from '../support/api-server-resources.ts';
import { type Grant, allows, differences, grantsTo, rightsOf } from '../support/rights.ts';
import { type Manifest, deployManifests, helmManifests, theOnly, variantManifests } from './manifests.ts';

const NAMESPACE = 'portico-system';
const POD = {
  POD_NAME: 'portico-a',
  POD_NAMESPACE: NAMESPACE,
};

/** What is in the cluster besides what users apply. */
const INSTALLED: readonly ApiObject[] = [
  {
    kind: 'Pod',
    metadata: { namespace: NAMESPACE, name: 'portico-a', labels: { 'app.kubernetes.io/name': 'portico' } },
    spec: { nodeName: 'n-1' },
    status: { podIP: '192.0.2.5', conditions: [{ type: 'Ready', status: 'True' }] },
  },
  {
    kind: 'Node',
    metadata: { name: 'n-1' },
    status: { addresses: [{ type: 'InternalIP', address: '192.0.2.5' }] },
  },
  {
    kind: 'Service',
    metadata: { namespace: NAMESPACE, name: 'portico' },
    spec: { ports: [{ port: 80 }] },
    status: { loadBalancer: { ingress: [{ ip: '192.0.2.5' }] } },
  },
];

/** A cluster that refuses everything that these rights do not allow. */
async function guardedCluster(grants: readonly Grant[]): Promise<ScriptedCluster & { refused: string[] }> {
  // By pages and not as a stream, which needs "list" besides "watch".
  const cluster = await scriptedCluster({ objects: INSTALLED, streamingList: false });
  cluster.api.install();
  const refused: string[] = [];
  const forbidden = (request: Parameters<typeof apiCallOf>[0]): boolean => {
    const call = apiCallOf(request);
    if (call ? allows(grants, call) : isDiscovery(request)) return false;
    refused.push(`${request.verb} ${request.path}`);
    return true;
  };
  cluster.api.fail(
    { when: forbidden, times: Infinity },
    { kind: 'status', status: 403, reason: 'Forbidden', message: 'scripted: RBAC says no' },
  );
  return { ...cluster, refused };
}

/** The flags in the manifest, but for what belongs to the machine. */
function flagsOf(manifests: readonly Manifest[]): readonly string[] {
  const kind = manifests.some(({ object }) => object.kind === 'DaemonSet') ? 'DaemonSet' : 'Deployment';
  const { template } = theOnly<{ spec: { template: V1PodTemplateSpec } }>(kind, manifests).spec;
  const [command, ...flags] = template.spec?.containers[0]?.args ?? [];
  expect(command).toBe('run');
  return flags.filter((flag) => !/^--((?:status|admin)-socket|http-port|https-port)=/.test(flag));
}

function addressOf({ api }: ScriptedCluster, name: string): string | undefined {
  const ingress = objectsOf(api, 'ingresses').find(({ metadata }) => metadata.name === name);
  const status = ingress?.['status'] as
    | { loadBalancer?: { ingress?: readonly { ip?: string }[] } }
    | undefined;
  return status?.loadBalancer?.ingress?.[0]?.ip;
}

const reported = ({ api }: ScriptedCluster, name: string): boolean =>
  objectsOf(api, 'events').some((event) => (event['regarding'] as { name?: string }).name === name);

/** One object of each kind of Gateway API that gets a status. The listeners open no port: one has no known protocol, one no certificate. */
const RULES = [{ backendRefs: [{ name: 'shop', port: 80 }] }];
const GATEWAY_OBJECTS: readonly ApiObject[] = [
  gatewayObject('GatewayClass', undefined, { controllerName: 'portico.dev/gateway-controller' }),
  gatewayObject('Gateway', 'default', {
    gatewayClassName: 'web',
    listeners: [
      { name: 'none', port: 1, protocol: 'example.com/none' },
      { name: 'https', port: 2, protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'none' }] } },
    ],
  }),
  gatewayObject('ListenerSet', 'default', { parentRef: { name: 'web' }, listeners: [] }),
  ...['HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute', 'UDPRoute'].map((kind) =>
    gatewayObject(kind, 'default', { parentRefs: [{ name: 'web' }], hostnames: ['web.test'], rules: RULES }),
  ),
  gatewayObject('BackendTLSPolicy', 'default', {
    targetRefs: [{ group: '', kind: 'Service', name: 'shop' }],
    validation: { hostname: 'shop.test', wellKnownCACertificates: 'System' },
  }),
];

function gatewayObject(kind: string, namespace: string | undefined, spec: object): ApiObject {
  const metadata = { name: 'web', ...(namespace !== undefined && { namespace }) };
  return { apiVersion: 'gateway.networking.k8s.io/v1', kind, metadata, spec };
}

function hasStatus({ api }: ScriptedCluster, { kind }: ApiObject): boolean {
  const resource = GATEWAY_RESOURCES.find((each) => each.kind === kind);
  return objectsOf(api, `${resource?.resource}`).some((object) => object['status'] !== undefined);
}

/** The right it needs, if a Role can give it for these namespaces only. */
function rightOf(request: Parameters<typeof apiCallOf>[0], namespaces: readonly string[]): string {
  const call = apiCallOf(request);
  if (!call) return `${request.verb} ${request.path}`;
  const where = call.namespace !== null && namespaces.includes(call.namespace) ? 'namespace' : 'cluster';
  return `${call.verb} ${call.group}/${call.resource} ${where}`;
}

const DEPLOY = deployManifests();
const INSTALLATIONS: readonly (readonly [string, readonly Manifest[], homes: readonly string[]])[] = [
  ['deploy/variants/deployment.yaml', variantManifests('deployment.yaml'), [NAMESPACE]],
  ['deploy/variants/namespaced.yaml', variantManifests('namespaced.yaml'), [NAMESPACE, 'default']],
  [
    'the chart, a Deployment for some namespaces',
    helmManifests('deployment-namespaced'),
    [NAMESPACE, 'default'],
  ],
];

function grantsIn(manifests: readonly Manifest[], account = 'portico'): readonly Grant[] {
  return grantsTo(
    account,
    manifests.map(({ object }) => object),
  );
}

/** Runs Portico with the flags in the manifests until it has published, and compares what it asked for. */
async function asksForWhatIsGranted(
  cluster: Awaited<ReturnType<typeof guardedCluster>>,
  manifests: readonly Manifest[],
  homes: readonly string[],
): Promise<void> {
  await cluster.apply(
    ...siteObjects({ host: 'shop.test', name: 'shop', endpoints: ['127.0.0.1:9'] }),
    ingressOf({ host: 'lost.test', name: 'lost', endpoints: [] }),
    ...GATEWAY_OBJECTS,
  );
  await using daemon = startDaemon({ args: [...cluster.args, ...flagsOf(manifests)], env: POD });
  await eventually(async () => addressOf(cluster, 'shop') === '192.0.2.5', daemon.exited);
  await eventually(async () => reported(cluster, 'lost'), daemon.exited);
  await eventually(async () => GATEWAY_OBJECTS.every((each) => hasStatus(cluster, each)), daemon.exited);
  expect(await daemon.stop()).toBe(0);

  expect(cluster.refused).toEqual([]);
  const requests = cluster.api.requests.filter((request) => !isDiscovery(request));
  const asked = new Set(requests.map((request) => rightOf(request, homes)));
  // Asked ten minutes after a problem came back: the record of the whole suite has it, from event-writes.test.ts.
  asked.add(`patch events.k8s.io/events ${homes.includes('default') ? 'namespace' : 'cluster'}`);
  expect([...asked].toSorted()).toEqual(rightsOf(grantsIn(manifests)));
}

test.each(INSTALLATIONS)(
  '%s grants what Portico asks for with these flags, no more and no less',
  async (_, manifests, homes) => {
    await using cluster = await guardedCluster(grantsIn(manifests));
    await asksForWhatIsGranted(cluster, manifests, homes);
  },
);

test('deploy/ grants what Portico asks for, and deploy/variants/cleanup.yaml what its Job asks for then', async () => {
  const granted = [...grantsIn(DEPLOY)];
  await using cluster = await guardedCluster(granted);
  await asksForWhatIsGranted(cluster, DEPLOY, [NAMESPACE]);

  const grants = grantsIn(variantManifests('cleanup.yaml'), 'portico-cleanup');
  granted.splice(0, granted.length, ...grants);
  const before = cluster.api.requests.length;
  const args = ['cleanup', ...cluster.args.slice(0, 2), '--publish-namespace=portico-system'];
  const { code, stdout } = await portico(args);
  expect([code, stdout]).toEqual([0, expect.stringContaining('2 statuses cleaned')]);
  expect(cluster.refused).toEqual([]);
  const asked = new Set(cluster.api.requests.slice(before).map((request) => rightOf(request, [NAMESPACE])));
  expect([...asked].toSorted()).toEqual(rightsOf(grants));
});

describe('deploy/variants/namespaced.yaml', () => {
  const manifests = variantManifests('namespaced.yaml').map(({ object }) => object);

  test('reads no Secret, Service or Ingress of another namespace, in whatever it grants', () => {
    const everywhere = grantsTo('portico', manifests).filter(({ namespace }) => namespace === null);
    expect(rightsOf(everywhere)).toEqual([
      'get /nodes cluster',
      'list /namespaces cluster',
      'list gateway.networking.k8s.io/gatewayclasses cluster',
      'list networking.k8s.io/ingressclasses cluster',
      'patch gateway.networking.k8s.io/gatewayclasses/status cluster',
      'watch /namespaces cluster',
      'watch gateway.networking.k8s.io/gatewayclasses cluster',
      'watch networking.k8s.io/ingressclasses cluster',
    ]);
  });

  test('works with Roles alone for Ingresses that name their class by annotation', async () => {
    const roles = manifests.filter(({ kind }) => !kind.startsWith('ClusterRole'));
    await using cluster = await guardedCluster(grantsTo('portico', roles));
    const old = ingressOf({ host: 'old.test', name: 'old', endpoints: [] });
    const { ingressClassName: _, ...spec } = old['spec'] as Record<string, unknown>;
    await cluster.apply(
      ...siteObjects({ host: 'new.test', name: 'new', endpoints: ['127.0.0.1:9'] }),
      serviceOf({ host: 'old.test', name: 'old', endpoints: [] }),
      {
        ...old,
        metadata: { ...old.metadata, annotations: { 'kubernetes.io/ingress.class': 'portico' } },
        spec,
      },
    );
    const args = ['--watch-namespace', 'default', '--publish-address', '192.0.2.7'];
    await using daemon = startDaemon({ args: [...cluster.args, ...args], env: POD });
    await daemon.line(/Portico may not read ingressclasses/);
    await daemon.ready();
    await eventually(async () => addressOf(cluster, 'old') === '192.0.2.7', daemon.exited);
    expect((await daemon.request('old.test')).status).toBe(503);
    expect((await daemon.request('new.test')).status).toBe(404);
    expect(addressOf(cluster, 'new')).toBeUndefined();
    const withoutNamespace = /\/v1\/(?:ingressclasses|gatewayclasses|namespaces)$/;
    expect(cluster.refused.filter((path) => !withoutNamespace.test(path))).toEqual([]);
  });
});

test('deploy/variants/gateway-services.yaml grants what Services of Gateways need, no more and no less', async () => {
  const grants = grantsIn(variantManifests('gateway-services.yaml'));
  await using cluster = await guardedCluster([...grantsIn(DEPLOY), ...grants]);
  const [gatewayClass, gateway] = GATEWAY_OBJECTS;
  await cluster.apply(gatewayClass!, gateway!);
  const port = await heldPort();
  const args = [...cluster.args, '--gateway-addresses=service', `--gateway-service-ports=${port}-${port}`];
  await using daemon = startDaemon({ args, env: POD });
  const labelled = (resource: string, label: string): boolean =>
    objectsOf(cluster.api, resource).some(({ metadata }) => metadata.labels?.[label] !== undefined);
  const slices = 'endpointslices';
  await eventually(async () => labelled(slices, 'kubernetes.io/service-name'), daemon.exited);
  const spec = { ...(gateway!['spec'] as object), infrastructure: { labels: { team: 'a' } } };
  await cluster.apply({ ...gateway!, spec });
  await eventually(async () => labelled('services', 'team') && labelled(slices, 'team'), daemon.exited);
  expect(await daemon.stop()).toBe(0);

  expect(cluster.refused).toEqual([]);
  const calls = cluster.api.requests.filter((request) => {
    const call = apiCallOf(request);
    return call !== null && allows(grants, call);
  });
  const asked = new Set(calls.map((request) => rightOf(request, [NAMESPACE])));
  expect([...asked].toSorted()).toEqual(rightsOf(grants));
});

test('the comparison finds what is missing, what is too much and what is too wide', () => {
  const granted = ['list /pods namespace', 'list /secrets cluster', 'watch /secrets cluster'];
  expect(
    differences(['list /pods cluster', 'list /secrets namespace', 'get /secrets cluster'], granted),
  ).toEqual([
    'asked, not granted: list /pods cluster',
    'asked, not granted: get /secrets cluster',
    'granted, never asked: list /pods namespace',
    'granted, never asked: watch /secrets cluster',
  ]);
  const rule = { apiGroups: [''], resources: ['secrets'], resourceNames: ['a'], verbs: ['get'] };
  const call = { verb: 'get', group: '', resource: 'secrets', namespace: 'shop', name: 'a' };
  expect(allows([{ rule, namespace: 'shop' }], call)).toBe(true);
  expect(allows([{ rule, namespace: 'blog' }], call)).toBe(false);
  expect(allows([{ rule, namespace: null }], { ...call, name: 'b' })).toBe(false);
});
