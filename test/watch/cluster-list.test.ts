import { expect, test } from 'vitest';
import {
  endpointSlice,
  get,
  ingress,
  secret,
  service,
  watchCluster,
  watchOverSockets,
} from './cluster-fixture.ts';

const many = (count: number) =>
  Array.from({ length: count }, (_, index) =>
    ingress(`ns-${index % 50}/web-${index}`, `host-${index}.example.com`),
  );

test('a streaming list needs one request per kind', async () => {
  await using cluster = await watchCluster({ objects: many(3) });
  await cluster.source.synced;
  expect(cluster.api.requests.map(({ verb }) => verb)).toEqual(Array(5).fill('watch'));
  expect(cluster.ingresses()).toHaveLength(3);
});

test('a server without streaming lists is asked for pages', async () => {
  await using cluster = await watchCluster({ objects: many(3), streamingList: false });
  await cluster.source.synced;
  expect(cluster.api.requests.filter(({ verb }) => verb === 'list')).toHaveLength(5);
  expect(cluster.ingresses()).toHaveLength(3);
  expect(cluster.source.states().map(({ errors }) => errors)).toEqual([0, 0, 0, 0, 0]);
});

test('a streaming list that never says it is complete is given up for pages', async () => {
  await using cluster = await watchCluster({
    objects: many(2),
    before: (api) => void api.fail({ resource: 'ingresses', verb: 'watch' }, { kind: 'silent' }),
  });
  await cluster.until(() => cluster.source.states().filter(({ synced }) => synced).length === 4);
  await cluster.api.until(() => cluster.api.watches('ingresses') === 1);
  await cluster.until(() => cluster.clock.pending().includes(30_000));
  await cluster.advance(30_000);
  await cluster.source.synced;
  expect(cluster.ingresses()).toHaveLength(2);
});

test.each([true, false])(
  '10,000 objects, streaming %s: the event loop keeps turning',
  async (streamingList) => {
    await using cluster = await watchOverSockets('http', { objects: many(10_000), streamingList });
    const turns = countTurns();
    await cluster.source.synced;
    const counted = turns.stop();
    expect(cluster.state('Ingress').objects).toBe(10_000);
    expect(cluster.source.snapshot().ingresses.size).toBe(10_000);
    expect(counted).toBeGreaterThanOrEqual(20);
    const lists = cluster.api.requests.filter(
      ({ verb, resource }) => verb === 'list' && resource === 'ingresses',
    );
    if (streamingList) expect(lists).toHaveLength(0);
    else {
      expect(lists).toHaveLength(20);
      expect(new Set(lists.map(({ query }) => query.get('limit')))).toEqual(new Set(['500']));
    }
  },
);

/** Counts how often the event loop came round. */
function countTurns(): { stop(): number } {
  let turns = 0;
  let next = setImmediate(function turn() {
    turns++;
    next = setImmediate(turn);
  });
  return {
    stop() {
      clearImmediate(next);
      return turns;
    },
  };
}

test('pages of large objects shrink', async () => {
  const objects = many(1500).map((object) => ({
    ...object,
    metadata: { ...object.metadata, annotations: { note: 'x'.repeat(10_000) } },
  }));
  await using cluster = await watchCluster({ objects, streamingList: false });
  await cluster.source.synced;
  const limits = cluster.api.requests
    .filter(({ verb, resource }) => verb === 'list' && resource === 'ingresses')
    .map(({ query }) => Number(query.get('limit')));
  expect(limits[0]).toBe(500);
  expect(Math.max(...limits.slice(1))).toBeLessThan(250);
  expect(cluster.ingresses()).toHaveLength(1500);
});

test('a continue token that expires half-way: the list is made again in one piece', async () => {
  await using cluster = await watchCluster({
    objects: many(1200),
    streamingList: false,
    before: (api) =>
      void api.fail(
        { resource: 'ingresses', verb: 'list', when: ({ query }) => query.has('continue') },
        { kind: 'status', status: 410, reason: 'Expired' },
      ),
  });
  await cluster.source.synced;
  const lists = cluster.api.requests.filter(
    ({ verb, resource }) => verb === 'list' && resource === 'ingresses',
  );
  expect(lists.map(({ query }) => query.get('limit'))).toEqual(['500', '500', null]);
  expect(cluster.ingresses()).toHaveLength(1200);
});

test('a list that breaks off half-way leaves nothing out the next time', async () => {
  await using cluster = await watchCluster({
    objects: many(1200),
    streamingList: false,
    before: (api) =>
      void api.fail(
        { resource: 'ingresses', verb: 'list', when: ({ query }) => query.has('continue') },
        { kind: 'reset' },
      ),
  });
  await cluster.until(() => cluster.state('Ingress').errors === 1);
  expect(cluster.dirty).toEqual([]);
  await cluster.pass(() => cluster.state('Ingress').synced);
  await cluster.source.synced;
  expect(cluster.ingresses()).toHaveLength(1200);
});

test('the old content stays until a new list is complete', async () => {
  await using cluster = await watchCluster({ objects: many(600), streamingList: false });
  const { api, source } = cluster;
  await source.synced;
  await api.until(() => api.watches() === 5);
  api.store.delete(api.store.history[0]!.resource, 'ns-0/web-0');
  const sizes = new Set<number>();
  api.compact();
  api.fail(
    { resource: 'ingresses', verb: 'list', when: ({ query }) => query.has('continue') },
    { kind: 'status', status: 500 },
  );
  api.endWatches();
  await cluster.pass(() => {
    sizes.add(source.snapshot().ingresses.size);
    return sizes.size > 1;
  });
  expect([...sizes]).toEqual([600, 599]);
  expect(cluster.state('Ingress').relists).toBe(1);
  expect(cluster.state('Ingress').errors).toBe(1);
});

