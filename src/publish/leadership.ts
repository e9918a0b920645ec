import {
  type ApiCall,
  type ApiRequest,
  type ApiResponse,
  requestWithTimeout,
} from '../kubernetes/api-request.ts';
import { type Clock, sleep } from '../kubernetes/clock.ts';

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

/**
 * The time in which this process is the leader: the fence between "we were elected" and "we may still write", which is
 * checked before every call, and by a timer.
 */
export class Leadership {
  /** Aborted when the leadership ends. */
  readonly signal: AbortSignal;

  readonly #options: LeadershipOptions;
  readonly #over = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();
  /** When a write last ended without a response. */
  #abortedAtMs = -Infinity;
  #finishing = false;
  #cancel: () => void = () => {};

  constructor(options: LeadershipOptions) {
    this.#options = options;
    this.signal = this.#over.signal;
    this.#watch();
  }

  /** Every write goes through this. Rejects, and sends nothing, once the leadership has ended; aborts what is under way then. */
  async call(request: ApiRequest): Promise<ApiResponse> {
    const { call, clock, leftMs, callTimeoutMs } = this.#options;
    const remainingMs = leftMs();
    // After a pause the timer may not have had its turn yet.
    if (remainingMs === 0) this.end();
    if (this.signal.aborted) throw this.signal.reason;
    if (this.#finishing) throw new Error('publishing stops');
    const signal = AbortSignal.any([request.signal, this.signal]);
    const timeoutMs = Math.min(remainingMs, callTimeoutMs);
    const response = requestWithTimeout(call, clock, timeoutMs, { ...request, signal });
    this.#underWay.add(response);
    try {
      return await response;
    } catch (error) {
      if (request.method !== 'GET') this.#abortedAtMs = clock.monotonicMs();
      throw error;
    } finally {
      this.#underWay.delete(response);
    }
  }

  /** Ends the leadership at once. */
  end(): void {
    this.#cancel();
    if (this.signal.aborted) return;
    this.#over.abort(new Error('this process is no longer the leader'));
    if (!this.#finishing) this.#options.onLost();
  }

  /** Accepts no more calls and waits for those under way. False when a write without a response may still take effect. */
  async finish(timeoutMs: number): Promise<boolean> {
    const { clock } = this.#options;
    this.#finishing = true;
    const done = new AbortController();
    const settled = Promise.allSettled(this.#underWay).then(() => done.abort());
    await Promise.race([settled, sleep(clock, timeoutMs, done.signal)]);
    this.end();
    await settled;
    return clock.monotonicMs() - this.#abortedAtMs > WRITE_MAY_LINGER_MS;
  }

  #watch(): void {
    const remainingMs = this.#options.leftMs();
    if (remainingMs === 0) return this.end();
    this.#cancel = this.#options.clock.setTimeout(() => this.#watch(), remainingMs);
  }
}
