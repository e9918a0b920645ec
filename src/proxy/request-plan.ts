import { type HeaderField } from '../http/head-edit.ts';
import { errorFields, errorPageFields, errorPageTarget } from '../http/error-request.ts';
import { type Forwarding, forwarding } from '../http/forwarded.ts';
import { hopsOf } from '../http/loop.ts';
import { type FieldsView, type HeadEdit } from '../http/head-edit.ts';
import type { ResponseEdit } from '../http/response-edit.ts';
import { namespaceOf } from '../model/objects.ts';
import { FieldKind } from '../http/field-names.ts';
import { authorityOf } from '../http/path.ts';
import { HeadText, NO_FIELDS } from '../http/head-text.ts';
import {
  type LocalReason,
  type LocalResponse,
  languageOf,
  localResponse,
  redirection,
} from '../http/local-response.ts';
import { RequestEdit } from '../http/request-view.ts';
import { type BoundPolicies, NO_POLICIES, alsoAtResponse } from '../policies/bound-policies.ts';
import { type BoundPolicy, CONTINUE, type Verdict } from '../policies/policy.ts';
import type { ResponseRateConfig } from '../policies/response-rate.ts';
import { askPolicies, editResponse } from '../policies/run-policies.ts';
import { type Decision, type Forward, policiesToAsk } from '../routing/decide.ts';
import { ContentEncoder } from './content-encoder.ts';
import { RelayedFields } from './downstream/http1/client-head.ts';
import type { RequestHead } from './downstream/http1/request-head.ts';
import type { EngineState } from './engine-state.ts';
import { affinitySession } from './balance/affinity-session.ts';
import { callTimeoutMs } from './grpc.ts';
import { text } from './http1/bytes.ts';
import type { Trailers } from './http1/field-block.ts';
import { NO_TRAILERS } from './http2/fields.ts';

import { NO_TRACE } from '../http/trace-ids.ts';
import { changesTrace, untoldTrace } from './tracing/request-trace.ts';
import type { Tracer } from './tracing/tracer.ts';
import type { NativeRecord } from './native-record.ts';
import { hashOf } from './balance/hash-by.ts';
import type { UpstreamDeadlines } from './route-deadlines.ts';
import type { Downstream } from './downstream/downstream.ts';
import {
  incomingForwarding,
  isDropped,
  upgradeOf,
  upstreamHead,
  withIngressNginxFields,
} from './upstream/http1/upstream-head.ts';
import type { ResponseHead } from './upstream/http1/response-head-parser.ts';
import { type UpstreamTransport, upstreamTransport } from './upstream/upstream-transport.ts';

interface Source {
  readonly head: RequestHead;
  readonly bytes: Buffer;
  readonly base: number;
  readonly way: Forwarding;
  readonly edit: RequestEdit;
  /** The head is not that of the read any more. */
  readonly isKept: boolean;
}

/**
 * What is to be done with a request, worked out from its head in this order: facts, decision, policies, the head for the
 * upstream. No step looks at what comes after it, and a local response looks at none of what goes to the upstream.
 */
export class RequestPlan {
  readonly #engine: EngineState;
  readonly #client: Downstream;
  readonly #record: NativeRecord;
  #policies: BoundPolicies;
  /** Those of them that are asked about the request. */
  #asked: readonly BoundPolicy[] = [];
  /** Those that are told of its end. */
  #toComplete: readonly BoundPolicy[] = [];
  #accept: string | undefined;

