import { expect, test } from 'vitest';
import { MAX_REFERENCES } from '../../src/model/object-reader.ts';
import { entries } from '../../src/model/sharded-map.ts';
import type { ApiObject } from '../support/api-server.ts';
import type { ApiRequest } from '../support/api-server-faults.ts';
import { type WatchedCluster, get, ingress, secret, watchCluster } from './cluster-fixture.ts';

const naming = {
  ingressClass: 'portico',
  controllerName: 'portico.dev/ingress-controller',
  watchIngressWithoutClass: true,
};

/** An Ingress that names a Secret. */
function ingressNaming(key: string, named: string, className?: string): ApiObject {
  const object = ingress(key);
  const annotations = { 'portico.dev/client-ca-secret': named };
  const spec = { ...(object['spec'] as object), ...(className && { ingressClassName: className }) };
  return { ...object, metadata: { ...object.metadata, annotations }, spec };
}

const opaque = (key: string, value = 'YQ=='): ApiObject => secret(key, { auth: value }, 'Opaque');

function configMap(key: string, data: Readonly<Record<string, string>>): ApiObject {
  const [namespace = '', name = ''] = key.split('/');
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, data };
}

const held = ({ source }: WatchedCluster): string[] =>
  ['shop/a', 'shop/b', 'shop/c', 'blog/a'].filter((key) => get(source.snapshot().secrets, key));

/** The name of the single object that is asked for. */
function nameIn({ query }: ApiRequest): string | undefined {
  return /metadata\.name=([^,]*)/.exec(query.get('fieldSelector') ?? '')?.[1];
}

/** The watches of single Secrets. */
const watched = ({ api }: WatchedCluster): number => api.watches() - 5;

test('only the Secrets that an Ingress of ours names are read, and for as long as it does', async () => {
  await using cluster = await watchCluster({
    source: { naming },
    objects: [
      ingressNaming('shop/web', 'a'),
      ingressNaming('shop/foreign', 'b', 'other'),
      ingressNaming('shop/abroad', 'blog/a'),
      ...['shop/a', 'shop/b', 'shop/c', 'blog/a'].map((key) => opaque(key)),
    ],
  });
  const { api, source } = cluster;
  await source.synced;
  expect(held(cluster)).toEqual(['shop/a']);
  await cluster.until(() => watched(cluster) === 1);
  const asked = api.requests.filter((request) => nameIn(request) !== undefined);
  expect(new Set(asked.map((request) => `${request.path} ${nameIn(request)}`))).toEqual(
    new Set(['/api/v1/namespaces/shop/secrets a']),
  );

  api.apply(opaque('shop/a', 'Yg=='));
  await cluster.until(() => get(source.snapshot().secrets, 'shop/a')?.data?.['auth'] === 'Yg==');
  api.apply(ingressNaming('shop/web', 'c'));
  await cluster.until(() => held(cluster).join() === 'shop/c');
  api.delete('Ingress', 'shop/web');
  await cluster.until(() => held(cluster).length === 0 && watched(cluster) === 0);
});

test('an Ingress that names a new Secret is held back until that is known, at most ten seconds', async () => {
  await using cluster = await watchCluster({ source: { naming }, objects: [opaque('shop/a')] });
  const { api, source } = cluster;
  await source.synced;
  const seen: (boolean | undefined)[] = [];
  const look = (): number =>
    seen.push(get(source.snapshot().ingresses, 'shop/web') && held(cluster).includes('shop/a'));
  api.apply(ingressNaming('shop/web', 'a'));
  await cluster.until(() => look() > 0 && seen.at(-1) === true);
  expect(seen.filter((each) => each !== undefined)).toEqual([true]);

  api.fail({ when: (request) => nameIn(request) === 'b', times: Infinity }, { kind: 'hang' });
  api.apply(ingressNaming('shop/late', 'b'));
  await cluster.advance(9_999);
  expect(get(source.snapshot().ingresses, 'shop/late')).toBeUndefined();
  await cluster.advance(1);
  expect(get(source.snapshot().ingresses, 'shop/late')).toBeDefined();
});

test('a Secret that is made anew with another type stays, in whichever order its watches say so', async () => {
  await using cluster = await watchCluster({
    source: { naming },
    objects: [ingressNaming('shop/web', 'a'), opaque('shop/a')],
  });
  const { api, source } = cluster;
  await source.synced;
  api.delete('Secret', 'shop/a');
  api.apply(secret('shop/a', { 'tls.crt': '', 'tls.key': '' }));
  await cluster.until(() => get(source.snapshot().secrets, 'shop/a')?.type === 'kubernetes.io/tls');
  expect(held(cluster)).toEqual(['shop/a']);
  api.delete('Secret', 'shop/a');
  api.apply(opaque('shop/a'));
  await cluster.until(() => get(source.snapshot().secrets, 'shop/a')?.type === 'Opaque');
});

