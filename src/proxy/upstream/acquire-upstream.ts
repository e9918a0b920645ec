import type { EndpointState } from '../balance/endpoint-pool.ts';
import type { UpstreamWay } from './upstream-transport.ts';
import type { Relay } from '../engine-state.ts';
import type { UpstreamSide } from '../sides.ts';
import type { UpstreamUser } from './http1/upstream-connection.ts';

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
