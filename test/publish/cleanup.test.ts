import { expect, test } from 'vitest';
import { apiCallOf } from '../../src/kubernetes/api-client.ts';
import { cleanUp, type CleanupOptions } from '../../src/publish/remove-published.ts';
import { connect } from '../watch/cluster-fixture.ts';
import {
  OTHER_CLASS,
  OUR_CLASS,
  type PublisherHarness,
  ingressOf,
  objectsOf,
  startPublisherHarness,
} from './fixture.ts';

/** Runs it to its end, with time passing as it must. */
async function cleanUpIn(harness: PublisherHarness, more: Partial<CleanupOptions> = {}) {
  await using closing = new AsyncDisposableStack();
  const connection = harness.api.memory?.connect() ?? (await connect(harness.api, harness.clock));
  closing.defer(() => connection.close());
  const lines: string[] = [];
  let result: Awaited<ReturnType<typeof cleanUp>> | undefined;
  const ended = cleanUp({
    call: apiCallOf(connection),
    clock: harness.clock,
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
  await harness.until(() => result !== undefined);
  await ended;
  return { result, lines };
}

/** A cluster where Portico ran and ended, and then Ingresses changed hands. */
async function leftTown(): Promise<PublisherHarness> {
  const harness = await startPublisherHarness({
    objects: [
      OUR_CLASS,
      OTHER_CLASS,
      ingressOf('shop/web', 'portico'),
      ingressOf('blog/web', 'portico'),
      ingressOf('shop/theirs', 'nginx', '203.0.113.7'),
    ],
  });
  const a = await harness.addReplica('a');
  await harness.until(() => harness.status('shop/web') !== '' && harness.status('blog/web') !== '');
  await a.publisher.stop();
  await a.kill();
  return harness;
}

test('takes back the addresses and the Lease, and nothing that others wrote', async () => {
  await using harness = await leftTown();
  const { result, lines } = await cleanUpIn(harness);
  expect(result).toEqual({ kind: 'done', cleaned: 2, failed: 0 });
  expect(lines).toEqual([
    'Ingress blog/web: removed 203.0.113.7',
    'Ingress shop/web: removed 203.0.113.7',
    'Lease portico/portico-portico: deleted',
  ]);
  expect(['shop/web', 'blog/web', 'shop/theirs'].map(harness.status)).toEqual(['', '', '203.0.113.7']);
  expect(objectsOf(harness.api, 'leases')).toEqual([]);
  expect(await cleanUpIn(harness)).toEqual({ result: { kind: 'done', cleaned: 0, failed: 0 }, lines: [] });
});

test('a dry run says the same and writes nothing', async () => {
  await using harness = await leftTown();
  const before = harness.api.requests.filter(({ method }) => method !== 'GET').length;
  const { lines } = await cleanUpIn(harness, { dryRun: true });
  expect(lines).toEqual([
    'Ingress blog/web: would remove 203.0.113.7',
    'Ingress shop/web: would remove 203.0.113.7',
    'Lease portico/portico-portico: would delete it',
  ]);
  expect(harness.api.requests.filter(({ method }) => method !== 'GET')).toHaveLength(before);
});

test('finds what was written to an Ingress that has another class by now', async () => {
  await using harness = await leftTown();
  const moved = objectsOf(harness.api, 'ingresses').find(({ metadata }) => metadata.namespace === 'blog');
  harness.api.apply({ ...moved!, spec: { ...(moved!['spec'] as object), ingressClassName: 'nginx' } });
  await cleanUpIn(harness);
  expect([harness.status('blog/web'), harness.status('shop/theirs')]).toEqual(['', '203.0.113.7']);
});

test('refuses while a Portico runs, and goes on when it was killed', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ingressOf('shop/web', 'portico')],
  });
  const a = await harness.addReplica('a');
  await harness.until(() => harness.status('shop/web') !== '');
  const { result } = await cleanUpIn(harness);
  expect(result).toEqual({ kind: 'running', holder: 'a' });
  expect(harness.status('shop/web')).toBe('203.0.113.7');
  await a.kill();
  expect((await cleanUpIn(harness)).result).toMatchObject({ kind: 'done', cleaned: 1 });
});

test('where the server recorded no writer: all of our class, or only the addresses that are given', async () => {
  await using harness = await startPublisherHarness({
    objects: [
      OUR_CLASS,
      OTHER_CLASS,
      ingressOf('shop/a', 'portico', '203.0.113.7', '192.0.2.1'),
      ingressOf('shop/b', 'nginx', '203.0.113.7'),
    ],
  });
  await cleanUpIn(harness, { addresses: new Set(['203.0.113.7']) });
  expect([harness.status('shop/a'), harness.status('shop/b')]).toEqual(['192.0.2.1', '203.0.113.7']);
  await cleanUpIn(harness, { watchNamespace: (namespace) => namespace !== 'shop' });
  expect(harness.status('shop/a')).toBe('192.0.2.1');
  await cleanUpIn(harness, { namespaces: ['shop'] });
  expect([harness.status('shop/a'), harness.status('shop/b')]).toEqual(['', '203.0.113.7']);
});

test('an Ingress that cannot be patched is named, the others are cleaned', async () => {
  await using harness = await leftTown();
  harness.api.fail(
    { verb: 'patch', when: ({ path }) => path.includes('/blog/') },
    { kind: 'status', status: 403, message: 'not you' },
  );
  const { result, lines } = await cleanUpIn(harness);
  expect(result).toEqual({ kind: 'done', cleaned: 1, failed: 1 });
  expect(lines[0]).toBe('Ingress blog/web: 203.0.113.7 stays: not you');
  expect([harness.status('shop/web'), harness.status('blog/web')]).toEqual(['', '203.0.113.7']);
});
