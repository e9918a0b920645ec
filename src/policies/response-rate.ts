import { type AnnotationSpec, ownNameOf } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';
import { readSize, sizeText } from './quantity-values.ts';

export interface ResponseRateConfig {
  readonly bytesPerSecond: number;
  /** So many bytes come as fast as the client takes them. */
  readonly afterBytes: number;
}

const RATE: AnnotationSpec = {
  name: 'response-rate',
  nginx: 'limit-rate',
  global: 'limit-rate',
  values: 'a size for each second, such as `100Ki`; `0` for none',
  default: 'as fast as the client takes it',
  scope: 'path',
  about:
    'How fast the body of a response is sent to a client, on average; each response is counted for itself. Not for ' +
    'WebSockets. Only the `relay` engine does it; `http-proxy` answers 501 to such a route.',
  difference: 'some 64 KiB may be sent at once.',
};

const AFTER: AnnotationSpec = {
  name: 'response-rate-after',
  nginx: 'limit-rate-after',
  global: 'limit-rate-after',
  values: 'a size such as `1Mi`',
  default: '0',
  scope: 'path',
  about: 'How much of a response is sent at once, before `response-rate` counts.',
};

export const responseRate = definePolicy({
  name: 'response-rate',
  phase: 'response',
  summary: 'How fast responses are sent.',
  annotations: [RATE, AFTER],
  whenInvalid: 'default',

  parse(read): ResponseRateConfig | null {
    const rate = readSize(read, RATE, 'KiB');
    const after = readSize(read, AFTER, 'KiB');
    return rate === null || rate === 0 ? null : { bytesPerSecond: rate, afterBytes: after ?? 0 };
  },

  write: ({ bytesPerSecond, afterBytes }) => ({
    [ownNameOf(RATE)]: sizeText(bytesPerSecond),
    ...(afterBytes > 0 && { [ownNameOf(AFTER)]: sizeText(afterBytes) }),
  }),

  describe({ bytesPerSecond, afterBytes }) {
    return `${sizeText(bytesPerSecond)}/s${afterBytes === 0 ? '' : ` after ${sizeText(afterBytes)}`}`;
  },
});

/** How long to wait before more is sent, in milliseconds, when so many bytes were sent in so much time. */
export function waitMs(
  { bytesPerSecond, afterBytes }: ResponseRateConfig,
  bytes: number,
  elapsedMs: number,
): number {
  return ((bytes - afterBytes) / bytesPerSecond) * 1_000 - elapsedMs;
}
