import { parentPort, workerData } from 'node:worker_threads';
import { SharedLimits, type SharedLimitsMemory } from '../../src/policies/limits/shared-limits.ts';
import type { Rate } from '../../src/policies/limits/request-rate.ts';

/** What a thread that takes part in a test is told. */
export interface Race {
  readonly memory: SharedLimitsMemory;
  readonly rate: Rate;
  readonly most: number;
  readonly clients: readonly string[];
  readonly rounds: number;
  /** Milliseconds; null for the real clock. */
  readonly nowMs: number | null;
  /** Requests under way of each client, and the most there were. */
  readonly live: Int32Array;
  readonly peak: Int32Array;
}

/** How many requests of each client passed, and the span of the clock in which they were sent. */
export interface Passed {
  readonly passed: readonly number[];
  readonly fromMs: number;
  readonly toMs: number;
}

const clockMs = (): number => Number(process.hrtime.bigint()) / 1e6;

parentPort?.on('message', (race: Race) => {
  const limits = new SharedLimits(race.memory);
  const rate = limits.rate('shop', 'web', race.rate);
  const concurrency = limits.concurrency('shop', 'web', race.most);
  const passed = race.clients.map(() => 0);
  const fromMs = clockMs();
  for (let round = 0; round < race.rounds; round++) {
    for (const [index, client] of race.clients.entries()) {
      if (rate.take(client, race.nowMs ?? clockMs()) === 0) passed[index] = (passed[index] ?? 0) + 1;
      const leave = concurrency.enter(client);
      if (leave === null) continue;
      const live = Atomics.add(race.live, index, 1) + 1;
      if (live > Atomics.load(race.peak, index)) Atomics.store(race.peak, index, live);
      Atomics.sub(race.live, index, 1);
      leave();
    }
  }
  parentPort?.postMessage({ passed, fromMs, toMs: clockMs() } satisfies Passed);
});
if (workerData === 'race') parentPort?.postMessage('ready');
