import type { AnnotationSpec } from './annotation-spec.ts';
import { CONTINUE, definePolicy } from './policy.ts';

export interface UpstreamConnectionConfig {
  /** Whether a connection to a Pod is closed after one request. */
  readonly closes: boolean;
}

const CONNECTION: AnnotationSpec = {
  name: 'upstream-connection',
  nginx: 'connection-proxy-header',
  values: '`keep-alive`, `close`',
  default: 'keep-alive',
  scope: 'path',
  about:
    'Whether a connection to a Pod serves one request after the other. With `close` each request has a connection of its ' +
    'own, and says `Connection: close` to the Pod. WebSockets are upgraded all the same, and HTTP/2 has no such field.',
  difference:
    '`keep-alive` sends no field, since HTTP/1.1 means that without one, and upgrades stay upgrades.',
};

export const upstreamConnection = definePolicy({
  name: 'upstream-connection',
  phase: 'rewrite',
  summary: 'How long connections to Pods last.',
  annotations: [CONNECTION],
  whenInvalid: 'default',

  parse(read): UpstreamConnectionConfig | null {
    const chosen = read.choice(CONNECTION, ['keep-alive', 'close']);
    return chosen === 'close' ? { closes: true } : null;
  },

  bind: () => ({
    onRequest(request, edit) {
      if (request.value('upgrade') === undefined) edit.set('Connection', 'close');
      return CONTINUE;
    },
  }),

  describe: () => 'one request each',
});
