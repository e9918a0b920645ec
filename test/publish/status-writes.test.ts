import { expect, test } from 'vitest';
import { OTHER_CLASS, OUR_CLASS, ingressOf, openTown } from './fixture.ts';

test('an Ingress whose class is not there is not served, and gets its status when the class comes', async () => {
  await using town = await openTown({ objects: [ingressOf('shop/web', 'portico')] });
  const { compilation } = await town.join('a');
  await town.pass(10_000);
  expect(compilation()?.claims.size).toBe(1);
  expect(town.status('shop/web')).toBe('');
  town.api.apply(OUR_CLASS);
  await town.until(() => town.status('shop/web') === '203.0.113.7');
});

test('what somebody else writes into our status is put right, and a new Ingress gets its own', async () => {
  await using town = await openTown({
    objects: [OUR_CLASS, ingressOf('shop/web', 'portico', '203.0.113.7')],
  });
  await town.join('a');
  await town.pass(5_000);
  town.api.apply(ingressOf('shop/web', 'portico', '198.51.100.9'));
  town.api.apply(ingressOf('shop/new', 'portico'));
  await town.until(() => town.writes().length === 2);
  expect(['web', 'new'].map((name) => town.status(`shop/${name}`))).toEqual(['203.0.113.7', '203.0.113.7']);
});

test('an Ingress that moves to another class loses what we wrote, and keeps what others did', async () => {
  await using town = await openTown({
    objects: [OUR_CLASS, OTHER_CLASS, ingressOf('shop/web', 'portico'), ingressOf('shop/api', 'portico')],
  });
  const addresses = { kind: 'fixed', addresses: [{ ip: '203.0.113.7' }, { ip: '203.0.113.8' }] } as const;
  await town.join('a', { addresses });
  await town.until(() => town.status('shop/web') !== '' && town.status('shop/api') !== '');
  town.api.apply(ingressOf('shop/web', 'nginx', '203.0.113.7', '203.0.113.8'));
  town.api.apply(ingressOf('shop/api', 'nginx', '203.0.113.8', '192.0.2.1'));
  await town.until(() => town.status('shop/web') === '' && town.status('shop/api') === '192.0.2.1');
  // Later the same address, written by its new controller, is none of our business.
  town.api.apply(ingressOf('shop/web', 'nginx', '203.0.113.7'));
  await town.pass(30_000);
  expect(town.status('shop/web')).toBe('203.0.113.7');
});

test('an Ingress that moved while nobody led loses its addresses to the next leader', async () => {
  await using town = await openTown({ objects: [OUR_CLASS, OTHER_CLASS, ingressOf('shop/web', 'portico')] });
  const a = await town.join('a');
  await town.until(() => a.publisher.leading() && town.status('shop/web') !== '');
  const b = await town.join('b');
  await town.pass(2_000);
  await a.kill();
  town.api.apply(ingressOf('shop/web', 'nginx', '203.0.113.7'));
  await town.until(() => b.publisher.leading() && town.status('shop/web') === '');
  expect(town.writes()).toHaveLength(2);
});

test('a write that crosses a change of class is refused by the server and not repeated', async () => {
  await using town = await openTown({ objects: [OUR_CLASS, OTHER_CLASS, ingressOf('shop/web', 'portico')] });
  let moved = false;
  town.api.fail(
    {
      verb: 'patch',
      when() {
        if (!moved) town.api.apply(ingressOf('shop/web', 'nginx'));
        moved = true;
        return false;
      },
    },
    { kind: 'reset' },
  );
  await town.join('a');
  await town.until(() => town.writes().length === 1);
  await town.pass(60_000);
  expect(town.status('shop/web')).toBe('');
  expect(town.writes()).toHaveLength(1);
});

test('two installations side by side have a leader each, and write only their own', async () => {
  const second = { ...OUR_CLASS, metadata: { name: 'second' }, spec: { controller: 'example.com/second' } };
  await using town = await openTown({
    objects: [OUR_CLASS, second, ingressOf('shop/one', 'portico'), ingressOf('shop/two', 'second')],
  });
  const a = await town.join('a');
  const b = await town.join('b', {
    ingressClass: 'second',
    controllerName: 'example.com/second',
    addresses: { kind: 'fixed', addresses: [{ hostname: 'edge.example.com' }] },
  });
  await town.until(() => town.status('shop/one') !== '' && town.status('shop/two') !== '');
  await town.pass(20_000);
  expect([a.publisher.leading(), b.publisher.leading()]).toEqual([true, true]);
  expect([town.status('shop/one'), town.status('shop/two')]).toEqual(['203.0.113.7', 'edge.example.com']);
  expect(town.writes()).toHaveLength(2);
});

test('two of one class with a Lease each undo each other ever more seldom, and each says why, once', async () => {
  await using town = await openTown({ objects: [OUR_CLASS, ingressOf('shop/web', 'portico')] });
  const a = await town.join('a', { namespace: 'one' });
  const b = await town.join('b', {
    namespace: 'two',
    addresses: { kind: 'fixed', addresses: [{ ip: '198.51.100.9' }] },
  });
  await town.until(() => a.publisher.leading() && b.publisher.leading());
  await town.pass(360_000);
  // Without a rest it would be several hundred times each.
  expect(town.writes().length).toBeGreaterThan(12);
  expect(town.writes().length).toBeLessThan(40);
  for (const [member, address] of [
    [a, '198.51.100.9'],
    [b, '203.0.113.7'],
  ] as const) {
    const said = member.said.filter((line) => line.includes('somebody else keeps replacing'));
    expect(said).toHaveLength(1);
    expect(said[0]).toContain(
      `shop/web: somebody else keeps replacing what is written (it says ${address} now)`,
    );
    expect(said[0]).toContain('--publish-namespace');
  }
  // When the other has gone, the status is right again within the longest rest.
  await b.publisher.stop();
  const stoppedAt = town.clock.wallMs();
  await town.until(() => town.status('shop/web') === '203.0.113.7');
  expect(town.clock.wallMs() - stoppedAt).toBeLessThanOrEqual(301_000);
});

