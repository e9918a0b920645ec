import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { values } from '../../src/model/sharded-map.ts';
import { type ApiObject, type ApiServer, startApiServer } from '../support/api-server.ts';
import { watchCluster } from './cluster-fixture.ts';

interface Body {
  readonly kind?: string;
  readonly apiVersion?: string;
  readonly metadata?: { readonly resourceVersion?: string };
  readonly items?: readonly ApiObject[];
  readonly [field: string]: unknown;
}
interface Exchange {
  readonly name: string;
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly body?: object;
    readonly contentType?: string;
  };
  readonly response: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: Body | string;
    readonly watchEvents?: readonly { readonly type: string; readonly object: ApiObject }[];
  };
}

const exchanges = JSON.parse(
  await readFile(new URL('../support/kubernetes-api.json', import.meta.url), 'utf8'),
) as Exchange[];

function recorded(name: string): Exchange {
  const found = exchanges.find((exchange) => exchange.name.startsWith(name));
  if (!found) throw new Error(`nothing was recorded as ${name}`);
  return found;
}

const LISTS = [
  'list ingresses',
  'list services',
  'list endpointslices',
  'list tls secrets',
  'list ingressclasses',
];

/** Answers lists and Ingress watches byte by byte as they were recorded. */
function replay(api: ApiServer, name: string, when: (query: URLSearchParams) => boolean): void {
  const { request, response } = recorded(name);
  const url = new URL(request.path, 'http://api');
  const resource = url.pathname.split('/').at(-1) ?? '';
  const lines = response.watchEvents?.map((event) => `${JSON.stringify(event)}\n`).join('');
  if (lines === undefined)
    api.fail(
      { resource, verb: 'list', when: ({ query }) => when(query) },
      {
        kind: 'body',
        status: response.status,
        contentType: 'application/json',
        body: JSON.stringify(response.body),
      },
    );
  else api.fail({ resource, verb: 'watch', when: ({ query }) => when(query) }, { kind: 'text', text: lines });
}

test('the recorded lists and the recorded watch: modified, added, deleted, two bookmarks', async () => {
  await using cluster = await watchCluster({
    streamingList: false,
    resourceVersion: 404,
    before: (api) => {
      for (const name of LISTS) replay(api, name, () => true);
      replay(api, 'watch with bookmarks', (query) => query.get('resourceVersion') === '404');
    },
  });
  const { api, source, dirty } = cluster;
  await source.synced;
  expect(source.states().map(({ kind, objects }) => [kind, objects])).toEqual([
    ['Ingress', 1],
    ['IngressClass', 1],
    ['Service', 4],
    ['EndpointSlice', 4],
    ['Secret', 1],
  ]);
  await cluster.until(() => cluster.ingresses().join() === 'shop/shop@405');
  expect([...values(source.snapshot().slicesByService)].map((slices) => slices.length).sort()).toEqual([
    1, 1, 2,
  ]);
  expect(dirty.every((what) => what === 'routes')).toBe(true);

  api.endWatches();
  const resumed = (): (string | null)[] =>
    api.requests
      .filter(({ resource, verb }) => resource === 'ingresses' && verb === 'watch')
      .map(({ query }) => query.get('resourceVersion'));
  await cluster.pass(() => resumed().length === 3);
  expect(resumed()).toEqual([null, '404', '426']);
});

test('the recorded streaming list', async () => {
  await using cluster = await watchCluster({
    resourceVersion: 430,
    before: (api) => replay(api, 'streaming list', (query) => query.has('sendInitialEvents')),
  });
  await cluster.source.synced;
  expect(cluster.ingresses()).toEqual(['shop/shop@405']);
  expect(cluster.state('Ingress')).toMatchObject({ relists: 0, errors: 0 });
});

test('the recorded expired resourceVersion', async () => {
  await using cluster = await watchCluster({
    streamingList: false,
    before: (api) =>
      replay(api, 'watch from an expired resourceVersion', (query) => query.has('resourceVersion')),
  });
  await cluster.pass(() => cluster.state('Ingress').relists === 1);
  expect(cluster.state('Ingress')).toMatchObject({ errors: 0, synced: true });
});

// The scripted server answers what the real one answered, given the same objects.
const SAME = [
  'list with limit=1',
  'list second page',
  'list with an invalid continue token',
  'list endpointslices',
  'list tls secrets',
  'watch with malformed resourceVersion',
  'get missing ingress',
  'list of a resource whose CRD is not installed',
  'patch ingress status with stale resourceVersion',
  'patch ingress status with an invalid ip',
  'create lease that exists',
  'update lease with stale resourceVersion',
  'api group discovery',
  'readyz',
];

test.each(SAME)('the scripted API server answers as recorded: %s', async (name) => {
  const api = await startApiServer();
  try {
    for (const list of ['list ingresses', 'list services', 'list endpointslices', 'list tls secrets']) {
      const body = recorded(list).response.body as Body;
      for (const item of body.items ?? [])
        api.store.put({
          ...item,
          apiVersion: `${body.apiVersion}`,
          kind: `${body.kind}`.replace('List', ''),
        });
    }
    api.store.put({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'leader', namespace: 'shop' },
    });
    api.store.resourceVersion = 404;
    const { request, response } = recorded(name);
    if (request.path.includes('continue=ey')) await fetch(`${api.url}/api/v1/services?limit=1`);
    const answer = await fetch(`${api.url}${request.path}`, {
      method: request.method,
      headers: { 'content-type': request.contentType ?? 'application/json' },
      ...(request.body ? { body: JSON.stringify(request.body) } : {}),
    });
    const text = await answer.text();
    expect(answer.status).toBe(response.status);
    expect(answer.headers.get('content-type')).toBe(response.headers['Content-Type']);
    if (typeof response.body === 'string') expect(text).toBe(response.body);
    else expect(plain(JSON.parse(text))).toEqual(plain(response.body));
  } finally {
    await api.close();
  }
});

/** Without what differs from one server to the next. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (key, inner: unknown) => {
      if (typeof inner === 'object' && inner !== null && 'uid' in inner) {
        const { resourceVersion: _resourceVersion, generation: _generation, ...rest } = inner as Body;
        return rest;
      }
      return key === 'causes' ? undefined : inner;
    }),
  );
}
