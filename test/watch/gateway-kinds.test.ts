import { describe, expect, test } from 'vitest';
import { GATEWAY_KINDS } from '../../src/model/objects.ts';
import { COLLECTIONS } from '../../src/model/snapshot.ts';
import type { ApiObject } from '../support/api-server.ts';
import { GATEWAY_RESOURCES } from '../support/api-server-resources.ts';
import {
  type ClusterFixture,
  type WatchedCluster,
  get,
  ingress,
  service,
  watchCluster,
} from './cluster-fixture.ts';

const naming = {
  ingressClass: 'portico',
  controllerName: 'portico.dev/ingress-controller',
  watchIngressWithoutClass: false,
  gatewayController: 'portico.dev/gateway-controller',
};

const GATEWAY_API = 'gateway.networking.k8s.io/v1';

function object(kind: string, key: string, spec: object = {}): ApiObject {
  const [namespace, name = ''] = key.includes('/') ? key.split('/') : [undefined, key];
  const metadata = { name, ...(namespace !== undefined && { namespace }) };
  return { apiVersion: GATEWAY_API, kind, metadata, spec };
}

const namespace = (name: string): ApiObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels: { team: name }, annotations: { note: 'long' } },
  spec: { finalizers: ['kubernetes'] },
  status: { phase: 'Active' },
});

const GATEWAY = [
  object('GatewayClass', 'portico', { controllerName: 'portico.dev/gateway-controller' }),
  object('Gateway', 'shop/web', { gatewayClassName: 'portico' }),
  object('HTTPRoute', 'shop/web', { parentRefs: [{ name: 'web' }] }),
];

const cluster = ({ source, ...fixture }: ClusterFixture = {}): Promise<WatchedCluster> =>
  watchCluster({
    objects: [ingress('shop/web'), namespace('shop')],
    source: { naming, ...source },
    ...fixture,
  });

/** The kinds that are read, beside those that are always there. */
const kinds = ({ source }: WatchedCluster): string[] =>
  source
    .states()
    .map(({ kind }) => kind)
    .slice(5);

const warnings = ({ logs }: WatchedCluster): string[] =>
  logs.filter(({ level }) => level === 'warn' || level === 'error').map(({ message }) => message);

/** `Gateway:1 HTTPRoute:1` of what the snapshot has. */
const held = ({ source }: WatchedCluster): string =>
  (['Namespace', ...GATEWAY_KINDS] as const)
    .map((kind) => [kind, source.snapshot()[COLLECTIONS[kind]].size] as const)
    .flatMap(([kind, size]) => (size > 0 ? `${kind}:${size}` : []))
    .join(' ');

const ALL_HELD = 'Namespace:1 GatewayClass:1 Gateway:1 HTTPRoute:1';

describe('Gateway API that is not installed', () => {
  test('is no error, holds nothing up, and has nothing read', async () => {
    await using watched = await cluster();
    await watched.source.synced;
    await watched.advance(10_000);
    expect(kinds(watched)).toEqual([]);
    expect(watched.source.problems()).toEqual([]);
    expect(warnings(watched)).toEqual([]);
    const asked = watched.api.requests.filter(({ resource }) => resource === undefined);
    expect(new Set(asked.map(({ path }) => path))).toEqual(new Set(['/apis']));
    // Only the first answer has a body.
    const withTag = asked.filter(({ headers }) => headers['if-none-match'] !== undefined);
    expect(withTag).toHaveLength(asked.length - 1);
  });

  test('is read as soon as it is installed, and leaves the snapshot when it goes', async () => {
    const first: string[] = [];
    await using watched: WatchedCluster = await cluster({ onDirty: () => first.push(held(watched)) });
    const { api, source } = watched;
    await source.synced;
    const before = source.snapshot().ingresses;

    api.install();
    for (const each of GATEWAY) api.apply(each);
    await watched.advance(3_000);
    expect(held(watched)).toBe(ALL_HELD);
    expect(kinds(watched)).toEqual([...GATEWAY_KINDS, 'Namespace']);
    // In one step: a Gateway without its routes was never to be seen.
    expect(new Set(first)).toEqual(new Set(['', ALL_HELD]));
    expect(get(source.snapshot().namespaces, 'shop')).toMatchObject({
      metadata: { labels: { team: 'shop' } },
    });
    expect(get(source.snapshot().namespaces, 'shop')).not.toHaveProperty('spec');

    api.uninstall();
    await watched.pass(() => kinds(watched).length === 0);
    expect(held(watched)).toBe('');
    expect(api.watches()).toBe(5);
    api.install();
    for (const each of GATEWAY) api.apply(each);
    await watched.advance(3_000);
    expect(held(watched)).toBe(ALL_HELD);
    expect(source.snapshot().ingresses).toBe(before);
    expect(warnings(watched)).toEqual([]);
    expect(watched.state('Ingress')).toMatchObject({ errors: 0, relists: 0 });
  });

  test('one kind comes and goes while the others stay', async () => {
    await using watched = await cluster({ before: (api) => api.install(['gatewayclasses', 'gateways']) });
    const { api, source } = watched;
    await source.synced;
    api.apply(object('Gateway', 'shop/web'));
    await watched.until(() => held(watched) === 'Namespace:1 Gateway:1');
    api.install(['tcproutes']);
    api.apply(object('TCPRoute', 'shop/db'));
    await watched.advance(3_000);
    expect(held(watched)).toBe('Namespace:1 Gateway:1 TCPRoute:1');
    api.uninstall(['tcproutes']);
    await watched.pass(() => !kinds(watched).includes('TCPRoute'));
    expect(held(watched)).toBe('Namespace:1 Gateway:1');
  });
});