  /** Whether another backend answers in place of the route's own, for a request of Portico's. */
  isReplaced = false;
  /** Null until the head was read. */
  decision: Decision | null = null;
  /** How the upstreams of the decision are spoken to; null where none is. */
  transport: UpstreamTransport | null = null;
  isGrpc = false;
  /** The protocol that the client asks for with `Upgrade`; null for none. */
  upgrade: string | null = null;
  /** The time that the request has: of its route, and of a gRPC call its own; null for none. */
  callTimeoutMs: number | null = null;
  /** The largest body that the route takes. */
  maxBodyBytes = Number.POSITIVE_INFINITY;
  /** A body with at most so many bytes is read whole before it is sent. */
  gatherBytes: number;
  /** A policy asks about it: it is read whole before that, whether its length is known or not. */
  gathersAll = false;
  /** The most bytes that the head of the response may have. */
  maxHeadBytes: number;
  /** How fast the response is sent; null as fast as the client takes it. */
  responseRate: ResponseRateConfig | null = null;
  /** How long the upstream is waited for. */
  deadlines: UpstreamDeadlines;
  /** What a consistent hash is taken of. */
  hash = '';
  /** For the upstream, in Latin-1 and without the empty line: the same for each endpoint that is tried. */
  head = '';
  /** What that head is put together from once the policies have been asked; null where there is nothing to ask. */
  #source: Source | null = null;
  /** What the policies changed; null until they all have been asked. */
  #edit: RequestEdit | null = null;
  #keptBytes = 0;
  /** Of the request, once they have come. */
  #trailers: Trailers = NO_TRAILERS;

  constructor(engine: EngineState, client: Downstream, record: NativeRecord) {
    this.#engine = engine;
    this.#client = client;
    this.#record = record;
    this.#policies = engine.context.policies(null);
    const { bufferBytes, headBytes } = engine.context.limits;
    this.gatherBytes = bufferBytes;
    this.maxHeadBytes = headBytes;
    this.deadlines = engine.routeDeadlines.of(null);
  }

  /** The facts, and by them the decision. */
  read(head: RequestHead, bytes: Buffer, base: number): void {
    const { context } = this.#engine;
    const record = this.#record;
    if (head.hasUnderscored && !context.underscoresInHeaders) {
      record.droppedFields = head.fields.drop(FieldKind.underscored);
    }
    if (head.host === '') head.assumeHost(authorityOf(head.target) || this.#client.ownAuthority);
    this.#accept = head.accept(bytes, base);
    this.isGrpc = head.isGrpc;
    this.upgrade = upgradeOf(head, bytes, base);
    const { connectionInfo } = this.#client;
    const incoming = incomingForwarding(head, bytes, base, connectionInfo);
    let way = forwarding(connectionInfo, incoming, context.trustedProxies);
    if (context.ingressNginxFields) way = withIngressNginxFields(way, head, bytes, base);
    record.clientAddress = way.realIp;
    record.requestId = way.requestId;
    record.loop = way.loop;
    record.hops = hopsOf(incoming.loop);
    record.scheme = way.scheme;

    record.fields = this.#engine.headFields.of(head, bytes, base);
    const decision = context.decide(record);
    const { route } = decision;
    this.decision = decision;
    record.route = route;
    if (context.keepFields) record.keptFields = context.keepFields(record.fields, route);
    if (context.tracer) this.#trace(context.tracer, head);
    if (context.debug) record.observer = context.debug.begin(record);
    record.fields = NO_FIELDS;
    record.observer?.on({ kind: 'decided', decision });
    const policies = route === null ? null : route.policies;
    if (policies !== null) {
      this.#policies = context.policies(policies);
      const askedBytes = policies.configs['external-auth-filter']?.maxBodyBytes ?? 0;
      if (askedBytes > 0) {
        this.gathersAll = true;
        this.gatherBytes = askedBytes;
        this.maxBodyBytes = askedBytes;
      }
    }
    this.#toComplete = this.#policies.onComplete;
    if (policies !== null || this.#policies.onRequest.length > 0)
      record.fields = new HeadText(text(bytes, base, base + head.length));
    this.#asked = policiesToAsk(decision, this.#policies);
    if (decision.kind !== 'forward') return;
    record.backend = decision.backend.key;
    if (decision.canary !== null) record.canary = decision.canary;
    if (policies !== null) {
      this.deadlines = this.#engine.routeDeadlines.of(policies);
      const { affinity, 'request-body': body, 'response-head': responseHead } = policies.configs;
      this.maxHeadBytes = Math.max(this.maxHeadBytes, responseHead?.maxBytes ?? 0);
      this.responseRate = policies.configs['response-rate'] ?? null;
      this.maxBodyBytes = Math.min(this.maxBodyBytes, body?.maxBytes ?? this.maxBodyBytes);
      if (!this.gathersAll)
        this.gatherBytes = Math.min(this.gatherBytes, body?.gatherBytes ?? this.gatherBytes);
      this.callTimeoutMs = policies.configs['request-timeout']?.totalMs ?? null;
      if (affinity !== undefined) this.#beginSession(decision);
    }
    this.hash = hashOf(decision, record);
    this.transport = upstreamTransport(decision.route, decision.backend, context.secret, connectionInfo.tls);
    if (this.transport.http2) {
      const own = callTimeoutMs(head.fields.valueOfName(bytes, base, 'grpc-timeout'));
      this.callTimeoutMs = least(own, this.callTimeoutMs);
    }
    const { replaces } = decision;
    if (this.#asked.length > 0 || replaces !== undefined) {
      const edit = new RequestEdit(record);
      if (replaces !== undefined)
        for (const [name, value] of errorFields(replaces, record, decision.route)) edit.set(name, value);
      this.#source = { head, bytes, base, way, edit, isKept: false };
    } else {
      this.head = upstreamHead(head, bytes, base, connectionInfo, way, this.upgrade, null);
    }
  }

  /** Pods are told of the span for each attempt in the place of what the client says. */
  #trace(tracer: Tracer, head: RequestHead): void {
    const record = this.#record;
    const trace = tracer.begin(record, head.hasTraceFields, record.durationMs);
    if (typeof trace === 'string') record.headEnd = trace;
    else record.trace = trace;
    if (!head.hasTraceFields || trace === null) return;
    if (typeof trace !== 'string' && !trace.replacesFields) return;
    for (const kind of tracer.ownFields) head.fields.drop(kind);
  }

  /** A field of traces that policies set or take away is theirs. */
  #editTrace(edit: RequestEdit): void {
    const record = this.#record;
    if (record.trace !== null) record.trace.edited(edit);
    else if (record.headEnd !== NO_TRACE && changesTrace(edit, ['tracecontext']))
      record.trace = untoldTrace(record.traceId);
  }

