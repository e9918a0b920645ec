import { definePolicy } from './policy.ts';
import { durationText } from './quantity-values.ts';

/** How long a request may take from its beginning to the end of its response, in milliseconds. */
export interface RequestTimeoutConfig {
  /** All attempts together; null for any time. */
  readonly totalMs: number | null;
  /** One attempt, from sending the request; null for any time. */
  readonly attemptMs: number | null;
}

export const requestTimeout = definePolicy({
  name: 'request-timeout',
  phase: 'upstream',
  summary:
    'How long a request may take in all, and each of its attempts: `timeouts.request` and `timeouts.backendRequest` of a rule of ' +
    'Gateway API. Then 504.',
  annotations: [],
  whenInvalid: 'default',

  parse(): RequestTimeoutConfig | null {
    return null;
  },

  describe({ totalMs, attemptMs }) {
    const parts = [
      ...(totalMs === null ? [] : [durationText(totalMs)]),
      ...(attemptMs === null ? [] : [`${durationText(attemptMs)} for an attempt`]),
    ];
    return parts.length === 0 ? 'none' : parts.join(', ');
  },
});
