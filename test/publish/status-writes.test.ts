import { expect, test } from 'vitest';
import { OTHER_CLASS, OUR_CLASS, ingressOf, startPublisherHarness } from './fixture.ts';

test('an Ingress whose class is not there is not served, and gets its status when the class comes', async () => {
  await using harness = await startPublisherHarness({ objects: [ingressOf('shop/web', 'portico')] });
  const { compilation } = await harness.addReplica('a');
  await harness.advance(10_000);
  expect(compilation()?.claims.size).toBe(1);
  expect(harness.status('shop/web')).toBe('');
  harness.api.apply(OUR_CLASS);
  await harness.until(() => harness.status('shop/web') === '203.0.113.7');
});

test('what somebody else writes into our status is put right, and a new Ingress gets its own', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ingressOf('shop/web', 'portico', '203.0.113.7')],
  });
  await harness.addReplica('a');
  await harness.advance(5_000);
  harness.api.apply(ingressOf('shop/web', 'portico', '198.51.100.9'));
  harness.api.apply(ingressOf('shop/new', 'portico'));
  await harness.until(() => harness.writes().length === 2);
  expect(['web', 'new'].map((name) => harness.status(`shop/${name}`))).toEqual([
    '203.0.113.7',
    '203.0.113.7',
  ]);
});

test('while nothing changes nothing is looked at, and of many changes within half a second the last', async () => {
  await using harness = await startPublisherHarness({ objects: [OUR_CLASS] });
  let looks = 0;
  const portFacts = (): null => {
    looks++;
    return null;
  };
  const { publisher } = await harness.addReplica('a', { portFacts });
  await harness.until(() => publisher.leading());
  await harness.advance(10_000);
  expect(looks).toBe(1);
  for (const name of ['a', 'b', 'c']) harness.api.apply(ingressOf(`shop/${name}`, 'portico'));
  await harness.idle();
  for (let n = 0; n < 100; n++) publisher.changed();
  await harness.until(() => harness.writes().length === 3);
  expect(looks).toBeLessThanOrEqual(3);
  await publisher.stop();
  publisher.changed();
  await harness.advance(1_000);
  expect(looks).toBeLessThanOrEqual(3);
});

test('an Ingress that moves to another class loses what we wrote, and keeps what others did', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, OTHER_CLASS, ingressOf('shop/web', 'portico'), ingressOf('shop/api', 'portico')],
  });
  const addresses = { kind: 'fixed', addresses: [{ ip: '203.0.113.7' }, { ip: '203.0.113.8' }] } as const;
  await harness.addReplica('a', { addresses });
  await harness.until(() => harness.status('shop/web') !== '' && harness.status('shop/api') !== '');
  harness.api.apply(ingressOf('shop/web', 'nginx', '203.0.113.7', '203.0.113.8'));
  harness.api.apply(ingressOf('shop/api', 'nginx', '203.0.113.8', '192.0.2.1'));
  await harness.until(() => harness.status('shop/web') === '' && harness.status('shop/api') === '192.0.2.1');
  // Later the same address, written by its new controller, is none of our business.
  harness.api.apply(ingressOf('shop/web', 'nginx', '203.0.113.7'));
  await harness.advance(30_000);
  expect(harness.status('shop/web')).toBe('203.0.113.7');
});

test('an Ingress that moved while nobody led loses its addresses to the next leader', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, OTHER_CLASS, ingressOf('shop/web', 'portico')],
  });
  const a = await harness.addReplica('a');
  await harness.until(() => a.publisher.leading() && harness.status('shop/web') !== '');
  const b = await harness.addReplica('b');
  await harness.advance(2_000);
  await a.kill();
  harness.api.apply(ingressOf('shop/web', 'nginx', '203.0.113.7'));
  await harness.until(() => b.publisher.leading() && harness.status('shop/web') === '');
  expect(harness.writes()).toHaveLength(2);
});

