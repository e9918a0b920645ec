import type { Decision } from '../decide.ts';
import type { EndpointState } from '../endpoints.ts';
import { UNVERIFIED, type UpstreamTls } from '../upstream-tls.ts';
import type { Relay } from './relay.ts';
import type { UpstreamSide } from './sides.ts';
import type { UpstreamUser } from './upstream-connection.ts';

/** How the pods of a decision are spoken to. */
export interface UpstreamWay {
  readonly http2: boolean;
  readonly tls: UpstreamTls | null;
}

export function upstreamWay({ backend }: Decision & { kind: 'forward' }): UpstreamWay {
  switch (backend.protocol) {
    case 'http':
      return { http2: false, tls: null };
    case 'https':
      return { http2: false, tls: UNVERIFIED };
    case 'h2c':
    case 'grpc':
      return { http2: true, tls: null };
    default:
      return backend.protocol satisfies never;
  }
}

/**
 * A connection to the endpoint, or a stream on one, with `user` in charge of it. `fresh` when a connection was just
 * closed under our feet: that says nothing good of the others that are as old.
 */
export function reach(
  { pool, sessions }: Relay,
  state: EndpointState,
  { http2, tls }: UpstreamWay,
  fresh: boolean,
  user: UpstreamUser,
): UpstreamSide {
  if (http2) return sessions.open(state, tls, user);
  return (fresh ? null : pool.take(state, tls, user)) ?? pool.connect(state, tls, user);
}
