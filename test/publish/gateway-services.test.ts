import { expect, test } from 'vitest';
import { asArray, asObject } from '../../src/model/untyped.ts';
import type { PublisherHarness } from './fixture.ts';
import { type ApiObject, objectsOf, startPublisherHarness } from './fixture.ts';

const apiVersion = 'gateway.networking.k8s.io/v1';
const controllerName = 'portico.dev/gateway-controller';
const creationTimestamp = '2026-01-01T00:00:00Z';
const CLASS: ApiObject = {
  apiVersion,
  kind: 'GatewayClass',
  metadata: { name: 'portico', creationTimestamp },
  spec: { controllerName },
};
const REPLICA = {
  gatewayController: controllerName,
  gatewayServicePorts: { first: 20_000, last: 20_063 },
  endpoints: {
    kind: 'fixed',
    endpoints: [
      { address: '192.0.2.5', node: 'n-1' },
      { address: '192.0.2.6', node: 'n-2' },
    ],
  },
} as const;

function gateway(spec: object = {}): ApiObject {
  return {
    apiVersion,
    kind: 'Gateway',
    metadata: { namespace: 'shop', name: 'web', uid: 'uid-web', creationTimestamp },
    spec: {
      gatewayClassName: 'portico',
      listeners: [
        { name: 'http', port: 80, protocol: 'HTTP' },
        { name: 'dns', port: 53, protocol: 'UDP' },
      ],
      ...spec,
    },
  };
}

const serviceOf = ({ api }: PublisherHarness): ApiObject | undefined =>
  objectsOf(api, 'services').find(({ metadata }) => metadata.name === 'web-portico');

function addressesOf({ api }: PublisherHarness): readonly unknown[] {
  const { addresses } = asObject(objectsOf(api, 'gateways')[0]?.['status']);
  return asArray(addresses).map((each) => asObject(each)['value']);
}

function portsOf(object: ApiObject | undefined): readonly string[] {
  return asArray(asObject(object?.['spec'])['ports'])
    .map(asObject)
    .map(({ name, protocol, port, targetPort }) => [name, protocol, port, targetPort].map(String).join(' '));
}

test('a Gateway owns a Service that leads to every Portico, and has the address of its load balancer', async () => {
  const infrastructure = { labels: { team: 'a' }, annotations: { 'example.com/note': 'b' } };
  await using harness = await startPublisherHarness({ objects: [CLASS, gateway({ infrastructure })] });
  harness.api.install();
  await harness.addReplica('a', REPLICA);
  await harness.until(() => objectsOf(harness.api, 'endpointslices').length === 1);
  const service = serviceOf(harness);
  expect(service?.metadata).toMatchObject({
    labels: {
      team: 'a',
      'app.kubernetes.io/managed-by': 'portico',
      'gateway.networking.k8s.io/gateway-name': 'web',
      'gateway.networking.k8s.io/gateway-class-name': 'portico',
    },
    annotations: { 'example.com/note': 'b' },
    ownerReferences: [{ apiVersion, kind: 'Gateway', name: 'web', uid: 'uid-web', controller: true }],
  });
  expect(service?.['spec']).toMatchObject({ type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
  expect(service?.['spec']).not.toHaveProperty('selector');
  const [tcp, udp] = portsOf(service);
  const [slice] = objectsOf(harness.api, 'endpointslices');
  expect(slice).toMatchObject({
    metadata: { labels: { team: 'a', 'kubernetes.io/service-name': 'web-portico' } },
    addressType: 'IPv4',
    endpoints: [
      { addresses: ['192.0.2.5'], nodeName: 'n-1', conditions: { ready: true } },
      { addresses: ['192.0.2.6'], nodeName: 'n-2', conditions: { ready: true } },
    ],
  });
  const targets = asArray(slice?.['ports']).map(asObject);
  expect(targets.map(({ name, protocol, port }) => [name, protocol, port].map(String).join(' '))).toEqual([
    tcp?.replace(' 80 ', ' '),
    udp?.replace(' 53 ', ' '),
  ]);

  expect(addressesOf(harness)).toEqual([]);
  const spec = { ...asObject(service?.['spec']), loadBalancerClass: 'example.com/cloud' };
  harness.api.apply({ ...service!, spec, status: { loadBalancer: { ingress: [{ ip: '198.51.100.9' }] } } });
  await harness.until(() => addressesOf(harness).length === 1);
  expect(addressesOf(harness)).toEqual(['198.51.100.9']);
  const written = harness.writes().length;
  await harness.advance(5 * 60_000);
  expect(harness.writes()).toHaveLength(written);
  expect(harness.writes('services')).toHaveLength(1);
});

test('the Service follows its Gateway and is repaired, and what others wrote to it stays', async () => {
  const infrastructure = { labels: { team: 'a', tier: 'b' } };
  await using harness = await startPublisherHarness({ objects: [CLASS, gateway({ infrastructure })] });
  harness.api.install();
  await harness.addReplica('a', REPLICA);
  await harness.until(() => objectsOf(harness.api, 'endpointslices').length === 1);
  const [before] = portsOf(serviceOf(harness));
  const { metadata, ...rest } = serviceOf(harness)!;
  const spec = asObject(rest['spec']);
  const ports = asArray(spec['ports']).map((port) => ({
    ...asObject(port),
    nodePort: 30_001,
    targetPort: 9,
  }));
  harness.api.apply({
    ...rest,
    metadata: { ...metadata, labels: { ...metadata.labels, theirs: 'c' } },
    spec: { ...spec, ports },
  });
  await harness.until(() => portsOf(serviceOf(harness))[0] === before);
  harness.api.apply(
    gateway({
      infrastructure: { labels: { tier: 'd' } },
      listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }],
    }),
  );
  await harness.until(() => portsOf(serviceOf(harness)).length === 1);
  expect(serviceOf(harness)?.metadata.labels).toMatchObject({ tier: 'd', theirs: 'c' });
  expect(serviceOf(harness)?.metadata.labels).not.toHaveProperty('team');
  // The port of the nodes stays as long as the Gateway has its own.
  expect(portsOf(serviceOf(harness))).toEqual([before]);
  const kept = asArray(asObject(serviceOf(harness)?.['spec'])['ports']);
  expect(kept).toMatchObject([{ nodePort: 30_001 }]);
});

test('nothing is made for a Gateway that is being deleted', async () => {
  const { metadata, ...rest } = gateway();
  const leaving = { ...rest, metadata: { ...metadata, deletionTimestamp: creationTimestamp } };
  await using harness = await startPublisherHarness({ objects: [CLASS, leaving] });
  harness.api.install();
  await harness.addReplica('a', REPLICA);
  await harness.until(() => harness.writes('gateways').length > 0);
  await harness.advance(10_000);
  expect(objectsOf(harness.api, 'services')).toEqual([]);
});

test('a Service of the same name that is not the own is not touched', async () => {
  const theirs = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'shop', name: 'web-portico', creationTimestamp },
    spec: { ports: [{ port: 1 }] },
  };
  await using harness = await startPublisherHarness({ objects: [CLASS, gateway(), theirs] });
  harness.api.install();
  await harness.addReplica('a', REPLICA);
  await harness.until(() => harness.writes('gateways').length > 0);
  await harness.advance(60_000);
  expect(serviceOf(harness)?.['spec']).toEqual(theirs.spec);
  expect([...harness.writes('services'), ...harness.writes('endpointslices')]).toEqual([]);
  // It is made when the other one is gone.
  harness.api.delete('Service', 'shop/web-portico');
  await harness.until(() => portsOf(serviceOf(harness)).length === 2);
});
