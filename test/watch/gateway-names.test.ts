import { expect, test } from 'vitest';
import { entries } from '../../src/model/sharded-map.ts';
import type { ApiObject } from '../support/api-server.ts';
import { type ClusterFixture, type WatchedCluster, get, secret, watchCluster } from './cluster-fixture.ts';

const naming = {
  ingressClass: 'portico',
  controllerName: 'portico.dev/ingress-controller',
  watchIngressWithoutClass: false,
  gatewayController: 'portico.dev/gateway-controller',
};

function object(kind: string, key: string, spec: object, annotations = {}): ApiObject {
  const [namespace, name = ''] = key.includes('/') ? key.split('/') : [undefined, key];
  const metadata = { name, annotations, ...(namespace !== undefined && { namespace }) };
  return { apiVersion: 'gateway.networking.k8s.io/v1', kind, metadata, spec };
}

function configMap(key: string, text = 'CA'): ApiObject {
  const [namespace = '', name = ''] = key.split('/');
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, data: { 'ca.crt': text } };
}

const ca = (name: string, namespace?: string) => ({
  caCertificateRefs: [{ group: '', kind: 'ConfigMap', name, ...(namespace !== undefined && { namespace }) }],
});

const CLASS = object('GatewayClass', 'portico', { controllerName: naming.gatewayController });
const policy = (name: string): ApiObject =>
  object('BackendTLSPolicy', 'shop/web', { validation: { ...ca(name), hostname: 'web.test' } });
const gateway = (tls: object, gatewayClassName = 'portico'): ApiObject =>
  object('Gateway', 'shop/web', { gatewayClassName, tls });
const frontend = (validation: object): object => ({ frontend: { default: { validation } } });

async function cluster(objects: readonly ApiObject[], fixture: ClusterFixture = {}): Promise<WatchedCluster> {
  const watched = await watchCluster({
    source: { naming },
    ...fixture,
    before(api) {
      api.install();
      for (const each of objects) api.apply(each);
      return fixture.before?.(api);
    },
  });
  await watched.source.synced;
  return watched;
}

const configMaps = ({ source }: WatchedCluster): string[] =>
  [...entries(source.snapshot().configMaps)].map(([key]) => key).toSorted();

test('the ConfigMap that a BackendTLSPolicy names is read for as long as it does', async () => {
  await using watched = await cluster([CLASS, policy('ca'), configMap('shop/ca'), configMap('shop/other')]);
  const { api, source } = watched;
  expect(configMaps(watched)).toEqual(['shop/ca']);
  api.apply(configMap('shop/ca', 'renewed'));
  await watched.until(() => get(source.snapshot().configMaps, 'shop/ca')?.data?.['ca.crt'] === 'renewed');
  api.apply(policy('other'));
  await watched.until(() => configMaps(watched).join() === 'shop/other');
  api.delete('BackendTLSPolicy', 'shop/web');
  await watched.until(() => configMaps(watched).length === 0);
});

test('a BackendTLSPolicy is held back until its ConfigMap is known', async () => {
  await using watched = await cluster([CLASS, configMap('shop/ca')]);
  const { api, source } = watched;
  const seen = new Set<string>();
  const look = (): boolean => {
    const { backendTlsPolicies } = source.snapshot();
    if (backendTlsPolicies.size > 0) seen.add(configMaps(watched).join());
    return seen.size > 0;
  };
  api.apply(policy('ca'));
  await watched.until(look);
  expect([...seen]).toEqual(['shop/ca']);
});

test('nothing is read for objects of other controllers', async () => {
  const other = object('GatewayClass', 'other', { controllerName: 'example.com/gateways' });
  await using watched = await cluster([
    other,
    policy('ca'),
    gateway(frontend(ca('clients')), 'other'),
    configMap('shop/ca'),
    configMap('shop/clients'),
  ]);
  const { api } = watched;
  expect(configMaps(watched)).toEqual([]);
  api.apply(CLASS);
  await watched.until(() => configMaps(watched).join() === 'shop/ca');
  api.apply(gateway(frontend(ca('clients'))));
  await watched.until(() => configMaps(watched).join() === 'shop/ca,shop/clients');
});

test('a Gateway names CAs and a client certificate, those of other namespaces by a ReferenceGrant', async () => {
  const perPort = [{ port: 8443, tls: { validation: ca('clients', 'pki') } }];
  const backend = { clientCertificateRef: { name: 'client' } };
  await using watched = await cluster([
    CLASS,
    gateway({ frontend: { default: { validation: ca('own') }, perPort }, backend }),
    configMap('shop/own'),
    configMap('pki/clients'),
    secret('shop/client', { 'tls.crt': '' }, 'Opaque'),
  ]);
  const { api, source } = watched;
  expect(configMaps(watched)).toEqual(['shop/own']);
  expect(get(source.snapshot().secrets, 'shop/client')?.type).toBe('Opaque');
  const from = [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', namespace: 'shop' }];
  api.apply(object('ReferenceGrant', 'pki/gateways', { from, to: [{ group: '', kind: 'ConfigMap' }] }));
  await watched.until(() => configMaps(watched).join() === 'pki/clients,shop/own');
  api.delete('ReferenceGrant', 'pki/gateways');
  await watched.until(() => configMaps(watched).join() === 'shop/own');
});

test('the annotations of routes name Secrets as those of Ingresses do', async () => {
  const annotations = { 'portico.dev/client-ca-secret': 'ca' };
  await using watched = await cluster([
    CLASS,
    object('HTTPRoute', 'shop/web', { parentRefs: [{ name: 'web' }] }, annotations),
    secret('shop/ca', { 'ca.crt': '' }, 'Opaque'),
  ]);
  expect(get(watched.source.snapshot().secrets, 'shop/ca')).toBeDefined();
});

test('a ConfigMap that may not be read is said to be that', async () => {
  await using watched = await cluster([CLASS, policy('ca'), configMap('shop/ca')], {
    before: (api) => api.forbid('configmaps'),
  });
  await watched.advance(10_000);
  expect(get(watched.source.snapshot().unreadable, 'ConfigMap shop/ca')).toBe('forbidden');
});

test('what names objects in other shapes names nothing', async () => {
  const shapes: readonly unknown[] = [
    null,
    1,
    'x',
    [],
    {},
    [null],
    [{ kind: 'ConfigMap', name: 'a/b' }],
    [{}],
  ];
  await using watched = await cluster([CLASS]);
  for (const caCertificateRefs of shapes) {
    watched.api.apply(gateway({ frontend: { default: { validation: { caCertificateRefs } }, perPort: 1 } }));
    watched.api.apply(object('BackendTLSPolicy', 'shop/web', { validation: { caCertificateRefs } }));
  }
  await watched.until(() => watched.source.snapshot().backendTlsPolicies.size === 1);
  expect(configMaps(watched)).toEqual([]);
});