  /** The head for the attempt that is under way, which is about to be sent. */
  headForAttempt(): string {
    const { trace, headEnd, observer } = this.#record;
    const head = trace === null ? `${this.head}${headEnd}` : trace.complete(this.head);
    observer?.on({ kind: 'sending', head });
    return head;
  }

  /** The client stays with an endpoint: its cookie says with which, or the response will. */
  #beginSession({ route, backend }: Forward): void {
    const record = this.#record;
    const session = affinitySession(route, backend, record, this.#engine.context.now());
    record.session = session;
    if (session) this.#policies = alsoAtResponse(this.#policies, session);
  }

  /** What the policies of the route make of the request. To be asked once, before the next read. */
  ask(): Verdict | Promise<Verdict> {
    if (this.#asked.length === 0) return CONTINUE;
    const source = this.#source;
    // Where nothing goes to an endpoint, nothing becomes of an edit.
    const edit = source?.edit ?? new RequestEdit(this.#record);
    const verdict = askPolicies(this.#asked, this.#record, edit);
    if (source !== null && verdict instanceof Promise) {
      // The next read overwrites both.
      const { head, bytes, base } = source;
      const copy = Buffer.from(bytes.subarray(base, base + head.length));
      this.#source = { ...source, head: this.#engine.keepHead(head), bytes: copy, base: 0, isKept: true };
    }
    return verdict;
  }

  /** Puts the head for the upstream together as the policies changed it. */
  compose(): void {
    const source = this.#source;
    if (source === null) return;
    this.#source = null;
    const { head, bytes, base, way } = source;
    this.#keptBytes = source.edit.keptBytes;
    // Most policies only look at a request.
    const edit = source.edit.isEmpty ? null : source.edit;
    this.head = upstreamHead(head, bytes, base, this.#client.connectionInfo, way, this.upgrade, edit);
    if (source.isKept) this.#engine.returnHead(head);
    this.#edit = edit;
    if (edit !== null) this.#editTrace(edit);
    this.#editTrailers();
  }

  /** Of the head for the upstream, and of what policies keep until the response. */
  get heldBytes(): number {
    return this.head.length + this.#keptBytes;
  }

  dropHead(): void {
    this.head = '';
    this.#record.fields = NO_FIELDS;
  }

  /** Takes out of the trailers of the request what the upstream must not get. They may come while policies are asked. */
  takeTrailers(trailers: Trailers): void {
    if (trailers.trailers && !this.#engine.context.underscoresInHeaders) {
      this.#record.droppedFields += trailers.trailers.drop(FieldKind.underscored);
    }
    this.#trailers = trailers;
    this.#editTrailers();
  }

  /** A field that policies set or take away is not told in a trailer, either. */
  #editTrailers(): void {
    const { trailers, trailerBytes } = this.#trailers;
    if (this.#edit === null || trailers === null || trailerBytes === null) return;
    for (let field = 0; field < trailers.count; field++) {
      if (isDropped(this.#edit, trailers, trailerBytes, 0, field)) trailers.dropAt(field);
    }
  }

  /**
   * Has another backend answer where a response has this status, of the Pod or of Portico itself for a reason; whether there
   * is one. It is asked once, for its page about the error.
   */
  replace(status: number, reason: LocalReason | null): boolean {
    const { route } = this.#record;
    const { decision } = this;
    if (route === null || this.isReplaced || this.isGrpc) return false;
    if (decision?.kind === 'forward' && decision.replaces !== undefined) return false;
    const backend = this.#engine.context.replacingBackend(route, status, reason);
    if (backend === null) return false;
    const record = this.#record;
    this.isReplaced = true;
    // How the Pods of the route are spoken to, and for how long, says nothing of this one.
    this.decision = { kind: 'forward', route: { ...route, policies: null }, backend, canary: null };
    this.deadlines = this.#engine.routeDeadlines.of(null);
    this.hash = record.clientAddress;
    this.callTimeoutMs = null;
    this.upgrade = null;
    record.backend = backend.key;
    record.canary = '';
    record.session = null;
    const method = record.method === 'HEAD' ? 'HEAD' : 'GET';
    const target = errorPageTarget(record);
    record.trace?.asks(target);
    const line = ([name, value]: HeaderField): string => `${name}: ${value}\r\n`;
    this.head = `${method} ${target} HTTP/1.1\r\n${errorPageFields(status, record, route).map(line).join('')}`;
    return true;
  }

  /** What Portico says to the client for a reason, in the language of its request. */
  localResponse(reason: LocalReason): LocalResponse {
    const language = languageOf(this.#accept, this.isGrpc);
    const { decision } = this;
    if (decision?.kind === 'redirect' && reason === decision.reason) {
      return redirection(decision.location, language, decision.status);
    }
    return localResponse(reason, language);
  }

  /** What policies change in the head of a response that is relayed; null for nothing. */
  editRelayed(head: ResponseHead, bytes: Buffer, base: number): ResponseEdit | null {
    if (this.#policies.onResponse.length === 0) return null;
    const hasRoom = this.#engine.encoders.hasRoom(this.#namespace);
    const encodable = hasRoom && this.upgrade === null ? head : null;
    const fields = new RelayedFields(head, bytes, base);
    return editResponse(this.#policies.onResponse, fields, this.#record, encodable);
  }

  /** What encodes the content of that response, where a policy asks for it; otherwise null. */
  openEncoder(edit: ResponseEdit | null, { contentLength }: ResponseHead): ContentEncoder | null {
    if (edit === null || edit.encoding === null) return null;
    const { encoders } = this.#engine;
    const isStream = contentLength < 0;
    return new ContentEncoder(edit.encoding, isStream, this.#client, this.#record, encoders, this.#namespace);
  }

  /** Of the Ingress; empty where there is none. */
  get #namespace(): string {
    return namespaceOf(this.#record.route?.ingress ?? '');
  }

  /** The same for a response of Portico's own. */
  editResponse(fields: FieldsView): HeadEdit | null {
    return editResponse(this.#policies.onResponse, fields, this.#record);
  }

  /** The exchange is over. */
  complete(): void {
    for (const policy of this.#toComplete) policy.onComplete?.(this.#record);
  }

  /** From now on no policy is asked: one of them may be what threw. */
  dropPolicies(): void {
    this.#policies = NO_POLICIES;
  }
}

/** The shorter of two times; null is any time. */
function least(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b;
  return Math.min(a, b);
}
