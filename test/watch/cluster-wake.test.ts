import { expect, test } from 'vitest';
import type { Fault } from '../support/api-server.ts';
import { type WatchedCluster, ingress, synced } from './cluster-fixture.ts';

/** Draws that put the back-offs of the kinds as far apart as they can be. */
function spread(): () => number {
  let draws = 0;
  return () => (draws++ % 5) / 5;
}

async function lostFor(failures: number): Promise<WatchedCluster> {
  const cluster = await synced({ objects: [ingress('shop/web')], source: { random: spread() } });
  await cluster.api.refuse();
  const errors = (): number => Math.min(...cluster.source.states().map((state) => state.errors));
  await cluster.pass(() => errors() >= failures);
  return cluster;
}

const connected = ({ source }: WatchedCluster): boolean => source.states().every((state) => state.connected);

test('after an outage the first kind that is answered brings back all of them', async () => {
  await using cluster = await lostFor(8);
  const { api, clock } = cluster;
  await api.accept();
  const backoffs = clock.pending().slice(0, 5);
  expect(new Set(backoffs).size).toBe(5);
  await cluster.advance(backoffs[0] ?? 0);
  expect(connected(cluster)).toBe(true);
  expect(api.watches()).toBe(5);
});

test('a kind that is still not answered goes back to its own back-off', async () => {
  await using cluster = await lostFor(8);
  const { api, clock } = cluster;
  const away: Fault = { kind: 'status', status: 503, message: 'starting' };
  const end = api.fail({ resource: 'services', times: Infinity }, away);
  await api.accept();
  const errors = (): number => cluster.state('Service').errors;
  const before = errors();
  await cluster.advance(clock.pending()[0] ?? 0);
  expect(cluster.source.states().filter((state) => state.connected)).toHaveLength(4);
  expect(errors()).toBeLessThanOrEqual(before + 2);
  end();
  await cluster.advance(30_000);
  expect(connected(cluster)).toBe(true);
});

test('a kind that was told when to come back is not woken', async () => {
  await using cluster = await synced({ objects: [ingress('shop/web')] });
  const { api } = cluster;
  const busy: Fault = { kind: 'status', status: 429, retryAfterSeconds: 15 };
  api.fail({ resource: 'services' }, busy);
  api.endWatches('services');
  await cluster.pass(() => cluster.state('Service').errors === 1);
  api.fail({ resource: 'ingresses' }, { kind: 'reset' });
  api.endWatches('ingresses');
  await cluster.pass(() => cluster.state('Ingress').errors === 1);
  await cluster.advance(5_000);
  expect(cluster.state('Ingress').connected).toBe(true);
  expect(cluster.state('Service').connected).toBe(false);
  await cluster.advance(20_000);
  expect(cluster.state('Service').connected).toBe(true);
});

const BROKEN_OFF: Fault = { kind: 'body', status: 200, contentType: 'application/json', body: '{"type":' };

test('kinds that are answered and lost by turns do not wake one another without end', async () => {
  await using cluster = await lostFor(4);
  const { api } = cluster;
  api.fail({ verb: 'watch', times: Infinity }, BROKEN_OFF);
  await api.accept();
  const asked = api.requests.length;
  for (let ms = 0; ms < 30_000; ms += 250) await cluster.advance(250);
  // Half a minute of back-offs of five kinds, and for each one attempt in five seconds beside them.
  expect(api.requests.length - asked).toBeLessThan(5 * (12 + 6));
});
