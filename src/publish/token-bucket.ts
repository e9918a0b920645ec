import type { Clock } from '../kubernetes/clock.ts';

/** Allows `burst` at once and `perSecond` in the long run. */
export interface TokenBucket {
  /** How long until a token is available; 0 when one is. */
  waitMs(): number;
  take(): void;
  /** Whether the bucket has refilled, so that a new one would be the same. */
  full(): boolean;
}

export function tokenBucket(clock: Clock, perSecond: number, burst: number): TokenBucket {
  let tokens = burst;
  let atMs = clock.monotonicMs();
  const refill = (): void => {
    const now = clock.monotonicMs();
    tokens = Math.min(burst, tokens + ((now - atMs) / 1000) * perSecond);
    atMs = now;
  };
  return {
    waitMs() {
      refill();
      // A fraction of a millisecond would make a timer that fires a little too early.
      return tokens >= 1 ? 0 : Math.ceil(((1 - tokens) / perSecond) * 1000);
    },
    take() {
      refill();
      tokens -= 1;
    },
    full() {
      refill();
      return tokens >= burst;
    },
  };
}
