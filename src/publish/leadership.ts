import { type ApiCall, askWithin } from '../kubernetes/api-request.ts';
import { type Clock, sleep } from '../kubernetes/clock.ts';

/** The time in which this process is the leader: everything that is written goes through its `call`. */
export interface Term {
  /** Rejects, and sends nothing, once the term is over; what is under way then is cut. */
  readonly call: ApiCall;
  /** Aborted when the term is over. */
  readonly signal: AbortSignal;
  /** Ends the term at once. */
  end(): void;
  /** Takes no more, and waits for what is under way. False when a write without an answer may still happen. */
  finish(timeoutMs: number): Promise<boolean>;
}

export interface TermOptions {
  readonly call: ApiCall;
  readonly clock: Clock;
  /** How long the term lasts if it is not renewed. */
  readonly leftMs: () => number;
  readonly callTimeoutMs: number;
  /** Called once, when the term ended because it was not renewed in time. */
  readonly onLost: () => void;
}

/** How long after it was cut a write may still reach the server through the buffers on its way. */
const WRITE_MAY_LINGER_MS = 10_000;

/** The fence between "we were elected" and "we may still write": asked before every call, and by a timer. */
export function startTerm({ call, clock, leftMs, callTimeoutMs, onLost }: TermOptions): Term {
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
    const left = leftMs();
    if (left === 0) return end();
    cancel = clock.setTimeout(watch, left);
  };
  watch();

  return {
    signal: over.signal,
    async call(question) {
      const left = leftMs();
      // After a pause the timer may not have had its turn yet.
      if (left === 0) end();
      if (over.signal.aborted) throw over.signal.reason;
      if (finishing) throw new Error('publishing stops');
      const signal = AbortSignal.any([question.signal, over.signal]);
      const asked = askWithin(call, clock, Math.min(left, callTimeoutMs), { ...question, signal });
      underWay.add(asked);
      try {
        return await asked;
      } catch (error) {
        if (question.method !== 'GET') cutAtMs = clock.monotonicMs();
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
