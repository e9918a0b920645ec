import { type AnnotationSpec, ownNameOf } from './annotation-spec.ts';
import { CONTINUE, type Verdict, definePolicy } from './policy.ts';
import { readSize, sizeText } from './quantity-values.ts';

export interface RequestBodyConfig {
  /** A body with more bytes is refused; null for any. */
  readonly maxBytes: number | null;
  /** A body with at most so many bytes is read whole before a Pod gets any of it; null leaves it to the flags. */
  readonly gatherBytes: number | null;
}

const MAX: AnnotationSpec = {
  name: 'max-request-body',
  nginx: 'proxy-body-size',
  global: 'proxy-body-size',
  values: 'a size such as `512Ki`, `10Mi` or `1Gi`; `0` for any',
  default: 'any size',
  scope: 'path',
  about:
    'The largest body that a request may have; a larger one gets 413. A `Content-Length` is judged before anything of the ' +
    'request is sent to a Pod. A body without one is counted as it comes: the Pod may have got its beginning, and then ' +
    'its connection is closed. The messages of a gRPC call count together; a WebSocket has no limit.',
  difference:
    'of a body without Content-Length a Pod may get the beginning before the client gets 413; without --drop-in the default ' +
    'is any size.',
};

const BUFFERING: AnnotationSpec = {
  name: 'request-buffering',
  nginx: 'proxy-request-buffering',
  global: 'proxy-request-buffering',
  values: '`on`, `off`',
  default: 'on',
  scope: 'path',
  about:
    'Whether a body with a `Content-Length` of at most `request-buffer-size` is read whole before a Pod is chosen: then a ' +
    'slow client holds no connection to a Pod, and the request can be sent to another one. `off` passes every body on as ' +
    'it arrives.',
  difference:
    'a body without Content-Length, or of more than --limit buffer-bytes (64Ki), is passed on as it arrives.',
};

const BUFFER_SIZE: AnnotationSpec = {
  name: 'request-buffer-size',
  nginx: 'client-body-buffer-size',
  global: 'client-body-buffer-size',
  values: 'a size such as `16Ki`',
  default: '64Ki (--limit buffer-bytes)',
  scope: 'path',
  about: 'See `request-buffering`. At most `--limit buffer-bytes` counts.',
  difference: 'a body that is larger is passed on as it arrives, and never written to a file.',
};

const TOO_LARGE: Verdict = { kind: 'refuse', reason: 'body-too-large' };

export const requestBody = definePolicy({
  name: 'request-body',
  phase: 'rewrite',
  summary: 'How large the body of a request may be, and how much of it is read before it is sent to a Pod.',
  annotations: [MAX, BUFFERING, BUFFER_SIZE],
  whenInvalid: 'default',

  parse(read): RequestBodyConfig | null {
    const max = readSize(read, MAX);
    const size = readSize(read, BUFFER_SIZE);
    const buffering = read.choice(BUFFERING, ['on', 'off']);
    const maxBytes = max === 0 ? null : max;
    const gatherBytes = buffering === 'off' ? 0 : size;
    return maxBytes === null && gatherBytes === null ? null : { maxBytes, gatherBytes };
  },

  write: ({ maxBytes, gatherBytes }) => ({
    [ownNameOf(MAX)]: sizeText(maxBytes ?? 0),
    ...(gatherBytes === 0 && { [ownNameOf(BUFFERING)]: 'off' }),
    ...(gatherBytes !== null && gatherBytes > 0 && { [ownNameOf(BUFFER_SIZE)]: sizeText(gatherBytes) }),
  }),

  // What comes without a Content-Length is counted by the engines.
  bind({ maxBytes }) {
    if (maxBytes === null) return {};
    return {
      onRequest: (request) =>
        Number(request.value('content-length') ?? 0) > maxBytes ? TOO_LARGE : CONTINUE,
    };
  },

  describe({ maxBytes, gatherBytes }) {
    const parts = [
      ...(maxBytes === null ? [] : [`at most ${sizeText(maxBytes)}`]),
      ...(gatherBytes === null
        ? []
        : [gatherBytes === 0 ? 'not buffered' : `${sizeText(gatherBytes)} buffered`]),
    ];
    return parts.join(', ');
  },
});
