import type { BoundPolicy } from './policy.ts';

/** X-Request-ID on every response, as Pods and the access log have it: `--return-request-id` turns it on for all hosts. */
export function returnedRequestId(): BoundPolicy {
  return {
    onResponse(edit, { requestId }) {
      edit.set('x-request-id', requestId);
    },
  };
}