test('what nothing uses is dropped on arrival, and what is kept is frozen', async () => {
  const web = ingress('shop/web');
  web.metadata.annotations = {
    'kubectl.kubernetes.io/last-applied-configuration': '{}',
    'portico.dev/x': 'y',
  };
  web.metadata['managedFields'] = [{ manager: 'kubectl' }];
  await using cluster = await watchCluster({
    objects: [web, secret('shop/tls', { 'tls.crt': 'Yw==', 'tls.key': 'aw==', other: 'bw==' })],
  });
  await cluster.source.synced;
  const { ingresses, secrets } = cluster.source.snapshot();
  const kept = get(ingresses, 'shop/web');
  expect(kept?.metadata?.annotations).toEqual({ 'portico.dev/x': 'y' });
  expect(kept?.metadata).not.toHaveProperty('managedFields');
  expect(get(secrets, 'shop/tls')?.data).toEqual({ 'tls.crt': 'Yw==', 'tls.key': 'aw==' });
  const open: unknown[] = [kept];
  let seen = 0;
  for (const value of open)
    if (typeof value === 'object' && value !== null) {
      expect(Object.isFrozen(value)).toBe(true);
      seen++;
      open.push(...Object.values(value));
    }
  expect(seen).toBeGreaterThan(8);
});

test('an object is the same whether it was listed, streamed or watched', async () => {
  const kept = [];
  for (const how of ['listed', 'streamed', 'watched'] as const) {
    await using cluster = await watchCluster({ streamingList: how !== 'listed' });
    const { api, source } = cluster;
    const object = {
      ...ingress('shop/web'),
      metadata: { name: 'web', namespace: 'shop', uid: 'u', creationTimestamp: 't' },
    };
    if (how !== 'watched') api.store.put(object);
    await source.synced;
    await api.until(() => api.watches() === 5);
    if (how === 'watched') api.apply(object);
    await cluster.until(() => cluster.ingresses().length === 1);
    kept.push(get(source.snapshot().ingresses, 'shop/web'));
  }
  expect(kept[1]).toEqual(kept[0]);
  expect(kept[2]).toEqual(kept[0]);
});

test('only TLS Secrets and slices of Services are asked for', async () => {
  await using cluster = await watchCluster({
    objects: [
      secret('shop/tls', { 'tls.crt': '', 'tls.key': '' }),
      secret('shop/password', { password: 'eA==' }, 'Opaque'),
      endpointSlice('shop/web-1', 'web', '10.0.0.1'),
    ],
  });
  const { api, source } = cluster;
  await source.synced;
  expect(cluster.state('Secret').objects).toBe(1);
  await api.until(() => api.watches() === 5);
  const slice = endpointSlice('shop/web-1', 'web', '10.0.0.1');
  delete slice.metadata.labels;
  api.apply(slice);
  await cluster.until(() => source.snapshot().endpointSlices.size === 0);
  expect(cluster.dirty).toEqual(['routes', 'endpoints']);
});

test('bookmarks move the resourceVersion and enter nothing', async () => {
  await using cluster = await watchCluster({ objects: many(1) });
  const { api, source } = cluster;
  await source.synced;
  await api.until(() => api.watches() === 5);
  const snapshot = source.snapshot();
  const heard = cluster.state('Ingress').lastEventAt;
  await cluster.advance(1000);
  api.bookmark();
  await cluster.until(() => cluster.state('Ingress').lastEventAt === (heard ?? 0) + 1000);
  expect(source.snapshot()).toBe(snapshot);
  expect(cluster.dirty).toEqual(['routes']);
});

test('literal namespaces are listed one by one, so that a Role in each suffices', async () => {
  await using cluster = await watchCluster({
    objects: [ingress('shop/web'), ingress('blog/web'), ingress('other/web'), service('shop/web')],
    source: {
      namespaces: ['shop', 'blog'],
      watchNamespaces: (namespace) => ['shop', 'blog'].includes(namespace),
    },
  });
  await cluster.source.synced;
  expect(cluster.ingresses()).toEqual(['blog/web@402', 'shop/web@401']);
  const asked = cluster.api.requests.map(({ path }) => path);
  expect(asked).toContain('/apis/networking.k8s.io/v1/namespaces/shop/ingresses');
  expect(asked).toContain('/apis/networking.k8s.io/v1/ingressclasses');
  expect(asked).not.toContain('/apis/networking.k8s.io/v1/ingresses');
  expect(cluster.state('Ingress').objects).toBe(2);
});

test('a glob of namespaces drops the others on arrival', async () => {
  await using cluster = await watchCluster({
    objects: [ingress('team-a/web'), ingress('team-b/web'), ingress('other/web')],
    source: { watchNamespaces: (namespace) => namespace.startsWith('team-') },
  });
  await cluster.source.synced;
  expect(cluster.ingresses()).toEqual(['team-a/web@401', 'team-b/web@402']);
});

test('stopping ends the watches and whatever is waited for', async () => {
  await using cluster = await watchCluster({ objects: many(1) });
  const { api, source, clock, connection } = cluster;
  await source.synced;
  await api.until(() => api.watches() === 5);
  api.fail({ resource: 'ingresses' }, { kind: 'status', status: 500 });
  await source.stop();
  connection.close();
  await api.until(() => api.watches() === 0 && api.connections() === 0);
  expect(clock.pending()).toEqual([]);
});