test('a Secret that may not be read is said to be that, and holds nothing up', async () => {
  await using cluster = await watchCluster({
    source: { naming },
    objects: [ingressNaming('shop/web', 'a'), opaque('shop/a')],
    before: (api) => api.forbid('secrets'),
  });
  const { api, source } = cluster;
  await source.synced;
  expect(get(source.snapshot().unreadable, 'Secret shop/a')).toBe('forbidden');
  // Of the kind as a whole, and not of each object that some Ingress names.
  expect(source.problems()).toHaveLength(1);
  api.allow('secrets');
  await cluster.advance(30_250);
  await cluster.until(() => held(cluster).length === 1);
  expect(source.snapshot().unreadable.size).toBe(0);
});

test('a namespace has a limit of objects that its annotations name; the next one gets a place that is free', async () => {
  const { perNamespace } = MAX_REFERENCES;
  const all = Array.from({ length: perNamespace + 2 }, (_, n) => ingressNaming(`shop/i${n}`, `s${n}`));
  await using cluster = await watchCluster({
    source: { naming },
    objects: [...all, ingressNaming('blog/web', 'a')],
  });
  const { api, source } = cluster;
  await source.synced;
  await cluster.until(() => watched(cluster) === perNamespace + 1);
  expect(source.snapshot().unreadable.size).toBe(2);
  const spare = new Map(entries(source.snapshot().unreadable));
  const first = all.find(({ metadata }) => !spare.has(`Secret shop/${metadata.name?.replace('i', 's')}`));
  api.delete('Ingress', `shop/${first?.metadata.name}`);
  await cluster.until(() => source.snapshot().unreadable.size === 1);
});

test('the ConfigMap of ingress-nginx is known before anything is served, and what it names is followed', async () => {
  await using cluster = await watchCluster({
    source: {
      naming: { ...naming, ingressNginxConfigMap: 'ops/nginx' },
      watchNamespaces: (at) => at === 'shop',
    },
    objects: [
      ingressNaming('shop/web', 'blog/a'),
      configMap('ops/nginx', { 'add-headers': 'ops/given' }),
      configMap('ops/given', { 'X-A': '1' }),
      configMap('ops/other', {}),
      opaque('blog/a'),
    ],
  });
  const { api, source } = cluster;
  await source.synced;
  const known = (): string =>
    [...entries(source.snapshot().configMaps)]
      .map(([key]) => key)
      .sort()
      .join();
  expect(known()).toBe('ops/given,ops/nginx');

  api.apply(configMap('ops/nginx', { 'allow-cross-namespace-resources': 'true' }));
  await cluster.until(() => known() === 'ops/nginx');
  expect(watched(cluster)).toBe(2);
});

test('a server without streaming lists is asked for a list of what is named', async () => {
  await using cluster = await watchCluster({
    streamingList: false,
    source: { naming: { ...naming, tcpServicesConfigMap: 'ops/tcp' } },
    objects: [configMap('ops/tcp', { '9000': 'shop/web:80' }), configMap('ops/other', {})],
  });
  const { api, source } = cluster;
  await source.synced;
  expect([...entries(source.snapshot().configMaps)].map(([key]) => key)).toEqual(['ops/tcp']);
  const lists = api.requests.filter(({ verb, path }) => verb === 'list' && path.includes('/configmaps'));
  expect(lists.map((request) => nameIn(request))).toEqual(['tcp']);
});

test('namespaces that are not selected name nothing, until their labels say otherwise', async () => {
  const namespace = (name: string, labels: Readonly<Record<string, string>>): ApiObject => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels },
  });
  const selector = { namespaceSelector: { matchLabels: { team: 'a' } } };
  await using cluster = await watchCluster({
    source: { naming: { ...naming, ...selector } },
    objects: [
      ...[namespace('shop', { team: 'a' }), namespace('blog', {})],
      ...[ingressNaming('shop/web', 'a'), ingressNaming('blog/web', 'a')],
      ...[opaque('shop/a'), opaque('blog/a')],
    ],
  });
  const { api, source } = cluster;
  await source.synced;
  expect(held(cluster)).toEqual(['shop/a']);
  api.apply(namespace('blog', { team: 'a' }));
  await cluster.until(() => held(cluster).join() === 'shop/a,blog/a');
  api.apply(namespace('shop', { team: 'b' }));
  await cluster.until(() => held(cluster).join() === 'blog/a');
  expect(source.states().map(({ kind }) => kind)).toContain('Namespace');
});
