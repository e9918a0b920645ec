import type { LocalReason } from '../http/local-response.ts';
import type { Verdict } from '../policies/policy.ts';
import type { TimedExchange } from './route-deadlines.ts';
import type { TunnelUser } from './tunnel.ts';
import type { UpstreamUser } from './upstream/upstream-user.ts';

/** What is given to everything that calls the exchange later: it passes the call on and contains what throws. */
export interface ExchangeCallbacks extends UpstreamUser, TunnelUser, TimedExchange {
  refuse(reason: LocalReason): void;
  onEndpointsKnown(): void;
  onHeldBackOver(): void;
  onVerdict(verdict: Verdict): void;
}
