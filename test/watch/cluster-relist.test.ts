import { describe, expect, test } from 'vitest';
import { ClusterSource } from '../../src/watch/cluster.ts';
import type { Source } from '../../src/watch/source.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { ApiObject, Fault } from '../support/api-server.ts';
import {
  type WatchedCluster,
  openMemory,
  endpointSlice,
  get,
  ingress,
  service,
  synced,
  values,
  watchCluster,
} from './cluster-fixture.ts';

/** The Ingress of the shop, served by this Service. */
function shop(name: string): ApiObject {
  const backend = { service: { name, port: { number: 80 } } };
  const paths = [{ path: '/', pathType: 'Prefix', backend }];
  return { ...ingress('shop/web'), spec: { rules: [{ host: 'shop.test', http: { paths } }] } };
}

function backing(name: string, address: string): ApiObject[] {
  return [service(`shop/${name}`), endpointSlice(`shop/${name}-1`, name, address)];
}

const BLUE = [shop('blue'), ...backing('blue', '10.0.0.1')];

/** `blue 10.0.0.1`: where the shop is served in this snapshot. */
function served(snapshot: Snapshot): string {
  const [rule] = get(snapshot.ingresses, 'shop/web')?.spec?.rules ?? [];
  const name = rule?.http?.paths?.[0]?.backend?.service?.name ?? '';
  if (!get(snapshot.services, `shop/${name}`)) return 'a Service that is not there';
  const slices = get(snapshot.slicesByService, `shop/${name}`) ?? [];
  const addresses = slices.flatMap(({ endpoints }) =>
    (endpoints ?? []).flatMap((each) => each.addresses ?? []),
  );
  return `${name} ${addresses.join()}`;
}

/** Every place from which the shop was ever served, in the order in which it was. */
async function observed(
  objects: readonly ApiObject[],
  streamingList = true,
): Promise<WatchedCluster & { places: string[] }> {
  const places: string[] = [];
  const look = (): void => {
    const place = served(cluster.source.snapshot());
    if (places.at(-1) !== place) places.push(place);
  };
  const cluster = await watchCluster({ objects, streamingList, onDirty: look });
  await cluster.source.synced;
  await cluster.api.until(() => cluster.api.watches() === 5);
  return Object.assign(cluster, { places });
}

describe('410 on watches that are open', () => {
  test('every node lists again at a moment of its own, and serves what it has until then', async () => {
    const NODES = 10;
    const { api, connection, clock, ...waits } = await openMemory({ objects: BLUE });
    const dirty: number[] = [];
    const sources: Source[] = Array.from(
      { length: NODES },
      (_, node) =>
        new ClusterSource(
          { api: connection, watchNamespaces: () => true, clock, random: () => node / NODES, log: () => {} },
          () => dirty.push(node),
        ),
    );
    await Promise.all(sources.map((source) => source.synced));
    await api.until(() => api.watches() === 5 * NODES);
    const before = sources.map((source) => source.snapshot());
    dirty.length = 0;
    // Long after the first list: this is no server that forgets what it has just said.
    await waits.advance(60_000);

    const asked = api.requests.length;
    api.expireWatches();
    await waits.until(() => clock.pending().filter((delayMs) => delayMs < 2_000).length === 5 * NODES - 5);
    // The draw of the first node is 0: it alone lists at once.
    await waits.until(() => api.requests.length === asked + 5);
    expect(sources.map((source) => served(source.snapshot()))).toEqual(Array(NODES).fill('blue 10.0.0.1'));
    for (let node = 1; node < NODES; node++) {
      await waits.advance(2_000 / NODES);
      await waits.until(() => api.requests.length === asked + 5 * (node + 1));
    }
    await waits.until(() => sources.every((each) => each.states().every(({ relists }) => relists === 1)));
    // Nothing was lost or changed hands in between.
    expect(sources.map((source) => source.snapshot())).toEqual(before);
    expect(dirty).toEqual([]);
    for (const source of sources) await source.stop();
    connection.close();
  });

  test('while one kind waits for its relist, routes wait for it and endpoints do not', async () => {
    await using cluster = await observed(BLUE);
    const { api, source, places, clock } = cluster;
    await cluster.advance(20_000);
    api.expireWatches('services');
    await cluster.until(() => !clock.pending().every((delayMs) => delayMs > 2_000));
    for (const object of [shop('green'), ...backing('green', '10.0.0.2')]) api.apply(object);
    api.apply(endpointSlice('shop/blue-1', 'blue', '10.0.0.9'));
    await cluster.until(() => served(source.snapshot()) === 'blue 10.0.0.9');
    await cluster.pass(() => served(source.snapshot()) === 'green 10.0.0.2');
    expect(places).toEqual(['blue 10.0.0.1', 'blue 10.0.0.9', 'green 10.0.0.2']);
  });
});

