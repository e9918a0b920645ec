import { expect, test } from 'vitest';
import { get, ingress, meet, requestsOf, synced } from './cluster-fixture.ts';

test('a watch that ends cleanly resumes from the last bookmark, without listing', async () => {
  await using cluster = await synced({ streamingList: false });
  const { api } = cluster;
  api.store.resourceVersion = 480;
  await cluster.advance(1);
  api.bookmark();
  await cluster.until(() => cluster.state('Ingress').lastEventAt === cluster.clock.wallMs());
  api.endWatches();
  await cluster.pass(() => requestsOf(cluster, 'watch').length === 3);
  expect(requestsOf(cluster, 'watch').map(({ query }) => query.get('resourceVersion'))).toEqual([
    null,
    '401',
    '480',
  ]);
  await api.until(() => api.watches('ingresses') === 1);
  api.apply(ingress('shop/later'));
  await cluster.until(() => cluster.ingresses().length === 2);
  expect(requestsOf(cluster, 'list')).toHaveLength(1);
  expect(cluster.state('Ingress')).toMatchObject({ relists: 0, errors: 0, lastError: null });
});

test('a watch asks for bookmarks and a timeout of five to ten minutes', async () => {
  await using cluster = await synced({ streamingList: false });
  const query = requestsOf(cluster, 'watch')[0]?.query;
  expect(query?.get('allowWatchBookmarks')).toBe('true');
  expect(query?.get('timeoutSeconds')).toBe('450');
});

test.each([
  ['as an HTTP status', { kind: 'status', status: 410, reason: 'Expired' }],
  ['as an event', { kind: 'expired' }],
] as const)('410 %s: lists again, finding what was deleted and made anew meanwhile', async (_how, fault) => {
  await using cluster = await synced({
    objects: [ingress('shop/web'), ingress('shop/gone'), ingress('shop/same')],
  });
  const { api, source } = cluster;
  const uid = (): string | null | undefined => get(source.snapshot().ingresses, 'shop/web')?.metadata?.uid;
  const before = uid();
  // The watch is accepted and silent: it misses everything.
  await meet(cluster, { kind: 'silent' });
  api.delete('Ingress', 'shop/gone');
  api.delete('Ingress', 'shop/web');
  api.apply(ingress('shop/web'));
  expect(cluster.ingresses()).toEqual(['shop/gone@402', 'shop/same@403', 'shop/web@401']);
  await meet(cluster, fault);
  await cluster.pass(() => cluster.state('Ingress').relists === 1);
  expect(cluster.ingresses()).toEqual(['shop/same@403', 'shop/web@406']);
  expect(uid()).not.toBe(before);
  expect(uid()).toMatch(/^[0-9a-f-]{36}$/);
});