test('a write that crosses a change of class is refused by the server and not repeated', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, OTHER_CLASS, ingressOf('shop/web', 'portico')],
  });
  let moved = false;
  harness.api.fail(
    {
      verb: 'patch',
      when() {
        if (!moved) harness.api.apply(ingressOf('shop/web', 'nginx'));
        moved = true;
        return false;
      },
    },
    { kind: 'reset' },
  );
  await harness.addReplica('a');
  await harness.until(() => harness.writes().length === 1);
  await harness.advance(60_000);
  expect(harness.status('shop/web')).toBe('');
  expect(harness.writes()).toHaveLength(1);
});

test('two installations side by side have a leader each, and write only their own', async () => {
  const second = { ...OUR_CLASS, metadata: { name: 'second' }, spec: { controller: 'example.com/second' } };
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, second, ingressOf('shop/one', 'portico'), ingressOf('shop/two', 'second')],
  });
  const a = await harness.addReplica('a');
  const b = await harness.addReplica('b', {
    ingressClass: 'second',
    controllerName: 'example.com/second',
    addresses: { kind: 'fixed', addresses: [{ hostname: 'edge.example.com' }] },
  });
  await harness.until(() => harness.status('shop/one') !== '' && harness.status('shop/two') !== '');
  await harness.advance(20_000);
  expect([a.publisher.leading(), b.publisher.leading()]).toEqual([true, true]);
  expect([harness.status('shop/one'), harness.status('shop/two')]).toEqual([
    '203.0.113.7',
    'edge.example.com',
  ]);
  expect(harness.writes()).toHaveLength(2);
});

test('two leaders of one class replace the status of each other less and less often, and each logs why, once', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ingressOf('shop/web', 'portico')],
  });
  const a = await harness.addReplica('a', { namespace: 'one' });
  const b = await harness.addReplica('b', {
    namespace: 'two',
    addresses: { kind: 'fixed', addresses: [{ ip: '198.51.100.9' }] },
  });
  await harness.until(() => a.publisher.leading() && b.publisher.leading());
  await harness.advance(360_000);
  // Without a rest it would be several hundred times each.
  expect(harness.writes().length).toBeGreaterThan(12);
  expect(harness.writes().length).toBeLessThan(40);
  for (const [member, address] of [
    [a, '198.51.100.9'],
    [b, '203.0.113.7'],
  ] as const) {
    const logLines = member.logLines.filter((line) => line.includes('another writer keeps replacing'));
    expect(logLines).toHaveLength(1);
    expect(logLines[0]).toContain(`shop/web: another writer keeps replacing it (it is ${address} now)`);
    expect(logLines[0]).toContain('--publish-namespace');
  }
  // When the other has gone, the status is right again within the longest rest.
  await b.publisher.stop();
  const stoppedAt = harness.clock.wallMs();
  await harness.until(() => harness.status('shop/web') === '203.0.113.7');
  expect(harness.clock.wallMs() - stoppedAt).toBeLessThanOrEqual(301_000);
});

test('a follower writes nothing, takes over when the leader dies, and then writes only what differs', async () => {
  const ingresses = Array.from({ length: 20 }, (_, n) => ingressOf(`shop/web-${n}`, 'portico'));
  await using harness = await startPublisherHarness({ objects: [OUR_CLASS, ...ingresses] });
  const a = await harness.addReplica('a');
  await harness.until(() => a.publisher.leading());
  const b = await harness.addReplica('b');
  await harness.until(() => harness.writes().length === 20);
  await harness.advance(10_000);
  await a.kill();
  await harness.until(() => b.publisher.leading());
  harness.api.apply(ingressOf('shop/late', 'portico'));
  await harness.until(() => harness.status('shop/late') !== '');
  await harness.advance(10_000);
  expect(harness.writes()).toHaveLength(21);
});

