import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { LEASE_TIMES } from '../../src/publish/lease.ts';
import { Elector } from '../../src/publish/leader.ts';
import type { Leadership } from '../../src/publish/leadership.ts';
import { sleep } from '../../src/kubernetes/clock.ts';
import { SimulatedApi, SimulatedProcess, type FaultModel, World, settled } from './simulation.ts';
import { examples } from '../support/examples.ts';

const FAIR: FaultModel = { toServerMs: 5, toClientMs: 5, fault: 'none' };

interface Candidate {
  readonly name: string;
  readonly process: SimulatedProcess;
  readonly elector: Elector;
  readonly logLines: string[];
  terms: number;
}

/** Writes as fast as it may for as long as it leads. */
async function writeAlong(leadership: Leadership, process: SimulatedProcess): Promise<void> {
  while (!leadership.signal.aborted) {
    const request = { method: 'PATCH', path: '/status', body: {}, signal: leadership.signal } as const;
    await leadership.call(request).catch(() => {});
    await sleep(process, 1_000, leadership.signal);
  }
}

function stand(name: string, process: SimulatedProcess, api: SimulatedApi, random = () => 0.5): Candidate {
  const logLines: string[] = [];
  const elector = new Elector({
    call: api.callFrom(process),
    clock: process,
    random,
    log: (_level, message) => logLines.push(message),
    identity: name,
    namespace: 'portico',
    leaseName: 'portico-portico',
    times: LEASE_TIMES,
    onLead: (leadership) => {
      candidate.terms++;
      void writeAlong(leadership, process);
    },
  });
  const candidate: Candidate = { name, process, elector, logLines, terms: 0 };
  return candidate;
}

/** Fails as soon as two processes would write, or one writes while another leads. */
function invariant(world: World, api: SimulatedApi, candidates: readonly Candidate[]): () => void {
  api.onWrite = ({ by }) => {
    const others = candidates.filter(({ process, elector }) => process !== by && elector.leading());
    if (others.length > 0) throw new Error(`at ${world.nowMs} ms a write while ${others[0]?.name} leads`);
  };
  return () => {
    const leading = candidates.filter(({ process, elector }) => !process.killed && elector.leading());
    if (leading.length > 1) {
      throw new Error(`at ${world.nowMs} ms: ${leading.map(({ name }) => name).join(' and ')} lead`);
    }
  };
}

function holder(api: SimulatedApi): unknown {
  return api.lease?.spec['holderIdentity'];
}

test('one of two is elected, renews, and the other takes over when it is killed, after the Lease expired', async () => {
  const world = new World();
  const api = new SimulatedApi(world, () => FAIR);
  const a = stand('a', new SimulatedProcess(world), api);
  await world.until(1_000);
  const b = stand('b', new SimulatedProcess(world), api);
  const check = invariant(world, api, [a, b]);
  await world.until(60_000, check);
  expect([a.elector.leading(), b.elector.leading(), a.terms, b.terms]).toEqual([true, false, 1, 0]);
  expect(api.lease?.spec).toMatchObject({
    holderIdentity: 'a',
    leaseDurationSeconds: 15,
    leaseTransitions: 0,
  });
  expect(api.lease?.spec['renewTime']).toMatch(/^2026-01-01T00:00:5\d\.\d{6}Z$/);
  expect(b.logLines).toEqual(['a publishes to the cluster']);

  a.process.killed = true;
  const killedAt = world.nowMs;
  await world.until(killedAt + 13_000, check);
  expect(b.elector.leading()).toBe(false);
  await world.until(killedAt + 22_000, check);
  expect(b.elector.leading()).toBe(true);
  expect(api.lease?.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
});

test('a clean exit gives the Lease back, and the other need not wait', async () => {
  const world = new World();
  const api = new SimulatedApi(world, () => FAIR);
  const a = stand('a', new SimulatedProcess(world), api);
  await world.until(1_000);
  const b = stand('b', new SimulatedProcess(world), api);
  const check = invariant(world, api, [a, b]);
  await world.until(10_000, check);
  let stopped = false;
  void a.elector.stop().then(() => (stopped = true));
  await world.until(10_100, check);
  expect(stopped).toBe(true);
  expect(api.lease?.spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 });
  await world.until(15_000, check);
  expect(b.elector.leading()).toBe(true);
  expect(a.elector.leading()).toBe(false);
});

