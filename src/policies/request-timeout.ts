import { definePolicy } from './policy.ts';
import { durationText } from './quantity-values.ts';

/** How long a request may take from its beginning to the end of its response, in milliseconds. */
export interface RequestTimeoutConfig {
  /** All attempts together; null for any time. */
  readonly totalMs: number | null;
}

export const requestTimeout = definePolicy({
  name: 'request-timeout',
  phase: 'upstream',
  summary:
    'How long a request may take in all: `timeouts.request` and `timeouts.backendRequest` of a rule of Gateway API. Then 504.',
  annotations: [],
  whenInvalid: 'default',

  parse(): RequestTimeoutConfig | null {
    return null;
  },

  describe: ({ totalMs }) => (totalMs === null ? 'none' : durationText(totalMs)),
});
