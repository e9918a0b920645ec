import { expect, test } from 'vitest';
import type { Fault } from '../support/api-server.ts';
import { until } from '../support/until.ts';
import { ingress, meet, requestsOf, synced, watchCluster, watchOverSockets } from './cluster-fixture.ts';

test('history that the API server has forgotten is listed again', async () => {
  await using cluster = await synced();
  const { api } = cluster;
  await meet(cluster, { kind: 'silent' });
  api.apply(ingress('shop/new'));
  api.compact();
  api.endWatches();
  await cluster.pass(() => cluster.ingresses().length === 2);
  expect(cluster.state('Ingress').relists).toBe(1);
});

test('a relist that finds the same versions changes nothing', async () => {
  await using cluster = await synced();
  const { source, dirty } = cluster;
  const snapshot = source.snapshot();
  await meet(cluster, { kind: 'expired' });
  await cluster.pass(() => cluster.state('Ingress').relists === 1);
  expect(source.snapshot()).toBe(snapshot);
  expect(dirty).toEqual(['routes']);
});

test('an event that repeats a version changes nothing', async () => {
  await using cluster = await synced();
  const { api, source, dirty } = cluster;
  const snapshot = source.snapshot();
  const again = api.store.history[0]!.last.json;
  await meet(cluster, { kind: 'text', text: `{"type":"MODIFIED","object":${again}}\n` });
  await api.until(() => api.watches('ingresses') === 1);
  const errors = cluster.state('Ingress').errors;
  api.apply(ingress('shop/next'));
  await cluster.until(() => cluster.ingresses().length === 2);
  expect(errors).toBe(0);
  expect(dirty).toEqual(['routes', 'routes']);
  expect(source.snapshot().generation).toBe(snapshot.generation + 1);
});

test('a watch cut in the middle of an event resumes before that event', async () => {
  await using cluster = await synced();
  await meet(cluster, { kind: 'cut' });
  await cluster.api.until(() => cluster.api.watches('ingresses') === 1);
  cluster.api.apply(ingress('shop/new'));
  await cluster.pass(() => cluster.ingresses().length === 2);
  expect(cluster.state('Ingress')).toMatchObject({ relists: 0, errors: 1 });
});

test('a watch that ends cleanly in the middle of an event resumes before that event', async () => {
  await using cluster = await synced();
  await meet(cluster, { kind: 'text', text: '{"type":"MODIFIED","object":{"metadata":{"na' });
  await cluster.api.until(() => cluster.api.watches('ingresses') === 1);
  cluster.api.endWatches('ingresses');
  await cluster.until(() => cluster.state('Ingress').errors === 1);
  expect(cluster.state('Ingress').lastError).toMatch(/the connection was cut$/);
  await cluster.pass(() => cluster.state('Ingress').lastError === null);
  expect(cluster.state('Ingress').relists).toBe(0);
});

test('a streaming list that breaks off half-way is begun again, not resumed', async () => {
  await using cluster = await watchCluster({
    objects: [ingress('shop/a'), ingress('shop/b')],
    before: (api) => {
      const first = api.store.history.find(({ last }) => last.key === 'shop/a')?.last.json;
      const text = `{"type":"ADDED","object":${first}}\nnonsense\n`;
      api.fail({ resource: 'ingresses', verb: 'watch' }, { kind: 'text', text });
    },
  });
  await cluster.until(() => cluster.state('Ingress').errors === 1);
  expect(cluster.state('Ingress').synced).toBe(false);
  await cluster.pass(() => cluster.state('Ingress').synced);
  expect(cluster.ingresses()).toEqual(['shop/a@401', 'shop/b@402']);
  expect(requestsOf(cluster, 'watch').map(({ query }) => query.get('resourceVersion'))).toEqual([null, null]);
});

test.each([
  ['a line that is not JSON', 'garbage\n'],
  ['a line of HTML', '<html>502 Bad Gateway</html>\n'],
  ['JSON that is no event', '[1]\n'],
  ['null', 'null\n'],
  ['an event without an object', '{"type":"ADDED"}\n'],
  [
    'an event without a resourceVersion',
    '{"type":"ADDED","object":{"metadata":{"name":"x","namespace":"y"}}}\n',
  ],
  ['an event of an unknown type', '{"type":"SURPRISE","object":{"metadata":{"resourceVersion":"9"}}}\n'],
  [
    'an error as an event',
    '{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd is away"}}\n',
  ],
  ['half a character', '"\xff\xc3\n'],
])('%s in a watch: resumes without listing', async (_what, text) => {
  await using cluster = await synced();
  await meet(cluster, { kind: 'text', text });
  await cluster.until(() => cluster.state('Ingress').errors === 1);
  cluster.api.apply(ingress('shop/new'));
  await cluster.pass(() => cluster.ingresses().length === 2);
  expect(cluster.state('Ingress')).toMatchObject({ relists: 0, lastError: null });
  expect(cluster.ingresses()).toEqual(['shop/new@402', 'shop/web@401']);
});

