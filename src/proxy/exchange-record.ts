import type { AuthOutcome } from '../http/auth-outcome.ts';
import type { ConnectionInfo } from '../http/connection-info.ts';
import type { BackendKey, Route } from '../routing/table.ts';
import type { AttemptOutcome } from './attempt.ts';
import type { RequestTrace } from './tracing/request-trace.ts';
import type { ConnectFailure } from './upstream/connect-failure.ts';

/** One request and its response, as it is accounted when it is over. */
export interface ExchangeRecord {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly durationMs: number;
  readonly clientAddress: string;
  /** How its connection came. */
  readonly connectionInfo: ConnectionInfo;
  /** What the client spoke, to us or to a trusted proxy in front of us. */
  readonly scheme: 'http' | 'https';
  readonly method: string;
  readonly host: string;
  /** The request-target as received. */
  readonly target: string;
  readonly httpVersion: string;
  /** As sent to the client; 499 when it left first, 101 for a tunnel. */
  readonly status: number;
  readonly route: Route | null;
  /** The one of the route that it was sent to; empty when none was chosen. */
  readonly backend: BackendKey;
  /** `namespace/name` of the Ingress that brings that backend, where it is a canary; otherwise empty. */
  readonly canary: string;
  /** `address:port` of the endpoint that answered or was tried last; empty when none was. */
  readonly endpoint: string;
  readonly attempts: number;
  /** Each of them, in order. */
  readonly upstreams: readonly UpstreamAttempt[];
  /** Why connections could not be made, one for each attempt that had none. */
  readonly connectFailures: readonly ConnectFailure[];
  /** Of the request line and the fields, as HTTP/1.1 writes them; 0 when the request never came to a head. */
  readonly headBytes: number;
  /** Of the body as the upstream got it, without framing. */
  readonly requestBytes: number;
  /** Of the body as it was given to the client, without framing. */
  readonly responseBytes: number;
  readonly requestId: string;
  /** Of its trace, 32 hexadecimal digits; empty where requests are not traced. */
  readonly traceId: string;
  /** What the access log kept of the fields of the request. */
  readonly keptFields: KeptFields;
  /** Null where there are no spans of it and the client says nothing of a trace. */
  readonly trace: RequestTrace | null;
  /** The policy that responded in place of an endpoint; empty where none did. */
  readonly policy: string;
  /** What policies found that decide who gets in. */
  readonly auths: readonly AuthOutcome[];
  /** Fields that did not go to the upstream because their names have underscores. */
  readonly droppedFields: number;
  /**
   * Why Portico itself responded or aborted; empty when the response was relayed. A `LocalReason`, and
   * after it what exactly was wrong, where that is known: `bad-framing: several-content-lengths`,
   * `upstream-unreachable: EHOSTUNREACH`.
   */
  readonly detail: string;
}

/** What the access log kept of a request: values in an order of its own, as bytes in Latin-1. */
export interface KeptFields {
  readonly values: readonly (string | undefined)[];
}

/** Where it keeps nothing. */
export const NO_KEPT_FIELDS: KeptFields = { values: [] };

/** One try at one endpoint. Times are in milliseconds. */
export interface UpstreamAttempt {
  /** `address:port` */
  readonly endpoint: string;
  /** Since the exchange began. */
  readonly startMs: number;
  /** What making a connection took; 0 on one that was there, null where none was made. */
  readonly connectMs: number | null;
  /** From its start to the head of the response; null where none came. */
  readonly headMs: number | null;
  /** From its start to its end. */
  readonly durationMs: number;
  /** Of the response; 0 where none came. */
  readonly status: number;
  /** How it failed; empty for one that did not. */
  readonly failure: AttemptOutcome['kind'] | '';
}
