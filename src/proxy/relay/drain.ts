import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Listener } from '../listener.ts';
import type { Relay } from './relay.ts';

/**
 * A client that keeps its connection busy sends its next request within this time, and gets it answered with
 * `Connection: close`; one that is silent for so long is closed, and hardly has a request on its way.
 */
const QUIET_MS = 1_000;
const LOOK_EVERY_MS = 20;

/** As `Engine.drain` promises. */
export async function drainRelay(
  relay: Relay,
  listeners: readonly Listener[],
  timeoutMs: number,
): Promise<number> {
  const started = performance.now();
  relay.draining = true;
  for (const client of relay.clients) client.announceDrain();
  // In the turn after a poll, when every connection that the kernel had for us has just been accepted.
  await nextTurn();
  for (const listener of listeners) listener.close();
  const isBusy = (): boolean => relay.clients.size > 0 || listeners.some(({ pending }) => pending > 0);

  const quietMs = Math.min(QUIET_MS, timeoutMs / 2);
  while (isBusy() && performance.now() - started < timeoutMs) {
    const now = performance.now();
    for (const client of relay.clients) {
      if (client.isIdle && now - Math.max(client.quietSince, started) >= quietMs) client.close();
    }
    await sleep(LOOK_EVERY_MS);
  }
  const cut = relay.inFlight;
  for (const client of relay.clients) client.cutForDrain();
  relay.pool.destroy();
  relay.sessions.destroy();
  relay.deadlines.stop();
  return cut;
}
