import { type AuthOutcome, NO_AUTHS } from '../http/auth-outcome.ts';
import { Cancellation } from '../http/subrequest.ts';
import { NO_CONTENT, type RequestContent } from '../http/request-content.ts';
import { performance } from 'node:perf_hooks';
import type { BackendKey, Route } from '../routing/table.ts';
import type { LocalReason } from '../http/local-response.ts';
import type { ExchangeObserver } from './exchange-event.ts';
import { type ExchangeRecord, NO_KEPT_FIELDS } from './exchange-record.ts';
import { NO_ATTEMPTS, OpenAttempt } from './open-attempt.ts';
import type { FieldsView, HeaderField } from '../http/head-edit.ts';
import { HeadText, NO_FIELDS } from '../http/head-text.ts';
import type { Verdict } from '../policies/policy.ts';
import type { MatchedRule, RequestView } from '../http/request-view.ts';
import { matchedRule } from '../routing/matched-rule.ts';
import type { AffinitySession } from './balance/affinity-session.ts';
import type { ConnectionInfo } from '../http/connection-info.ts';
import { NO_TRACE, traceIdOf } from '../http/trace-ids.ts';
import type { RequestTrace } from './tracing/request-trace.ts';
import type { BodyFault } from './http1/body-reader.ts';
import { type ConnectError, type ConnectFailure, NO_FAILURES } from './upstream/connect-failure.ts';
import type { RequestFault, RequestHead } from './downstream/http1/request-head.ts';
import type { ResponseFault } from './upstream/http1/response-head-parser.ts';

export type HttpVersion = '1.0' | '1.1' | '2';

/** What becomes known of an exchange while it runs, and is accounted when it is over. */
export class NativeRecord implements ExchangeRecord, RequestView {
  readonly startedAt: number;
  readonly connectionInfo: ConnectionInfo;
  /** Until it is over, the time on the monotonic clock when it began. */
  durationMs = performance.now();
  clientAddress: string;
  scheme: 'http' | 'https';
  readonly method: string;
  readonly host: string;
  readonly target: string;
  readonly httpVersion: HttpVersion;
  status = 0;
  route: Route | null = null;
  backend: BackendKey = '';
  canary = '';
  session: AffinitySession | null = null;
  endpoint = '';
  attempts = 0;
  upstreams: readonly OpenAttempt[] = NO_ATTEMPTS;
  connectFailures = NO_FAILURES;
  readonly headBytes: number;
  requestBytes = 0;
  responseBytes = 0;
  requestId = '';
  loop = '';
  hops = 0;
  keptFields = NO_KEPT_FIELDS;
  policy = '';
  auths = NO_AUTHS;
  /** How its head for endpoints ends where there is no `trace`. */
  headEnd = NO_TRACE;
  /** Null where the request is not traced, or how its head ends is all there is to it. */
  trace: RequestTrace | null = null;
  /** What looks on; null for nobody, as nearly always. */
  observer: ExchangeObserver | null = null;
  droppedFields = 0;
  detail = '';
  /** What policies look up in the head of the request. */
  fields: FieldsView = NO_FIELDS;
  body: RequestContent = NO_CONTENT;
  #cancellation: Cancellation | null = null;

  /** `head` is null when the request never came to one. */
  constructor(startedAt: number, connectionInfo: ConnectionInfo, head: RequestHead | null, http2: boolean) {
    this.startedAt = startedAt;
    this.connectionInfo = connectionInfo;
    this.clientAddress = connectionInfo.clientAddress;
    this.scheme = connectionInfo.scheme;
    this.method = head?.method ?? '';
    this.host = head?.host ?? '';
    this.target = head?.target ?? '';
    this.headBytes = head?.length ?? 0;
    this.httpVersion = http2 ? '2' : head?.minor === 0 ? '1.0' : '1.1';
  }

  /** Drawn when it is asked for, which few routes do. */
  get random(): number {
    return Math.random();
  }

  get rule(): MatchedRule | null {
    return matchedRule(this.route, this.target);
  }

  get cancellation(): Cancellation {
    return (this.#cancellation ??= new Cancellation());
  }

  get traceId(): string {
    return this.trace?.traceId ?? traceIdOf(this.headEnd);
  }

  value(name: string): string | undefined {
    return this.fields.value(name);
  }

  allFields(): readonly HeaderField[] {
    return this.fields instanceof HeadText ? this.fields.all() : [];
  }

  values(name: string): readonly string[] {
    return this.fields.values(name);
  }

  /** One more endpoint is tried. */
  beginAttempt(endpoint: string): OpenAttempt {
    const attempt = new OpenAttempt(endpoint, this.durationMs, performance.now());
    this.endpoint = endpoint;
    this.attempts++;
    this.upstreams = this.upstreams === NO_ATTEMPTS ? [attempt] : [...this.upstreams, attempt];
    return attempt;
  }

  noteAuth(outcome: AuthOutcome): void {
    this.auths = [...this.auths, outcome];
  }

  /** What the policies of the route make of it. */
  judged(verdict: Verdict): void {
    if (verdict.kind !== 'continue') this.policy = verdict.by ?? '';
    this.observer?.on({ kind: 'policies', verdict });
  }

  /** Portico itself, or a policy, responds with this status. */
  respondedLocally(reason: LocalReason | 'policy', status: number): void {
    this.status = status;
    this.observer?.on({ kind: 'local-response', reason, status });
  }

  connectFailed(failure: ConnectFailure): void {
    this.connectFailures = [...this.connectFailures, failure];
  }

  /** The exchange is over. Some records are kept for a while, and what they lead to with them. */
  close(): void {
    this.#cancellation?.cancel();
    this.body = NO_CONTENT;
    this.durationMs = performance.now() - this.durationMs;
    this.observer?.on({ kind: 'over', exchange: this });
  }
}

/** `bad-framing: several-content-lengths`: the reason, and what its reader found where that says more; otherwise ''. */
export function detailOf(reason: LocalReason, fault: ReaderFault): string {
  return fault === '' || fault === reason ? reason : `${reason}: ${fault}`;
}

/** What is wrong with a message or a connection, as finely as it is known; empty when the reason says it all. */
export type ReaderFault = '' | RequestFault | ResponseFault | BodyFault | 'too-many-interims' | ConnectError;