test('the longer one leads the less often others look, and it is still noticed when it falls silent', async () => {
  for (const killedAtMs of [303_000, 307_000, 311_000, 315_000]) {
    const world = new World();
    const api = new SimulatedApi(world, () => FAIR);
    const a = stand('a', new SimulatedProcess(world), api);
    await world.until(1_000);
    const b = stand('b', new SimulatedProcess(world), api, () => 0.999);
    const check = invariant(world, api, [a, b]);
    await world.until(20_000, check);
    expect(api.reads.get(b.process)).toBeGreaterThan(3);
    await world.until(60_000, check);
    const before = api.reads.get(b.process) ?? 0;
    await world.until(300_000, check);
    const reads = (api.reads.get(b.process) ?? 0) - before;
    expect(reads).toBeGreaterThanOrEqual(13);
    expect(reads).toBeLessThanOrEqual(16);

    await world.until(killedAtMs, check);
    a.process.killed = true;
    await world.until(killedAtMs + 12_900, check);
    expect(b.elector.leading()).toBe(false);
    await world.until(killedAtMs + 2 * (LEASE_TIMES.durationMs + 2_500), check);
    expect(b.elector.leading()).toBe(true);
  }
});

test('of many one looks at the right time: a Lease that is over is taken at once, one given back within seconds', async () => {
  const world = new World();
  const api = new SimulatedApi(world, () => FAIR);
  const a = stand('a', new SimulatedProcess(world), api);
  await world.until(1_000);
  const others: Candidate[] = [];
  for (let n = 0; n < 40; n++) {
    others.push(stand(`b-${n}`, new SimulatedProcess(world), api, () => (n % 10) / 10));
    await world.until(world.nowMs + 500);
  }
  const check = invariant(world, api, [a, ...others]);
  await world.until(300_000, check);
  const total = (): number => [...api.reads.values()].reduce((sum, each) => sum + each, 0);
  const before = total();
  await world.until(400_000, check);
  // A look every 15 s and some, instead of every 3.
  expect(total() - before).toBeLessThan((100_000 / LEASE_TIMES.durationMs) * others.length);

  a.process.killed = true;
  await world.until(418_000, check);
  const next = others.find(({ elector }) => elector.leading());
  expect(next).toBeDefined();
  await world.until(600_000, check);
  void next?.elector.stop();
  await world.until(603_000, check);
  expect(others.filter(({ elector }) => elector.leading())).toHaveLength(1);
  expect(next?.elector.leading()).toBe(false);
});

test('a leader that cannot renew stops writing within the renew deadline, and says so', async () => {
  const world = new World();
  let faults = FAIR;
  const api = new SimulatedApi(world, () => faults);
  const a = stand('a', new SimulatedProcess(world), api);
  await world.until(10_000);
  faults = { ...FAIR, fault: 'request-lost' };
  await world.until(20_001);
  expect(a.elector.leading()).toBe(false);
  expect(a.logLines).toContain('no longer the leader: publishing stops');
  const lastWrite = api.writes.at(-1)?.atMs ?? 0;
  expect(lastWrite).toBeLessThanOrEqual(10_000);
  faults = FAIR;
  await world.until(40_000);
  expect(a.elector.leading()).toBe(true);
  expect(a.terms).toBe(2);
});

test('a process that was paused beyond its Lease writes nothing when it wakes', async () => {
  const world = new World();
  const api = new SimulatedApi(world, () => FAIR);
  const a = stand('a', new SimulatedProcess(world), api);
  await world.until(1_000);
  const b = stand('b', new SimulatedProcess(world), api);
  const check = invariant(world, api, [a, b]);
  await world.until(20_000, check);
  a.process.pause(60_000);
  await world.until(100_000, check);
  expect(holder(api)).toBe('b');
  expect(api.writes.filter(({ by, atMs }) => by === a.process && atMs > 20_100)).toEqual([]);
  expect(a.logLines.at(-1)).toBe('b publishes to the cluster');
});

test('wall clocks that jump neither make a second leader nor take the Lease of one that renews', async () => {
  const world = new World();
  const api = new SimulatedApi(world, () => FAIR);
  const a = stand('a', new SimulatedProcess(world, 1, 86_400_000), api);
  await world.until(1_000);
  const b = stand('b', new SimulatedProcess(world, 1, -86_400_000), api);
  const check = invariant(world, api, [a, b]);
  await world.until(10_000, check);
  b.process.jump(10 * 86_400_000);
  await world.until(40_000, check);
  expect(holder(api)).toBe('a');
  a.process.jump(3_600_000);
  await world.until(70_000, check);
  expect(holder(api)).toBe('a');
  expect(a.elector.leading()).toBe(true);
});

test.each([-3_600_000, 3_600_000])(
  'a leader cut off as its wall clock jumps by %d ms stops in time',
  async (byMs) => {
    const world = new World();
    const api = new SimulatedApi(world, () => FAIR);
    const a = stand('a', new SimulatedProcess(world), api);
    await world.until(10_000);
    api.cutOff(a.process, 60_000);
    a.process.jump(byMs);
    await world.until(20_001);
    expect(a.elector.leading()).toBe(false);
    await world.until(100_000);
    expect(a.elector.leading()).toBe(true);
  },
);

