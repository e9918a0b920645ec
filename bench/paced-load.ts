import { setImmediate as nextTurn } from 'node:timers/promises';
import { Lane } from './load.ts';

export interface PacedLoad {
  readonly port: number;
  readonly request: Buffer;
  readonly connections: number;
  readonly ratePerSecond: number;
  readonly durationMs: number;
}

export interface PacedResult {
  readonly failures: number;
  /** From the moment a request was due, whether or not a connection was free then, to its last response byte. */
  readonly latenciesMs: readonly number[];
}

/** How long answers may come after the last request was due; what is missing then has failed. */
const LONGEST_BACKLOG_MS = 3_000;

/**
 * Sends requests on a timetable that late answers do not change (an open loop). It looks at the clock in every turn of the
 * event loop, because a timer is late by up to a millisecond: it uses a core for itself, and the Pod belongs into this process.
 */
export async function runPacedLoad(load: PacedLoad): Promise<PacedResult> {
  const { port, request, connections, ratePerSecond, durationMs } = load;
  const free = Array.from({ length: connections }, () => new Lane(port));
  const lanes = [...free];
  const latenciesMs: number[] = [];
  let failures = 0;
  const send = async (lane: Lane, dueAt: number): Promise<void> => {
    const ok = await lane.exchange(request);
    if (ok) latenciesMs.push(performance.now() - dueAt);
    else failures++;
    free.push(lane);
  };
  const intervalMs = 1_000 / ratePerSecond;
  const total = Math.floor(durationMs / intervalMs);
  const startedAt = performance.now();
  const givesUpAt = startedAt + durationMs + LONGEST_BACKLOG_MS;
  let sent = 0;
  while (latenciesMs.length + failures < total && performance.now() < givesUpAt) {
    const due = Math.min(total, Math.floor((performance.now() - startedAt) / intervalMs));
    for (; sent < due; sent++) {
      const lane = free.shift();
      if (!lane) break;
      void send(lane, startedAt + sent * intervalMs);
    }
    await nextTurn();
  }
  for (const lane of lanes) lane.close();
  return { failures: total - latenciesMs.length, latenciesMs };
}
