import { type ApiCall, requestWithTimeout } from '../kubernetes/api-request.ts';
import { type Clock, sleep } from '../kubernetes/clock.ts';

/** The time in which this process is the leader. Every write goes through its `call`. */
export interface Leadership {
  /** Rejects, and sends nothing, once the leadership has ended; requests under way are aborted then. */
  readonly call: ApiCall;
  /** Aborted when the leadership ends. */
  readonly signal: AbortSignal;
  /** Ends the leadership at once. */
  end(): void;
  /** Accepts no more calls and waits for those under way. False when a write without a response may still take effect. */
  finish(timeoutMs: number): Promise<boolean>;
}

export interface LeadershipOptions {
  readonly call: ApiCall;
  readonly clock: Clock;
  /** How long the leadership lasts if it is not renewed. */
  readonly leftMs: () => number;
  readonly callTimeoutMs: number;
  /** Called once, when the leadership ended because it was not renewed in time. */
  readonly onLost: () => void;
}

/** How long after it was aborted a write may still reach the server, through buffers on its way. */
const WRITE_MAY_LINGER_MS = 10_000;

/** The fence between "we were elected" and "we may still write": asked before every call, and by a timer. */
export function startLeadership({
  call,
  clock,
  leftMs,
  callTimeoutMs,
  onLost,
}: LeadershipOptions): Leadership {
  const over = new AbortController();
  const underWay = new Set<Promise<unknown>>();
  let cutAtMs = -Infinity;
  let finishing = false;
  let cancel: () => void = () => {};

  const end = (): void => {
    cancel();
    if (over.signal.aborted) return;
    over.abort(new Error('this process is no longer the leader'));
    if (!finishing) onLost();
  };
  const watch = (): void => {
    const remainingMs = leftMs();
    if (remainingMs === 0) return end();
    cancel = clock.setTimeout(watch, remainingMs);
  };
  watch();

  return {
    signal: over.signal,
    async call(request) {
      const remainingMs = leftMs();
      // After a pause the timer may not have had its turn yet.
      if (remainingMs === 0) end();
      if (over.signal.aborted) throw over.signal.reason;
      if (finishing) throw new Error('publishing stops');
      const signal = AbortSignal.any([request.signal, over.signal]);
      const asked = requestWithTimeout(call, clock, Math.min(remainingMs, callTimeoutMs), {
        ...request,
        signal,
      });
      underWay.add(asked);
      try {
        return await asked;
      } catch (error) {
        if (request.method !== 'GET') cutAtMs = clock.monotonicMs();
        throw error;
      } finally {
        underWay.delete(asked);
      }
    },
    end,
    async finish(timeoutMs) {
      finishing = true;
      const done = new AbortController();
      const settled = Promise.allSettled(underWay).then(() => done.abort());
      await Promise.race([settled, sleep(clock, timeoutMs, done.signal)]);
      end();
      await settled;
      return clock.monotonicMs() - cutAtMs > WRITE_MAY_LINGER_MS;
    },
  };
}
