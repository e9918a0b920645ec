import type { RetriesConfig, RetryCondition } from '../policies/retries.ts';
import type { Limits } from './limits.ts';

/** When a request of a route is sent to another endpoint. */
export interface RetryRules {
  readonly conditions: ReadonlySet<RetryCondition>;
  readonly statuses: ReadonlySet<number>;
  readonly nonIdempotent: boolean;
  /** The first one included. */
  readonly attempts: number;
  /** From the first attempt; `Infinity` for any time. */
  readonly timeoutMs: number;
  /** Whether the same endpoint is tried again where there is no other. */
  readonly repeats: boolean;
  /** From the end of an attempt to the next one. */
  readonly backoffMs: number;
}

const USUAL: ReadonlySet<RetryCondition> = new Set(['connect', 'connect-timed-out', 'reset']);

/** As the route says, or else the flags. */
export function retryRules(config: RetriesConfig | undefined, limits: Limits): RetryRules {
  return {
    conditions: config?.on ? new Set(config.on.conditions) : USUAL,
    statuses: new Set(config?.on?.statuses),
    nonIdempotent: config?.on?.nonIdempotent ?? false,
    attempts: config?.attempts ?? limits.attempts,
    timeoutMs: config?.timeoutMs ?? Number.POSITIVE_INFINITY,
    repeats: config?.repeats ?? false,
    backoffMs: config?.backoffMs ?? 0,
  };
}
