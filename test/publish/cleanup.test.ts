import { expect, test } from 'vitest';
import { apiCallOf } from '../../src/kubernetes/api-client.ts';
import { cleanUp, type CleanupOptions } from '../../src/publish/cleanup.ts';
import { connect } from '../watch/cluster-fixture.ts';
import { OTHER_CLASS, OUR_CLASS, type Town, ingressOf, objectsOf, openTown } from './fixture.ts';

/** Runs it to its end, with time passing as it must. */
async function cleanUpIn(town: Town, more: Partial<CleanupOptions> = {}) {
  await using closing = new AsyncDisposableStack();
  const connection = town.api.memory?.connect() ?? (await connect(town.api, town.clock));
  closing.defer(() => connection.close());
  const lines: string[] = [];
  let result: Awaited<ReturnType<typeof cleanUp>> | undefined;
  const ended = cleanUp({
    call: apiCallOf(connection),
    clock: town.clock,
    write: (line) => lines.push(line),
    settings: {
      ingressClass: 'portico',
      controllerName: 'portico.dev/ingress-controller',
      watchIngressWithoutClass: false,
      defaultBackend: null,
      allowLoopback: false,
      now: 0,
    },
    namespaces: [],
    watchNamespace: () => true,
    addresses: new Set(),
    leaseNamespace: 'portico',
    leaseName: 'portico-portico',
    dryRun: false,
    ...more,
  }).then((done) => (result = done));
  await town.until(() => result !== undefined);
  await ended;
  return { result, lines };
}

/** A town where Portico ran and ended, and then Ingresses changed hands. */
async function leftTown(): Promise<Town> {
  const town = await openTown({
    objects: [
      OUR_CLASS,
      OTHER_CLASS,
      ingressOf('shop/web', 'portico'),
      ingressOf('blog/web', 'portico'),
      ingressOf('shop/theirs', 'nginx', '203.0.113.7'),
    ],
  });
  const a = await town.join('a');
  await town.until(() => town.status('shop/web') !== '' && town.status('blog/web') !== '');
  await a.publisher.stop();
  await a.kill();
  return town;
}

test('takes back the addresses and the Lease, and nothing that others wrote', async () => {
  await using town = await leftTown();
  const { result, lines } = await cleanUpIn(town);
  expect(result).toEqual({ kind: 'done', cleaned: 2, failed: 0 });
  expect(lines).toEqual([
    'Ingress blog/web: removed 203.0.113.7',
    'Ingress shop/web: removed 203.0.113.7',
    'Lease portico/portico-portico: deleted',
  ]);
  expect(['shop/web', 'blog/web', 'shop/theirs'].map(town.status)).toEqual(['', '', '203.0.113.7']);
  expect(objectsOf(town.api, 'leases')).toEqual([]);
  expect(await cleanUpIn(town)).toEqual({ result: { kind: 'done', cleaned: 0, failed: 0 }, lines: [] });
});

test('a dry run says the same and writes nothing', async () => {
  await using town = await leftTown();
  const before = town.api.requests.filter(({ method }) => method !== 'GET').length;
  const { lines } = await cleanUpIn(town, { dryRun: true });
  expect(lines).toEqual([
    'Ingress blog/web: would remove 203.0.113.7',
    'Ingress shop/web: would remove 203.0.113.7',
    'Lease portico/portico-portico: would delete it',
  ]);
  expect(town.api.requests.filter(({ method }) => method !== 'GET')).toHaveLength(before);
});

test('finds what was written to an Ingress that has another class by now', async () => {
  await using town = await leftTown();
  const moved = objectsOf(town.api, 'ingresses').find(({ metadata }) => metadata.namespace === 'blog');
  town.api.apply({ ...moved!, spec: { ...(moved!['spec'] as object), ingressClassName: 'nginx' } });
  await cleanUpIn(town);
  expect([town.status('blog/web'), town.status('shop/theirs')]).toEqual(['', '203.0.113.7']);
});

test('refuses while a Portico runs, and goes on when it was killed', async () => {
  await using town = await openTown({ objects: [OUR_CLASS, ingressOf('shop/web', 'portico')] });
  const a = await town.join('a');
  await town.until(() => town.status('shop/web') !== '');
  const { result } = await cleanUpIn(town);
  expect(result).toEqual({ kind: 'running', holder: 'a' });
  expect(town.status('shop/web')).toBe('203.0.113.7');
  await a.kill();
  expect((await cleanUpIn(town)).result).toMatchObject({ kind: 'done', cleaned: 1 });
});

test('where the server recorded no writer: all of our class, or only the addresses that are given', async () => {
  await using town = await openTown({
    objects: [
      OUR_CLASS,
      OTHER_CLASS,
      ingressOf('shop/a', 'portico', '203.0.113.7', '192.0.2.1'),
      ingressOf('shop/b', 'nginx', '203.0.113.7'),
    ],
  });
  await cleanUpIn(town, { addresses: new Set(['203.0.113.7']) });
  expect([town.status('shop/a'), town.status('shop/b')]).toEqual(['192.0.2.1', '203.0.113.7']);
  await cleanUpIn(town, { watchNamespace: (namespace) => namespace !== 'shop' });
  expect(town.status('shop/a')).toBe('192.0.2.1');
  await cleanUpIn(town, { namespaces: ['shop'] });
  expect([town.status('shop/a'), town.status('shop/b')]).toEqual(['', '203.0.113.7']);
});

test('an Ingress that cannot be patched is named, the others are cleaned', async () => {
  await using town = await leftTown();
  town.api.fail(
    { verb: 'patch', when: ({ path }) => path.includes('/blog/') },
    { kind: 'status', status: 403, message: 'not you' },
  );
  const { result, lines } = await cleanUpIn(town);
  expect(result).toEqual({ kind: 'done', cleaned: 1, failed: 1 });
  expect(lines[0]).toBe('Ingress blog/web: 203.0.113.7 stays: not you');
  expect([town.status('shop/web'), town.status('blog/web')]).toEqual(['', '203.0.113.7']);
});
