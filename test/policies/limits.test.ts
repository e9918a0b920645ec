import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { assert, array, integer, property, record } from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { subnetOf } from '../../src/http/address-ranges.ts';
import {
  SharedLimits,
  type SharedLimitsMemory,
  forgetCounts,
  sharedLimitsMemory,
} from '../../src/policies/limits/shared-limits.ts';
import type { Passed, Race } from './limits-entry.ts';
import { examples } from '../support/examples.ts';

const THREADS = 3;

function limitsOf(memory: SharedLimitsMemory = sharedLimitsMemory(randomFillSync)): SharedLimits {
  return new SharedLimits(memory);
}

let workers: readonly Worker[] = [];
beforeAll(async () => {
  const entry = new URL('limits-entry.ts', import.meta.url);
  workers = Array.from({ length: THREADS }, () => new Worker(entry, { workerData: 'race' }));
  await Promise.all(workers.map((worker) => once(worker, 'message')));
});
afterAll(() => Promise.all(workers.map((worker) => worker.terminate())));

async function race(given: Pick<Race, 'rate' | 'most' | 'clients' | 'rounds' | 'nowMs'>) {
  const shared = (): Int32Array => new Int32Array(new SharedArrayBuffer(given.clients.length * 4));
  const orders: Race = {
    ...given,
    memory: sharedLimitsMemory(randomFillSync),
    live: shared(),
    peak: shared(),
  };
  const results = workers.map(async (worker) => (await once(worker, 'message'))[0] as Passed);
  for (const worker of workers) worker.postMessage(orders);
  const all = await Promise.all(results);
  return {
    passed: given.clients.map((_, index) => all.reduce((sum, { passed }) => sum + (passed[index] ?? 0), 0)),
    elapsedMs: Math.max(...all.map(({ toMs }) => toMs)) - Math.min(...all.map(({ fromMs }) => fromMs)),
    ...{ live: [...orders.live], peak: [...orders.peak], memory: orders.memory },
  };
}

const clients = Array.from({ length: 40 }, (_, i) => `10.0.0.${i}`);

test('of requests at one instant exactly the burst and one pass, on however many threads', async () => {
  const rate = { amount: 10, perMs: 1_000, burst: 50 };
  const { passed, peak, live } = await race({ rate, most: 2, clients, rounds: 300, nowMs: 77_777 });
  expect(passed).toEqual(clients.map(() => 51));
  expect(live).toEqual(clients.map(() => 0));
  expect(Math.max(...peak)).toBeLessThanOrEqual(2);
});

test('over time never more than the rate and the burst pass, on however many threads', async () => {
  const rate = { amount: 2_000, perMs: 1_000, burst: 10 };
  const { passed, elapsedMs } = await race({ rate, most: 1, clients, rounds: 1_000, nowMs: null });
  const most = rate.burst + 1 + elapsedMs * (rate.amount / rate.perMs);
  for (const count of passed) {
    expect(count).toBeLessThanOrEqual(most);
    expect(count).toBeGreaterThan(rate.burst);
  }
});

test('lets pass what the leaky bucket of nginx does', () => {
  const rates = record({
    amount: integer({ min: 1, max: 1_000 }),
    perMs: integer({ min: 1, max: 3_600_000 }),
    burst: integer({ min: 0, max: 20 }),
  }).filter(({ amount, perMs, burst }) => (burst + 1) * (perMs / amount) < 24 * 3_600_000);
  assert(
    property(rates, array(integer({ min: 0, max: 5_000 }), { maxLength: 60 }), (rate, steps) => {
      const limiter = limitsOf(memory).rate('shop', `${(zone += 1)}`, rate);
      // What nginx keeps: how far a client is ahead of the rate, in requests; 4 µs are the unit of ours.
      const intervalMs = Math.ceil((rate.perMs * 250) / rate.amount) / 250;
      let now = 1_000_000;
      let excess: number | null = null;
      for (const step of steps) {
        now += step;
        const next: number = excess === null ? 0 : Math.max(0, excess - step / intervalMs + 1);
        const waitMs = limiter.take('10.0.0.1', now);
        const slack = 0.5 / intervalMs / 100;
        if (next > rate.burst + slack) expect(waitMs).toBeGreaterThan(0);
        if (next < rate.burst - slack) expect(waitMs).toBe(0);
        excess = waitMs === 0 ? next : next - 1;
        if (excess < 0) excess = null;
      }
    }),
    { numRuns: examples(50) },
  );
});
const memory = sharedLimitsMemory(randomFillSync);
let zone = 0;

