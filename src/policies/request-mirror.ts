import { originForm } from '../http/path.ts';
import type { RequestEdit, RequestView } from '../http/request-view.ts';
import type { Subrequest } from '../http/subrequest.ts';
import type { AskedBackend } from './asked-backend.ts';
import { copiedFields } from './copied-fields.ts';
import { CONTINUE, definePolicy } from './policy.ts';

export interface RequestMirrorConfig {
  readonly mirrors: readonly Mirror[];
}

/** The backend that gets copies: one of its endpoints for each. */
export interface Mirror extends AskedBackend {
  /** Of the route: its limits count. */
  readonly namespace: string;
  /** Which part of the requests is copied: `numerator` of each `denominator`. */
  readonly numerator: number;
  readonly denominator: number;
}

export const requestMirror = definePolicy({
  name: 'request-mirror',
  phase: 'upstream',
  summary:
    'Copies of requests for other Services: the filter `RequestMirror` of Gateway API. What they respond is ignored, and no ' +
    'request waits for them: copies are left out or broken off where they are behind.',
  annotations: [],
  whenInvalid: 'default',

  parse(): RequestMirrorConfig | null {
    return null;
  },

  bind({ mirrors }, thread) {
    const counted = mirrors.map((mirror) => ({ mirror, isNext: spread(mirror) }));
    return {
      onRequest(request, edit) {
        if (request.value('upgrade') !== undefined) return CONTINUE;
        for (const { mirror, isNext } of counted) {
          if (isNext()) void thread.send(copyOf(mirror, request, edit));
        }
        return CONTINUE;
      },
    };
  },

  describe({ mirrors }) {
    return mirrors
      .map(({ backend, numerator, denominator }) =>
        numerator === denominator ? `to ${backend}` : `${numerator}/${denominator} to ${backend}`,
      )
      .join(', ');
  },
});

/** Whether the next request is copied: evenly, so that few requests, too, have their share. */
function spread({ numerator, denominator }: Mirror): () => boolean {
  let sum = 0;
  return () => {
    sum += numerator;
    if (sum < denominator) return false;
    sum -= denominator;
    return true;
  };
}

/** From the call to the head of the response: a server that is slower has copies left out. */
const TIMEOUT_MS = 10_000;

/** What an endpoint of the route gets, for another one. */
function copyOf(to: Mirror, request: RequestView, edit: RequestEdit): Subrequest {
  const { namespace, backend } = to;
  return {
    namespace,
    to,
    method: request.method,
    target: edit.target ?? originForm(request.target),
    fields: [...copiedFields(edit.host ?? request.host, request, edit), ...edit.added],
    timeoutMs: TIMEOUT_MS,
    ...(request.body.exists && { body: request.body.copy(namespace) }),
    background: backend,
  };
}