test.each([true, false])(
  'what is installed is in the first snapshot, streaming: %s',
  async (streamingList) => {
    const seen: string[] = [];
    await using watched: WatchedCluster = await cluster({
      streamingList,
      onDirty: () => seen.push(held(watched)),
      before(api) {
        api.install();
        for (const each of GATEWAY) api.apply(each);
      },
    });
    await watched.source.synced;
    expect(held(watched)).toBe(ALL_HELD);
    await watched.until(() => seen.length > 0);
    expect(new Set(seen)).toEqual(new Set([ALL_HELD]));
  },
);

test('a server without aggregated discovery is asked version by version', async () => {
  await using watched = await cluster({
    before(api) {
      api.aggregatedDiscovery = false;
      api.install();
      for (const each of GATEWAY) api.apply(each);
    },
  });
  await watched.source.synced;
  expect(held(watched)).toBe(ALL_HELD);
  watched.api.uninstall();
  await watched.pass(() => kinds(watched).length === 0);
});

test('a kind is read at the best version that is served, and stays when that changes', async () => {
  await using watched = await cluster({
    before(api) {
      api.install(['gateways', 'referencegrants'], ['v1beta1']);
      api.install(['tcproutes'], ['v1alpha2']);
      api.apply(object('TCPRoute', 'shop/db'));
      api.apply(object('ReferenceGrant', 'shop/grant'));
    },
  });
  const { api, source } = watched;
  await source.synced;
  const versions = (): string[] => [
    ...new Set(
      api.requests
        .filter(({ path }) => path.startsWith('/apis/gateway'))
        .map(({ path }) => path.split('/').slice(3).join(' ')),
    ),
  ];
  expect(versions().toSorted()).toEqual([
    'v1alpha2 tcproutes',
    'v1beta1 gateways',
    'v1beta1 referencegrants',
  ]);
  const [before] = [source.snapshot().tcpRoutes];
  api.install(['tcproutes'], ['v1', 'v1alpha2']);
  await watched.advance(3_000);
  expect(versions()).toContain('v1 tcproutes');
  expect(get(source.snapshot().tcpRoutes, 'shop/db')?.spec).toEqual(get(before, 'shop/db')?.spec);
  api.delete('TCPRoute', 'shop/db');
  await watched.until(() => source.snapshot().tcpRoutes.size === 0);
});

describe('what is known stays', () => {
  test('while a proxy answers 404 to everything', async () => {
    await using watched = await cluster({
      before(api) {
        api.install();
        for (const each of GATEWAY) api.apply(each);
      },
    });
    const { api, source } = watched;
    await source.synced;
    const body = '<html>no such page</html>';
    const undo = api.fail({ times: Infinity }, { kind: 'body', status: 404, contentType: 'text/html', body });
    api.endWatches();
    await watched.advance(5_000);
    await watched.advance(20_000);
    expect(held(watched)).toBe(ALL_HELD);
    undo();
    api.apply(object('HTTPRoute', 'shop/other'));
    await watched.pass(() => held(watched).includes('HTTPRoute:2'));
  });

  test('while discovery may not be asked, which is one problem', async () => {
    await using watched = await cluster({
      before(api) {
        api.install();
        for (const each of GATEWAY) api.apply(each);
      },
    });
    const { api, source } = watched;
    await source.synced;
    const isDiscovery = ({ path }: { path: string }): boolean => path === '/apis';
    const undo = api.fail(
      { when: isDiscovery, times: Infinity },
      { kind: 'status', status: 403, reason: 'Forbidden', message: 'you may not' },
    );
    await watched.advance(3_000);
    expect(held(watched)).toBe(ALL_HELD);
    expect(source.problems()).toEqual([
      expect.objectContaining({
        code: 'DiscoveryForbidden',
        message: expect.stringContaining('bind the ClusterRole system:discovery') as string,
      }),
    ]);
    undo();
    await watched.advance(60_000);
    expect(source.problems()).toEqual([]);
  });
});