test('a Lease whose words do not change is taken after its own duration, however often its labels change', async () => {
  const world = new World();
  const api = new SimulatedApi(world, () => FAIR);
  const dead = { holderIdentity: 'dead', leaseDurationSeconds: 40, renewTime: '2099-01-01T00:00:00.000000Z' };
  let version = 1;
  const touch = (): void => {
    if (holder(api) !== 'dead' && version > 1) return;
    api.lease = { metadata: { resourceVersion: `${version++}` }, spec: { ...dead, strategy: 'kept' } };
    world.at(world.nowMs + 1_000, touch);
  };
  touch();
  const a = stand('a', new SimulatedProcess(world), api);
  await world.until(39_000);
  expect(a.elector.leading()).toBe(false);
  await world.until(50_000);
  expect(a.elector.leading()).toBe(true);
  expect(api.lease?.spec).toMatchObject({ holderIdentity: 'a', strategy: 'kept' });
});

test('without the right to Leases nothing is led, it is said once, and it is noticed when the right comes', async () => {
  const world = new World();
  const api = new SimulatedApi(world, () => FAIR);
  const process = new SimulatedProcess(world);
  const call = api.callFrom(process);
  let forbidden = true;
  let asked = 0;
  const logLines: string[] = [];
  const elector = new Elector({
    call: async (request) => {
      asked++;
      return forbidden
        ? { status: 403, body: { message: 'leases is forbidden' }, retryAfterMs: 0 }
        : call(request);
    },
    clock: process,
    random: () => 0,
    log: (_level, message) => logLines.push(message),
    identity: 'a',
    namespace: 'portico',
    leaseName: 'portico-portico',
    times: LEASE_TIMES,
    onLead: () => {},
  });
  await settled();
  await world.until(300_000);
  expect(logLines).toHaveLength(1);
  expect(logLines[0]).toMatch(
    /"leases" in API group "coordination.k8s.io" in namespace "portico".*leases is forbidden/,
  );
  expect(asked).toBeLessThanOrEqual(11);
  forbidden = false;
  await world.until(340_000);
  expect(elector.leading()).toBe(true);
});

const faults = fc.record({
  toServerMs: fc.integer({ min: 0, max: 1_500 }),
  toClientMs: fc.integer({ min: 0, max: 1_500 }),
  fault: fc.constantFrom<FaultModel['fault'][]>(
    'none',
    'none',
    'none',
    'request-lost',
    'answer-lost',
    500,
    409,
    429,
  ),
});
const misfortune = fc.record({
  atMs: fc.integer({ min: 0, max: 120_000 }),
  victim: fc.constantFrom('leader', 'leader', 0, 1, 2),
  what: fc.constantFrom('pause', 'pause', 'cut-off', 'cut-off', 'jump', 'stop', 'kill'),
  amountMs: fc.integer({ min: 1_000, max: 30_000 }),
  sign: fc.constantFrom(1, -1),
});

test('whatever happens there are never two writers, and without faults there is one again', async () => {
  let elections = 0;
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: 3 }),
      fc.infiniteStream(faults),
      fc.array(misfortune, { minLength: 3, maxLength: 10 }),
      fc.array(fc.record({ rate: fc.double({ min: 0.93, max: 1.07, noNaN: true }), wallMs: fc.integer() }), {
        minLength: 4,
        maxLength: 4,
      }),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      async (count, stream, misfortunes, clocks, dice) => {
        const world = new World();
        let fair = false;
        const api = new SimulatedApi(world, () => (fair ? FAIR : (stream.next().value as FaultModel)));
        const roll = (): number => dice.next().value as number;
        const addReplica = (index: number): Candidate => {
          const process = new SimulatedProcess(world, clocks[index]?.rate, clocks[index]?.wallMs);
          return stand(`elector-${index}`, process, api, roll);
        };
        const candidates = Array.from({ length: count }, (_, index) => addReplica(index));
        const check = invariant(world, api, candidates);
        for (const { atMs, victim, what, amountMs, sign } of misfortunes) {
          world.at(atMs, () => {
            const candidate =
              victim === 'leader'
                ? candidates.find(({ elector }) => elector.leading())
                : candidates[Number(victim) % count];
            if (what === 'pause') candidate?.process.pause(amountMs);
            if (what === 'cut-off' && candidate) api.cutOff(candidate.process, amountMs);
            if (what === 'jump') candidate?.process.jump(sign * amountMs);
            if (what === 'stop') void candidate?.elector.stop();
            if (what === 'kill' && candidate) candidate.process.killed = true;
          });
        }
        await world.until(125_000, check);
        fair = true;
        // A newcomer, so that there is always somebody to elect.
        candidates.push(addReplica(3));
        await world.until(240_000, check);
        expect(
          candidates.filter(({ process, elector }) => !process.killed && elector.leading()),
        ).toHaveLength(1);
        elections += candidates.reduce((sum, { terms }) => sum + terms, 0);
        runs++;
        for (const candidate of candidates) candidate.process.killed = true;
      },
    ),
    { numRuns: examples(25) },
  );
  // The schedules would prove nothing if nobody ever lost an election.
  expect(elections).toBeGreaterThan(runs * 1.5);
});