test('invalid answers again and again: the resourceVersion itself is given up', async () => {
  await using cluster = await synced();
  cluster.api.fail(
    { resource: 'ingresses', verb: 'watch', when: ({ query }) => query.has('resourceVersion'), times: 3 },
    { kind: 'text', text: 'garbage\n' },
  );
  cluster.api.endWatches();
  await cluster.pass(() => cluster.state('Ingress').relists === 1);
  expect(cluster.ingresses()).toEqual(['shop/web@401']);
});

test('a line beyond the limit is not kept: lists again, in pages', async () => {
  await using cluster = await synced();
  await meet(cluster, { kind: 'text', text: 'x'.repeat(9 * 1024 * 1024) });
  await cluster.pass(() => cluster.state('Ingress').relists === 1);
  expect(requestsOf(cluster, 'list')).toHaveLength(1);
  expect(cluster.logs.map(({ message }) => message)).toContain(
    'a line of the watch is longer than 8388608 bytes',
  );
  cluster.api.apply(ingress('shop/new'));
  await cluster.until(() => cluster.ingresses().length === 2);
});

test('a watch that falls silent is given up after two and a half minutes, and resumed', async () => {
  await using cluster = await synced();
  const { api, clock } = cluster;
  await meet(cluster, { kind: 'silent' });
  await api.until(() => api.watches('ingresses') === 1);
  api.apply(ingress('shop/missed'));
  await cluster.until(() => clock.pending().length === 5 && (clock.pending()[0] ?? 0) > 100_000);
  await cluster.advance(149_000);
  expect(cluster.state('Ingress').errors).toBe(0);
  await cluster.advance(1000);
  await cluster.until(() => cluster.state('Ingress').errors === 1);
  expect(cluster.state('Ingress').lastError).toContain('no data for 150 s');
  await cluster.pass(() => cluster.ingresses().length === 2);
  expect(cluster.state('Ingress').relists).toBe(0);
});

test('watches that stay silent: what they do not bring is listed', async () => {
  await using cluster = await synced();
  const { api, clock } = cluster;
  await meet(cluster, { kind: 'silent' });
  api.fail({ resource: 'ingresses', verb: 'watch', times: 3 }, { kind: 'silent' });
  api.apply(ingress('shop/missed'));
  for (const wait of [150_000, 150_000, 30_000]) {
    await cluster.until(() => clock.pending().includes(wait) && api.watches('ingresses') === 1);
    await cluster.advance(wait);
    await cluster.pass(() => api.watches('ingresses') === 1);
  }
  await cluster.pass(() => cluster.ingresses().length === 2);
  expect(requestsOf(cluster, 'list')).toHaveLength(1);
});

test('a watch that ends after a while without a word is resumed at once', async () => {
  await using cluster = await synced();
  const { api } = cluster;
  await meet(cluster, { kind: 'silent' });
  await api.until(() => api.watches('ingresses') === 1);
  const before = requestsOf(cluster, 'watch').length;
  await cluster.advance(20_000);
  api.endWatches();
  await cluster.until(() => requestsOf(cluster, 'watch').length > before);
  expect(cluster.state('Ingress').errors).toBe(0);
});

test('a list that is never answered is asked again', async () => {
  await using cluster = await watchCluster({
    objects: [ingress('shop/web')],
    streamingList: false,
    before: (api) => void api.fail({ resource: 'ingresses', verb: 'list' }, { kind: 'hang' }),
  });
  const { api, source } = cluster;
  await api.until(() => requestsOf(cluster, 'list').length === 1);
  await cluster.until(() => source.states().filter(({ synced }) => synced).length === 4);
  await cluster.advance(30_000);
  await cluster.until(() => cluster.state('Ingress').errors === 1);
  await cluster.pass(() => cluster.state('Ingress').synced);
  await source.synced;
  expect(cluster.ingresses()).toEqual(['shop/web@401']);
});

test.each(['http', 'h2'] as const)(
  'a server that goes away and comes back, over %s: nothing is lost',
  async (protocol) => {
    await using cluster = await watchOverSockets(protocol, { objects: [ingress('shop/web')] });
    const { api, source } = cluster;
    await source.synced;
    await api.until(() => api.watches() === 5);
    const snapshot = source.snapshot();
    await api.refuse();
    await until(() => source.states().every(({ errors }) => errors >= 2));
    expect(cluster.state('Service').lastError).toMatch(
      /127\..*connection refused; is the API server running/,
    );
    expect(source.snapshot()).toBe(snapshot);
    api.apply(ingress('shop/new'));
    api.delete('Ingress', 'shop/web');
    await api.accept();
    await until(() => cluster.ingresses().join() === 'shop/new@402');
    expect(source.states().map(({ relists }) => relists)).toEqual([0, 0, 0, 0, 0]);
  },
);

