import type { LocalReason } from '../http/local-response.ts';
import type { Verdict } from '../policies/policy.ts';
import type { Decision } from '../routing/decide.ts';
import type { AttemptOutcome, NextStep } from './attempt.ts';
import type { ExchangeRecord } from './exchange-record.ts';
import type { UpstreamTransport } from './upstream/upstream-transport.ts';

/** What happens to an exchange, in this order; attempts come again where they are repeated. */
export type ExchangeEvent =
  /** Its head is read, and where it goes is decided. */
  | { readonly kind: 'decided'; readonly decision: Decision }
  /** What the policies of the route make of it. */
  | { readonly kind: 'policies'; readonly verdict: Verdict }
  /** An endpoint is chosen (`address:port`), and connected to unless a connection is there. */
  | {
      readonly kind: 'attempt';
      readonly endpoint: string;
      readonly transport: UpstreamTransport;
      readonly isConnected: boolean;
    }
  | { readonly kind: 'connected' }
  /** The head for the endpoint is written: its lines, the first one first. */
  | { readonly kind: 'sending'; readonly head: string }
  | { readonly kind: 'responded'; readonly status: number }
  /** What follows an attempt whose response is not relayed. */
  | { readonly kind: 'attempt-failed'; readonly outcome: AttemptOutcome; readonly next: NextStep }
  /** Portico itself, or a policy, responds. */
  | { readonly kind: 'local-response'; readonly reason: LocalReason | 'policy'; readonly status: number }
  | { readonly kind: 'over'; readonly exchange: ExchangeRecord };

/** Looks on while an exchange runs, and changes nothing. Never throws. */
export interface ExchangeObserver {
  on(event: ExchangeEvent): void;
}