const AWAY: Fault = { kind: 'status', status: 503, message: 'the server is starting' };

describe.each([true, false])('an API server that comes back, streaming lists %s', (streamingList) => {
  test.each(['services', 'endpointslices', 'ingresses'])(
    'and does not answer for %s yet: a route goes to another Service in one step',
    async (resource) => {
      await using cluster = await observed(BLUE, streamingList);
      const { api, source, places } = cluster;
      await api.refuse();
      for (const object of [shop('green'), ...backing('green', '10.0.0.2')]) api.apply(object);
      const errors = (): number => source.states().reduce((sum, each) => sum + each.errors, 0);
      await cluster.pass(() => errors() >= 10);
      api.compact();
      const end = api.fail({ resource, times: Infinity }, AWAY);
      await api.accept();
      const others = { services: 'Service', endpointslices: 'EndpointSlice', ingresses: 'Ingress' };
      await cluster.pass(() =>
        source
          .states()
          .every(({ kind, relists }) => relists === 1 || kind === others[resource as keyof typeof others]),
      );
      expect(served(source.snapshot())).toBe('blue 10.0.0.1');
      end();
      await cluster.pass(() => served(source.snapshot()) === 'green 10.0.0.2');
      expect(places).toEqual(['blue 10.0.0.1', 'green 10.0.0.2']);
    },
  );
});

test('lists that break off after a page, in a body, and for an expired token take nothing away', async () => {
  const others = Array.from({ length: 1_100 }, (_, n) => ingress(`more/web-${n}`, `host-${n}.test`));
  await using cluster = await observed([...BLUE, ...others], false);
  const { api, source, places } = cluster;
  await cluster.advance(20_000);
  let fewest = Infinity;
  const paged = { resource: 'ingresses', verb: 'list' as const };
  const followed = { ...paged, when: ({ query }: { query: URLSearchParams }) => query.has('continue') };
  // A page of which half arrives, the page after it, its token, and the list in one piece that follows.
  api.fail(paged, { kind: 'cut' });
  api.fail(followed, { kind: 'reset' });
  api.fail(followed, { kind: 'status', status: 410, reason: 'Expired' });
  api.fail({ ...paged, when: ({ query }) => !query.has('limit') }, { kind: 'cut' });
  api.delete('Ingress', 'more/web-7');
  await cluster.until(() => source.snapshot().ingresses.size === 1_100);
  api.expireWatches('ingresses');
  await cluster.pass(() => {
    fewest = Math.min(fewest, [...values(source.snapshot().ingresses)].length);
    return cluster.state('Ingress').relists === 1;
  });
  const lists = api.requests.filter(({ verb, resource }) => verb === 'list' && resource === 'ingresses');
  const pages = lists
    .slice(3)
    .map(({ query }) => (query.has('limit') ? (query.has('continue') ? 'next' : 'first') : 'all'));
  expect(pages).toEqual(['first', 'first', 'next', 'first', 'next', 'all', 'first', 'next', 'next']);
  expect(cluster.state('Ingress').errors).toBe(3);
  expect(fewest).toBe(1_100);
  expect(places).toEqual(['blue 10.0.0.1']);
});

test('a kind that stays away is waited for once, for a minute, and named', async () => {
  await using cluster = await synced({ objects: BLUE });
  const { api, source, clock, logs } = cluster;
  const end = api.fail({ resource: 'services', times: Infinity }, AWAY);
  api.endWatches('services');
  await cluster.pass(() => cluster.state('Service').errors === 1);
  api.apply(ingress('shop/next'));
  await cluster.until(() => clock.pending().includes(60_000));
  // In steps, so that every attempt to list Services on the way is made and fails.
  for (let ms = 0; ms < 59_000; ms += 250) await cluster.advance(250);
  expect(source.snapshot().ingresses.size).toBe(1);
  await cluster.advance(1_000);
  expect(source.snapshot().ingresses.size).toBe(2);
  const said = () =>
    logs.filter(({ message }) => message.startsWith('Service could not be read again for 60 s'));
  expect(said().map(({ level }) => level)).toEqual(['warn']);
  // Now that it is known, what follows does not wait.
  api.apply(ingress('shop/third'));
  await cluster.until(() => source.snapshot().ingresses.size === 3);
  end();
  // The back-off has grown beyond what is cut short otherwise.
  await cluster.advance(30_000);
  await cluster.until(() => cluster.state('Service').connected && api.watches('services') === 1);
  await cluster.advance(10_000);
  api.fail({ resource: 'services', times: Infinity }, AWAY);
  api.endWatches('services');
  await cluster.pass(() => !cluster.state('Service').connected);
  api.apply(ingress('shop/fourth'));
  await cluster.until(() => clock.pending().includes(60_000));
  expect(source.snapshot().ingresses.size).toBe(3);
  expect(said()).toHaveLength(1);
});
