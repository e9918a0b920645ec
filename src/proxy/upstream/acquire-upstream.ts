import type { EndpointState } from '../balance/endpoint-pool.ts';
import type { UpstreamTransport } from './upstream-transport.ts';
import type { EngineState } from '../engine-state.ts';
import type { Upstream } from './upstream.ts';
import type { UpstreamUser } from './upstream-user.ts';

/**
 * A connection to the endpoint, or a stream on one, with `user` in charge of it. `fresh` when a connection was just
 * closed under our feet: that says nothing good of the others that are as old. `connectMs` is the time for a new one.
 */
export function acquireUpstream(
  { pool, sessions }: Pick<EngineState, 'pool' | 'sessions'>,
  state: EndpointState,
  { http2, tls }: UpstreamTransport,
  fresh: boolean,
  connectMs: number,
  user: UpstreamUser,
): Upstream {
  if (http2) return sessions.open(state, tls, connectMs, user);
  return (fresh ? null : pool.take(state, tls, user)) ?? pool.connect(state, tls, user);
}