test('says when the next request may come, and no sooner', () => {
  const limiter = limitsOf().rate('shop', 'web', { amount: 1, perMs: 60_000, burst: 1 });
  expect(limiter.take('10.0.0.1', 1_000)).toBe(0);
  expect(limiter.take('10.0.0.1', 1_000)).toBe(0);
  expect(limiter.take('10.0.0.1', 1_000)).toBe(60_000);
  expect(limiter.take('10.0.0.1', 31_000)).toBe(30_000);
  expect(limiter.take('10.0.0.1', 61_000)).toBe(0);
  expect(limiter.take('10.0.0.2', 61_000)).toBe(0);
});

test('a request that another limit refused is given back', () => {
  const limiter = limitsOf().rate('shop', 'web', { amount: 1, perMs: 60_000, burst: 0 });
  expect(limiter.take('10.0.0.1', 1_000)).toBe(0);
  limiter.giveBack('10.0.0.1', 1_000);
  expect(limiter.take('10.0.0.1', 1_000)).toBe(0);
  expect(limiter.take('10.0.0.1', 1_000)).toBeGreaterThan(0);
});

test('a clock that has gone round, or a client of long ago, owes nothing', () => {
  const limiter = limitsOf().rate('shop', 'web', { amount: 1, perMs: 60_000, burst: 0 });
  const round = 2 ** 42 / 250;
  for (const now of [round - 30_000, round + 31_000, round * 2 - 360_000_000, round * 2 + 3_600_000]) {
    expect(limiter.take('10.0.0.1', now)).toBe(0);
    expect(limiter.take('10.0.0.1', now)).toBeGreaterThan(0);
  }
});

test('a flood of clients of one namespace costs the others nothing', () => {
  const limits = limitsOf();
  const rate = { amount: 1, perMs: 3_600_000, burst: 0 };
  const quiet = limits.rate('quiet', 'web', rate);
  const busy = limits.rate('busy', 'web', rate);
  for (const client of clients) expect(quiet.take(client, 1_000)).toBe(0);
  for (let i = 0; i < 40_000; i++) busy.take(`192.168.${i >> 8}.${i & 255}`, 1_000);
  for (const client of clients) expect(quiet.take(client, 2_000)).toBeGreaterThan(0);
});

test('what a thread counted that died is forgotten', () => {
  const shared = sharedLimitsMemory(randomFillSync);
  const dead = limitsOf(shared).concurrency('shop', 'web', 1);
  const living = limitsOf(shared).concurrency('shop', 'web', 1);
  expect(dead.enter('10.0.0.1')).not.toBeNull();
  expect(living.enter('10.0.0.1')).toBeNull();
  forgetCounts(shared);
  const leave = living.enter('10.0.0.1');
  expect(leave).not.toBeNull();
  expect(living.enter('10.0.0.1')).toBeNull();
  leave?.();
  expect(living.enter('10.0.0.1')).not.toBeNull();
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:0DB8:1::9', '2001:db8:1:0'],
  ['::1', '0:0:0:0'],
  ['1::2:3:4:5:6:7', '1:0:2:3'],
  ['2001:db8::', '2001:db8:0:0'],
])('the network of %s is %s', (address, network) => expect(subnetOf(address)).toBe(network));