test('a server that is away at the start is waited for', async () => {
  await using cluster = await watchCluster({ objects: [ingress('shop/web')], before: (api) => api.refuse() });
  const { api, source } = cluster;
  await cluster.until(() => source.states().every(({ errors }) => errors === 1));
  await api.accept();
  await cluster.pass(() => source.states().every(({ synced }) => synced));
  await source.synced;
  expect(cluster.ingresses()).toEqual(['shop/web@401']);
});

test.each([
  ['reset', { kind: 'reset' }, /the connection was cut/],
  [
    '500',
    { kind: 'status', status: 500, message: 'etcdserver: leader changed' },
    /500: etcdserver: leader changed/,
  ],
  [
    'HTML',
    { kind: 'body', status: 200, contentType: 'text/html', body: '<html>' },
    /sent a list that is not JSON/,
  ],
  [
    'no list',
    { kind: 'body', status: 200, contentType: 'application/json', body: '{"items":3}' },
    /is not a list/,
  ],
  [
    '404 in plain text',
    { kind: 'body', status: 404, contentType: 'text/plain', body: '404 page not found\n' },
    /404: 404 page not found$/,
  ],
] satisfies [string, Fault, RegExp][])(
  'a list answered with %s is asked again',
  async (_what, fault, message) => {
    await using cluster = await watchCluster({
      objects: [ingress('shop/web')],
      streamingList: false,
      before: (api) => void api.fail({ resource: 'ingresses', verb: 'list' }, fault),
    });
    await cluster.until(() => cluster.state('Ingress').errors === 1);
    expect(cluster.state('Ingress').lastError).toMatch(message);
    await cluster.pass(() => cluster.state('Ingress').synced);
    await cluster.source.synced;
    expect(cluster.ingresses()).toEqual(['shop/web@401']);
  },
);

test('Retry-After is honoured, and a part of the back-off comes on top', async () => {
  await using cluster = await watchCluster({
    streamingList: false,
    before: (api) =>
      void api.fail(
        { resource: 'ingresses', verb: 'list' },
        { kind: 'status', status: 429, reason: 'TooManyRequests', retryAfterSeconds: 7 },
      ),
  });
  const { api, clock, source } = cluster;
  await cluster.until(
    () => source.states().filter(({ synced }) => synced).length === 4 && clock.pending().includes(7125),
  );
  await cluster.advance(7124);
  expect(requestsOf(cluster, 'list')).toHaveLength(1);
  await cluster.advance(1);
  await api.until(() => requestsOf(cluster, 'list').length === 2);
  await source.synced;
});

test('a listener that throws is logged, and watching goes on', async () => {
  await using cluster = await synced({
    onDirty: () => {
      throw new Error('no compiler today');
    },
  });
  cluster.api.apply(ingress('shop/new'));
  await cluster.until(() => cluster.ingresses().length === 2);
  cluster.api.apply(ingress('shop/third'));
  await cluster.until(() => cluster.ingresses().length === 3);
  const errors = cluster.logs.filter(({ level }) => level === 'error');
  expect(errors.map(({ fields }) => `${fields['err']}`)).toEqual(Array(3).fill('Error: no compiler today'));
});

test.each([true, false])(
  'a mistake of ours while taking in an object ends nothing, streaming %s',
  async (streamingList) => {
    let broken = true;
    await using cluster = await watchCluster({
      objects: [ingress('shop/web'), ingress('odd/web')],
      streamingList,
      source: {
        watchNamespaces: (namespace) => {
          if (broken && namespace === 'odd') throw new Error('a glob that breaks');
          return true;
        },
      },
    });
    await cluster.until(() => cluster.state('Ingress').errors === 1);
    broken = false;
    await cluster.pass(() => cluster.state('Ingress').synced);
    expect(cluster.ingresses()).toEqual(['odd/web@402', 'shop/web@401']);
  },
);

test('a server that is away is said once, not by every kind', async () => {
  await using cluster = await synced();
  await cluster.api.refuse();
  await cluster.pass(() => cluster.source.states().every(({ errors }) => errors >= 3));
  const refused = cluster.logs.filter(
    ({ level, message }) => level === 'warn' && message.includes('connection refused'),
  );
  expect(refused).toHaveLength(1);
});

test('a history that is forgotten at once, again and again, is not asked for in a tight loop', async () => {
  await using cluster = await synced();
  const { api, clock } = cluster;
  api.fail(
    { resource: 'ingresses', verb: 'watch', when: ({ query }) => query.has('resourceVersion'), times: 3 },
    { kind: 'expired' },
  );
  const waits = new Set<number>();
  for (let relists = 1; relists <= 3; relists++) {
    await api.until(() => api.watches('ingresses') === 1);
    api.endWatches('ingresses');
    await cluster.pass(() => {
      for (const wait of clock.pending()) waits.add(wait);
      return cluster.state('Ingress').relists === relists;
    });
  }
  expect([...waits]).toEqual(expect.arrayContaining([3000, 6000, 12_000]));
});
