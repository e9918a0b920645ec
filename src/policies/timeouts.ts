import { type AnnotationSpec, ownNameOf } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';
import { durationText, readDuration } from './quantity-values.ts';

/** How long a request waits for a Pod, in milliseconds; null leaves it to the flags of the same meaning. */
export interface TimeoutsConfig {
  readonly connectMs: number | null;
  readonly sendMs: number | null;
  readonly readMs: number | null;
}

const CONNECT: AnnotationSpec = {
  name: 'connect-timeout',
  nginx: 'proxy-connect-timeout',
  global: 'proxy-connect-timeout',
  values: 'a duration from `100ms` to `576h`',
  default: '5s (--limit connect-timeout)',
  scope: 'path',
  about:
    'How long a request may take to get a connection to a Pod, all its attempts together; while another Pod can be tried, ' +
    'one attempt has an equal share of it. Then 504. For TLS and HTTP/2 the handshake is part of it.',
  difference: 'the time is for all attempts to connect together, not for each.',
};

const SEND: AnnotationSpec = {
  name: 'send-timeout',
  nginx: 'proxy-send-timeout',
  global: 'proxy-send-timeout',
  values: 'a duration from `100ms` to `576h`',
  default: '60s (--limit upstream-idle-timeout)',
  scope: 'path',
  about: 'How long a Pod may take nothing of a request that is being sent to it. Then 504.',
};

const READ: AnnotationSpec = {
  name: 'read-timeout',
  nginx: 'proxy-read-timeout',
  global: 'proxy-read-timeout',
  values: 'a duration from `100ms` to `576h`',
  default: '60s (--limit upstream-idle-timeout)',
  scope: 'path',
  about:
    'How long a Pod may send nothing, before its response or within it. Then 504, or the end of a response that has begun. ' +
    'It counts for gRPC calls too, and for WebSockets, where a byte from either side counts; without the annotation both ' +
    'may be silent for `--limit tunnel-idle-timeout` (1h).',
  difference: 'a WebSocket also stays open while only its client sends.',
};

const BOUNDS = { leastMs: 100, mostMs: 576 * 3_600_000 };

export const timeouts = definePolicy({
  name: 'timeouts',
  phase: 'upstream',
  summary: 'How long a request waits for a Pod.',
  annotations: [CONNECT, SEND, READ],
  whenInvalid: 'default',

  parse(read): TimeoutsConfig | null {
    const connectMs = readDuration(read, CONNECT, BOUNDS);
    const sendMs = readDuration(read, SEND, BOUNDS);
    const readMs = readDuration(read, READ, BOUNDS);
    return connectMs === null && sendMs === null && readMs === null ? null : { connectMs, sendMs, readMs };
  },

  write: ({ connectMs, sendMs, readMs }) => ({
    ...(connectMs !== null && { [ownNameOf(CONNECT)]: durationText(connectMs) }),
    ...(sendMs !== null && { [ownNameOf(SEND)]: durationText(sendMs) }),
    ...(readMs !== null && { [ownNameOf(READ)]: durationText(readMs) }),
  }),

  describe({ connectMs, sendMs, readMs }) {
    const parts = [
      ...(connectMs === null ? [] : [`connect ${durationText(connectMs)}`]),
      ...(sendMs === null ? [] : [`send ${durationText(sendMs)}`]),
      ...(readMs === null ? [] : [`read ${durationText(readMs)}`]),
    ];
    return parts.join(', ');
  },
});