test('a follower writes nothing, takes over when the leader dies, and then writes only what differs', async () => {
  const ingresses = Array.from({ length: 20 }, (_, n) => ingressOf(`shop/web-${n}`, 'portico'));
  await using town = await openTown({ objects: [OUR_CLASS, ...ingresses] });
  const a = await town.join('a');
  await town.until(() => a.publisher.leading());
  const b = await town.join('b');
  await town.until(() => town.writes().length === 20);
  await town.pass(10_000);
  await a.kill();
  await town.until(() => b.publisher.leading());
  town.api.apply(ingressOf('shop/late', 'portico'));
  await town.until(() => town.status('shop/late') !== '');
  await town.pass(10_000);
  expect(town.writes()).toHaveLength(21);
});

test('2,000 Ingresses are written at a limited rate', async () => {
  const ingresses = Array.from({ length: 2_000 }, (_, n) => ingressOf(`shop/web-${n}`, 'portico'));
  await using town = await openTown({ objects: [OUR_CLASS, ...ingresses], historyLimit: 10_000 });
  const a = await town.join('a');
  await town.until(() => a.publisher.leading());
  const startedAt = town.clock.wallMs();
  await town.pass(10_000);
  const seconds = (town.clock.wallMs() - startedAt) / 1_000;
  expect(town.writes().length).toBeGreaterThan(100);
  expect(town.writes().length).toBeLessThanOrEqual(51 + 20 * seconds);
});

test('after a restart 10,000 Ingresses that say what they should are not written, but for the one that does not', async () => {
  const ingresses = Array.from({ length: 10_000 }, (_, n) =>
    ingressOf(`shop/web-${n}`, 'portico', '203.0.113.7'),
  );
  await using town = await openTown({ objects: [OUR_CLASS, ...ingresses], historyLimit: 10_000 });
  const a = await town.join('a');
  await town.until(() => a.publisher.leading());
  await town.pass(20_000);
  expect(town.writes()).toEqual([]);
  // That nothing is written is for want of reasons, not of life.
  town.api.apply(ingressOf('shop/web-9999', 'portico'));
  await town.until(() => town.status('shop/web-9999') === '203.0.113.7');
  await town.pass(20_000);
  expect(town.writes().map(({ path }) => path.split('/').at(-2))).toEqual(['web-9999']);
});

test('a right that is missing is said once and asked for seldom; when it comes the statuses do', async () => {
  const ingresses = Array.from({ length: 30 }, (_, n) => ingressOf(`shop/web-${n}`, 'portico'));
  await using town = await openTown({ objects: [OUR_CLASS, ...ingresses] });
  const message = 'ingresses.networking.k8s.io "web" is forbidden';
  const grant = town.api.fail(
    { resource: 'ingresses', verb: 'patch', times: 1_000 },
    { kind: 'status', status: 403, reason: 'Forbidden', message },
  );
  const a = await town.join('a');
  await town.until(() => town.writes().length > 0);
  await town.pass(290_000);
  expect(town.writes()).toHaveLength(1);
  expect(a.said.filter((line) => line.includes('"ingresses/status"'))).toHaveLength(1);
  expect(a.publisher.leading()).toBe(true);
  grant();
  await town.until(() => ingresses.every((_, n) => town.status(`shop/web-${n}`) !== ''));
  expect(a.said.at(-1)).toBe('Ingress status: works again');
});

test('an object that the server refuses backs off alone; the others are written', async () => {
  await using town = await openTown({
    objects: [OUR_CLASS, ingressOf('shop/bad', 'portico'), ingressOf('shop/good', 'portico')],
  });
  const mend = town.api.fail(
    { verb: 'patch', times: 1_000, when: ({ path }) => path.includes('/bad/') },
    { kind: 'status', status: 500, message: 'etcd is sad' },
  );
  const a = await town.join('a');
  await town.until(() => town.status('shop/good') !== '');
  await town.pass(600_000);
  const tries = town.writes().filter(({ path }) => path.includes('/bad/')).length;
  expect(tries).toBeGreaterThan(5);
  expect(tries).toBeLessThanOrEqual(12);
  expect(a.said.filter((line) => line.includes('shop/bad'))).toEqual([
    'Ingress status of shop/bad: etcd is sad',
  ]);
  mend();
  await town.until(() => town.status('shop/bad') !== '');
  await town.until(() => a.said.at(-1) === 'Ingress status of shop/bad: works again');
});

test('of many objects that are refused one is named', async () => {
  const ingresses = Array.from({ length: 30 }, (_, n) => ingressOf(`shop/web-${n}`, 'portico'));
  await using town = await openTown({ objects: [OUR_CLASS, ...ingresses] });
  town.api.fail(
    { verb: 'patch', times: Infinity },
    { kind: 'status', status: 422, message: 'a policy says no' },
  );
  const a = await town.join('a');
  await town.pass(60_000);
  expect(town.writes().length).toBeGreaterThan(90);
  expect(a.said.filter((line) => line.includes('a policy says no'))).toHaveLength(1);
});
