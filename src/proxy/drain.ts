import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { QUIET_MS } from './closing-listeners.ts';
import type { OpenListener } from './listener/listener.ts';
import type { EngineState } from './engine-state.ts';

const LOOK_EVERY_MS = 20;
/** After the close of a WebSocket its client and its upstream have this long to read it and end. */
const FAREWELL_MS = 500;

/** A turn of the loop in which nothing happened takes less, one in which a request was relayed takes more. */
const QUIET_TURN_MS = 0.03;
const WAIT_FOR_QUIET_MS = 100;

/**
 * Waits for a good moment to close listeners: where the kernel does not move their queues, it resets what came in
 * after the last accept. In each turn the connections that have come are accepted, among whatever else there is to do;
 * after a turn in which there was nothing to do, next to none can have come since. On a thread that never rests, the
 * moment is as good as any after a while.
 */
export async function quietTurn(now: () => number, turn: () => Promise<unknown>): Promise<void> {
  const started = now();
  for (let before = started; ;) {
    await turn();
    const after = now();
    if (after - before < QUIET_TURN_MS || after - started >= WAIT_FOR_QUIET_MS) return;
    before = after;
  }
}

/** As `Engine.drain` promises. */
export async function drainEngine(
  engine: EngineState,
  listeners: Iterable<OpenListener>,
  timeoutMs: number,
): Promise<number> {
  const started = performance.now();
  engine.draining = true;
  for (const client of engine.clients) client.announceDrain();
  await quietTurn(() => performance.now(), nextTurn);
  for (const listener of listeners) listener.close();
  const isBusy = (): boolean => engine.clients.size > 0 || [...listeners].some(({ pending }) => pending > 0);

  const quietMs = Math.min(QUIET_MS, timeoutMs / 2);
  while (isBusy() && performance.now() - started < timeoutMs) {
    const now = performance.now();
    for (const client of engine.clients) {
      if (client.isIdle && now - Math.max(client.quietSince, started) >= quietMs) client.close();
    }
    await sleep(LOOK_EVERY_MS);
  }
  const aborted = engine.inFlight;
  for (const client of engine.clients) client.abortForDrain();
  const farewell = performance.now();
  while (engine.clients.size + engine.pool.lingering > 0 && performance.now() - farewell < FAREWELL_MS)
    await sleep(LOOK_EVERY_MS);
  for (const client of engine.clients) client.destroy();
  engine.pool.destroy();
  engine.sessions.destroy();
  engine.deadlines.stop();
  engine.closingListeners.stop();
  engine.descriptors.stop();
  return aborted;
}