describe('missing rights', () => {
  test('to all of it are one problem, and hold nothing up', async () => {
    await using watched = await cluster({
      before(api) {
        api.install();
        for (const { resource } of GATEWAY_RESOURCES) api.forbid(resource);
        api.forbid('namespaces');
      },
    });
    await watched.source.synced;
    expect(watched.source.problems().map(({ object, message }) => [object.kind, message])).toEqual([
      [
        'GatewayClass',
        expect.stringMatching(
          /^Portico may not read gatewayclasses, gateways, .* on resources "gatewayclasses", .* in API group "gateway.networking.k8s.io" with a ClusterRole \(see deploy\/rbac.yaml\)\. Meanwhile no Gateway is served\. /,
        ),
      ],
      ['Namespace', expect.stringContaining('Meanwhile selectors of namespaces select none.')],
    ]);
    expect(warnings(watched)).toHaveLength(1);
  });

  test('to one kind name it, and others are read', async () => {
    await using watched = await cluster({
      before(api) {
        api.install();
        api.forbid('httproutes');
        for (const each of GATEWAY) api.apply(each);
      },
    });
    const { api, source } = watched;
    await source.synced;
    expect(held(watched)).toBe('Namespace:1 GatewayClass:1 Gateway:1');
    expect(source.problems()).toEqual([
      expect.objectContaining({
        object: { kind: 'HTTPRoute', name: '*' },
        message: expect.stringContaining('Meanwhile no HTTPRoute is served.') as string,
      }),
    ]);
    api.allow('httproutes');
    await watched.advance(30_250);
    expect(held(watched)).toBe(ALL_HELD);
    expect(source.problems()).toEqual([]);
  });

  test('with namespaces by name, each kind is listed in each of them', async () => {
    await using watched = await cluster({
      source: { namespaces: ['shop', 'blog'], watchNamespaces: (name) => name !== 'other' },
      before: (api) => api.install(),
    });
    await watched.source.synced;
    const asked = watched.api.requests.filter(({ path }) => path.startsWith('/apis/gateway'));
    expect(new Set(asked.filter(({ resource }) => resource === 'gateways').map(({ path }) => path))).toEqual(
      new Set(['shop', 'blog'].map((name) => `/apis/${GATEWAY_API}/namespaces/${name}/gateways`)),
    );
    expect(asked.find(({ resource }) => resource === 'gatewayclasses')?.path).toBe(
      `/apis/${GATEWAY_API}/gatewayclasses`,
    );
  });
});

test('a kind whose lists fail is waited for ten seconds, and then joins when it can', async () => {
  let undo = (): void => {};
  await using watched = await cluster({
    before(api) {
      api.install();
      for (const each of GATEWAY) api.apply(each);
      const fault = { kind: 'status', status: 500, message: 'conversion webhook failed' } as const;
      undo = api.fail({ resource: 'httproutes', times: Infinity }, fault);
    },
  });
  const { source } = watched;
  let synced = false;
  void source.synced.then(() => (synced = true));
  await watched.advance(9_000);
  expect(synced).toBe(false);
  await watched.advance(1_001);
  await watched.until(() => synced);
  expect(held(watched)).toBe('Namespace:1 GatewayClass:1 Gateway:1');
  expect(kinds(watched)).not.toContain('HTTPRoute');
  undo();
  await watched.pass(() => held(watched) === ALL_HELD);
});

test('Ingresses are served at once while kinds that were installed join', async () => {
  await using watched = await cluster();
  const { api, source } = watched;
  await source.synced;
  const undo = api.fail({ resource: 'httproutes', times: Infinity }, { kind: 'hang' });
  api.install();
  await watched.advance(3_000);
  api.apply(service('shop/web'));
  api.apply(ingress('shop/new'));
  await watched.until(() => get(source.snapshot().ingresses, 'shop/new') !== undefined);
  // Nothing says "not listed": a Pod that serves stays ready.
  expect(source.states().every(({ synced }) => synced)).toBe(true);
  undo();
});
