import { expect, test } from 'vitest';
import type { FaultRule } from '../support/api-server.ts';
import {
  type Replica,
  OUR_CLASS,
  type PublisherHarness,
  ingressOf,
  startPublisherHarness,
} from './fixture.ts';

const LEASES: FaultRule = { resource: 'leases', times: Infinity };

/** Three publishers, and somebody who changes the Ingresses all the time, so that the leader has to write. */
async function openContest(): Promise<{
  harness: PublisherHarness;
  replicas: Replica[];
  contest: (ms: number) => Promise<void>;
}> {
  const harness = await startPublisherHarness({ objects: [OUR_CLASS, ingressOf('shop/web', 'portico')] });
  const replicas = [
    await harness.addReplica('a'),
    await harness.addReplica('b'),
    await harness.addReplica('c'),
  ];
  let n = 0;
  const contest = async (ms: number): Promise<void> => {
    const end = harness.clock.wallMs() + ms;
    await harness.until(() => {
      const leading = replicas.filter(({ publisher }) => publisher.leading()).map(({ name }) => name);
      if (leading.length > 1) throw new Error(`${leading.join(' and ')} lead at once`);
      if (n++ % 20 === 0) harness.api.apply(ingressOf('shop/web', 'portico', '192.0.2.1'));
      return harness.clock.wallMs() >= end;
    });
  };
  return { harness, replicas, contest };
}

function leaderOf(replicas: readonly Replica[]): Replica {
  const leader = replicas.find(({ publisher }) => publisher.leading());
  if (!leader) throw new Error('nobody leads');
  return leader;
}

test('three electors: exactly one leads and writes, for as long as nothing happens', async () => {
  const { harness, replicas, contest } = await openContest();
  await using _ = harness;
  await contest(10_000);
  const leader = leaderOf(replicas);
  await contest(60_000);
  expect(leaderOf(replicas)).toBe(leader);
  expect(harness.writes().length).toBeGreaterThan(3);
});

test('the leader is killed: another leads within 20 seconds, and not before its Lease is over', async () => {
  const { harness, replicas, contest } = await openContest();
  await using _ = harness;
  await contest(10_000);
  const leader = leaderOf(replicas);
  await leader.kill();
  const rest = replicas.filter((member) => member !== leader);
  await contest(12_000);
  expect(rest.filter(({ publisher }) => publisher.leading())).toEqual([]);
  await contest(10_000);
  expect(rest).toContain(leaderOf(rest));
});

test('the leader is paused for a minute: another leads, and the one that wakes writes nothing', async () => {
  const { harness, replicas, contest } = await openContest();
  await using _ = harness;
  await contest(10_000);
  const leader = leaderOf(replicas);
  leader.clock.pause();
  await contest(60_000);
  const next = leaderOf(replicas);
  expect(next).not.toBe(leader);
  const terms = leader.logLines.length;
  leader.clock.resume();
  await contest(20_000);
  expect(leaderOf(replicas)).toBe(next);
  expect(leader.logLines.slice(terms)).toEqual([
    'no longer the leader: publishing stops',
    `${next.name} publishes to the cluster`,
  ]);
});

test.each([86_400_000, -86_400_000])(
  'every clock but one jumps by %d ms: the leader stays or another leads, never two',
  async (byMs) => {
    const { harness, replicas, contest } = await openContest();
    await using _ = harness;
    await contest(10_000);
    const [first, second] = replicas;
    first?.clock.jump(byMs);
    second?.clock.jump(byMs);
    await contest(60_000);
    expect(replicas).toContain(leaderOf(replicas));
  },
);

test.each([
  ['errors', { kind: 'status', status: 500 }],
  ['too many requests', { kind: 'status', status: 429, retryAfterSeconds: 1 }],
  [
    'a proxy that speaks HTML',
    { kind: 'body', status: 200, contentType: 'text/html', body: '<h1>hello</h1>' },
  ],
  ['resets', { kind: 'reset' }],
] as const)(
  'the API server answers Leases with %s: the leader steps down, and one leads when it is over',
  async (_name, fault) => {
    const { harness, replicas, contest } = await openContest();
    await using _ = harness;
    await contest(10_000);
    const end = harness.api.fail(LEASES, fault);
    await contest(15_000);
    expect(replicas.filter(({ publisher }) => publisher.leading())).toEqual([]);
    end();
    await contest(30_000);
    expect(replicas).toContain(leaderOf(replicas));
  },
);

test('a storm of conflicts ends with one leader', async () => {
  const { harness, replicas, contest } = await openContest();
  await using _ = harness;
  let n = 0;
  const when: FaultRule['when'] = ({ method }) => method !== 'GET' && n++ % 3 !== 0;
  const end = harness.api.fail({ ...LEASES, when }, { kind: 'status', status: 409, reason: 'Conflict' });
  await contest(120_000);
  end();
  await contest(20_000);
  expect(replicas).toContain(leaderOf(replicas));
});