test('500 Ingresses are written at a limited rate', async () => {
  const ingresses = Array.from({ length: 500 }, (_, n) => ingressOf(`shop/web-${n}`, 'portico'));
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ...ingresses],
    historyLimit: 10_000,
  });
  const a = await harness.addReplica('a');
  await harness.until(() => a.publisher.leading());
  const startedAt = harness.clock.wallMs();
  await harness.advance(10_000);
  const seconds = (harness.clock.wallMs() - startedAt) / 1_000;
  expect(harness.writes().length).toBeGreaterThan(100);
  expect(harness.writes().length).toBeLessThanOrEqual(51 + 20 * seconds);
});

test('after a restart 500 Ingresses that say what they should are not written, but for the one that does not', async () => {
  const ingresses = Array.from({ length: 500 }, (_, n) =>
    ingressOf(`shop/web-${n}`, 'portico', '203.0.113.7'),
  );
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ...ingresses],
    historyLimit: 10_000,
  });
  const a = await harness.addReplica('a');
  await harness.until(() => a.publisher.leading());
  await harness.advance(20_000);
  expect(harness.writes()).toEqual([]);
  // That nothing is written is for want of reasons, not of life.
  harness.api.apply(ingressOf('shop/web-499', 'portico'));
  await harness.until(() => harness.status('shop/web-499') === '203.0.113.7');
  await harness.advance(20_000);
  expect(harness.writes().map(({ path }) => path.split('/').at(-2))).toEqual(['web-499']);
});

test('a missing right is logged once and retried rarely; when it is granted the statuses are written', async () => {
  const ingresses = Array.from({ length: 30 }, (_, n) => ingressOf(`shop/web-${n}`, 'portico'));
  await using harness = await startPublisherHarness({ objects: [OUR_CLASS, ...ingresses] });
  const message = 'ingresses.networking.k8s.io "web" is forbidden';
  const grant = harness.api.fail(
    { resource: 'ingresses', verb: 'patch', times: 1_000 },
    { kind: 'status', status: 403, reason: 'Forbidden', message },
  );
  const a = await harness.addReplica('a');
  await harness.until(() => harness.writes().length > 0);
  await harness.advance(290_000);
  expect(harness.writes()).toHaveLength(1);
  expect(a.logLines.filter((line) => line.includes('"ingresses/status"'))).toHaveLength(1);
  expect(a.publisher.leading()).toBe(true);
  grant();
  await harness.until(() => ingresses.every((_, n) => harness.status(`shop/web-${n}`) !== ''));
  expect(a.logLines.at(-1)).toBe('Ingress status: works again');
});

test('an object that the server refuses backs off alone; the others are written', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ingressOf('shop/bad', 'portico'), ingressOf('shop/good', 'portico')],
  });
  const repair = harness.api.fail(
    { verb: 'patch', times: 1_000, when: ({ path }) => path.includes('/bad/') },
    { kind: 'status', status: 500, message: 'etcd is sad' },
  );
  const a = await harness.addReplica('a');
  await harness.until(() => harness.status('shop/good') !== '');
  await harness.advance(600_000);
  const tries = harness.writes().filter(({ path }) => path.includes('/bad/')).length;
  expect(tries).toBeGreaterThan(5);
  expect(tries).toBeLessThanOrEqual(12);
  expect(a.logLines.filter((line) => line.includes('shop/bad'))).toEqual([
    'Ingress status of shop/bad: etcd is sad',
  ]);
  repair();
  await harness.until(() => harness.status('shop/bad') !== '');
  await harness.until(() => a.logLines.at(-1) === 'Ingress status of shop/bad: works again');
});

test('of many objects that are refused one is named', async () => {
  const ingresses = Array.from({ length: 30 }, (_, n) => ingressOf(`shop/web-${n}`, 'portico'));
  await using harness = await startPublisherHarness({ objects: [OUR_CLASS, ...ingresses] });
  harness.api.fail(
    { verb: 'patch', times: Infinity },
    { kind: 'status', status: 422, message: 'a policy says no' },
  );
  const a = await harness.addReplica('a');
  await harness.advance(60_000);
  expect(harness.writes().length).toBeGreaterThan(90);
  expect(a.logLines.filter((line) => line.includes('a policy says no'))).toHaveLength(1);
});
