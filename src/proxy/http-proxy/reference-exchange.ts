import type {
  ClientRequest,
  IncomingMessage,
  InformationEvent,
  OutgoingMessage,
  ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type ProxyServer from 'http-proxy';
import { type HeaderField, applyEdit, fieldsViewOf } from '../../http/head-edit.ts';
import {
  type LocalReason,
  type LocalResponse,
  type MessageFault,
  languageOf,
  localResponse,
  redirection,
  statusOf,
} from '../../http/local-response.ts';
import { type AttemptOutcome, type NextStep, afterAttempt } from '../attempt.ts';
import { type EndpointState, recordLatency } from '../balance/endpoint-state.ts';
import type { EngineContext } from '../engine.ts';
import { type BoundPolicies, NO_POLICIES } from '../../policies/bound-policies.ts';
import { editResponse } from '../../policies/run-policies.ts';
import { reset } from '../tls/termination.ts';
import { retryRules } from '../retry-rules.ts';
import { type RouteTimeouts, routeTimeouts } from '../route-deadlines.ts';
import { DISCARD_MS, isDiscardable } from '../unread-body.ts';
import { type AttemptAt, type ConnectTime, attemptAt, connectTime } from './attempt-at.ts';
import { ExchangeTimers } from './exchange-timers.ts';
import { isClosing, serveNoMore } from './last-response.ts';
import type { OpenAttempt } from '../open-attempt.ts';
import { type ReferenceRecord, connectionInfoOf, openLedger, requestView } from './reference-record.ts';
import {
  type ForwardPlan,
  type Plan,
  type Prepared,
  type UpstreamRequest,
  planReplacement,
  planRequest,
  prepare,
} from './plan.ts';
import type { RequestView } from '../../http/request-view.ts';
import type { ReferencePool } from './reference-pool.ts';
import { relayInterim, relayedFields, relayedTrailers } from './reference-response-head.ts';

/** What the exchanges of an engine share. */
export interface ReferenceState {
  readonly context: EngineContext;
  readonly pool: ReferencePool;
  readonly proxy: ProxyServer;
  draining: boolean;
  /** The numbers of listeners that accept no more, until their connections are gone. */
  readonly closingListeners: Set<number>;
  /** Attempts that have no connection yet. */
  readonly connecting: Set<AttemptAt>;
  /** Each aborts its exchange at once. */
  readonly live: Set<() => void>;
  /** Each tells both sides of its tunnel that Portico goes away, and ends it. */
  readonly tunnels: Set<() => void>;
  /** By connection: how to refuse the request whose body is being read, when it turns out to be malformed. */
  readonly readers: WeakMap<Socket, (reason: MessageFault) => void>;
}

/** What the Expect field asks for, as Node's parser tells it apart. */
export type Expects = 'nothing' | 'continue' | 'unknown';

/**
 * The life of one exchange, from the request head to its record. http-proxy makes the request to the upstream;
 * when it is made, what flows through it and how it ends is decided here.
 */
export class ReferenceExchange {
  readonly #shared: ReferenceState;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #expects: Expects;
  readonly #record: ReferenceRecord;
  readonly #plan: Plan;
  readonly #view: RequestView;
  readonly #hasBody: boolean;
  readonly #tried: EndpointState[] = [];
  readonly #timeouts: RouteTimeouts;
  readonly #startedAt = performance.now();
  readonly #time: ConnectTime;
  readonly #bodyIdle: NodeJS.Timeout;
  readonly #timers = new ExchangeTimers();
  #policies: BoundPolicies;
  #resets = 0;
  #attempt: AttemptAt | null = null;
  /** Which response the client gets is settled: no other attempt is made, and no other response. */
  #answered = false;
  #complete = false;
  /** Once the policies of the route let it go on. */
  #upstreamRequest: UpstreamRequest | null = null;
  /** Another backend answers, for a request without a body. */
  #isReplaced = false;
  /** The client was told to send its body. */
  #continued = false;
  #upstreamIdle: NodeJS.Timeout | undefined;
  #sendTimer: NodeJS.Timeout | undefined;
  #continueTimer: NodeJS.Timeout | undefined;

  constructor(shared: ReferenceState, request: IncomingMessage, response: ServerResponse, expects: Expects) {
    const { context } = shared;
    this.#shared = shared;
    this.#request = request;
    this.#response = response;
    this.#expects = expects;
    this.#record = openLedger(context, request, connectionInfoOf(request.socket));
    this.#plan = planRequest(context, request, this.#record);
    this.#view = requestView(request, this.#record);
    this.#policies = this.#plan.policies;
    this.#hasBody = this.#plan.head !== null && this.#plan.head.body !== 'none';
    const { limits } = context;
    const configs = this.#record.route?.policies?.configs ?? {};
    this.#timeouts = routeTimeouts(configs, limits);
    const rules = retryRules(configs.retries, limits);
    this.#time = connectTime(this.#timeouts, rules);
    const onBodyIdle = this.#guarded(() => this.#onBodyIdle());
    this.#bodyIdle = setTimeout(onBodyIdle, context.limits.bodyIdleTimeoutMs);
  }

  /** Serves it; how it ended is in its record. */
  start(): void {
    this.#listen();
    if (this.#expects === 'unknown' && this.#plan.kind === 'forward')
      return this.#refuse('expectation-unknown');
    try {
      const prepared = prepare(this.#plan, this.#view);
      if (prepared instanceof Promise) {
        prepared.then(
          this.#guarded((done) => this.#onPrepared(done)),
          (fault) => this.#onFault(fault),
        );
      } else this.#onPrepared(prepared);
    } catch (fault) {
      this.#onFault(fault);
    }
  }

  #listen(): void {
    const request = this.#request;
    const { live, readers } = this.#shared;
    const maxBodyBytes = this.#record.route?.policies?.configs['request-body']?.maxBytes ?? Infinity;
    live.add(this.#abort);
    this.#response.on(
      'close',
      this.#guarded(() => this.#finish()),
    );
    this.#response.on('error', () => undefined);
    request.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => {
      this.#record.requestBytes += chunk.length;
      if (this.#record.requestBytes > maxBodyBytes && !this.#answered && !this.#isReplaced) {
        this.#attempt?.request.destroy();
        return this.#refuse('body-too-large');
      }
      this.#bodyIdle.refresh();
      this.#upstreamIdle?.refresh();
    });
    // 'data' alone would start the flow before there is a connection to send it to.
    request.pause();
    request.on('end', () => {
      clearTimeout(this.#bodyIdle);
      readers.delete(request.socket);
    });
    if (this.#hasBody) readers.set(request.socket, (reason) => this.#refuse(reason));
    else request.resume();
  }

  /** Something threw while this exchange was handled: it is answered with 500, or aborted, and touches no other. */
  #onFault(fault: unknown): void {
    this.#shared.context.onFault(fault);
    this.#policies = NO_POLICIES;
    if (this.#complete) this.#request.socket.destroy();
    else this.#refuse('internal-fault');
  }

  #guarded<A extends unknown[]>(step: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      try {
        step(...args);
      } catch (fault) {
        this.#onFault(fault);
      }
    };
  }

  #onPrepared(prepared: Prepared): void {
    // A policy may have been asked since the end.
    if (this.#complete) return this.#tellPolicies();
    if (this.#answered) return;
    if (prepared.kind !== 'send') this.#record.policy = prepared.by ?? '';
    if (prepared.kind === 'respond') {
      this.#record.detail = prepared.detail ?? '';
      return this.#respond(prepared.response);
    }
    if (prepared.kind === 'refuse') return this.#refuse(prepared.reason);
    const { plan } = prepared;
    this.#upstreamRequest = prepared.upstreamRequest;
    const whole = plan.route.policies?.configs['request-timeout']?.totalMs ?? null;
    this.#timers.start(
      'whole',
      whole,
      this.#guarded(() => this.#refuse('deadline-exceeded')),
    );
    const pending = this.#shared.context.endpoints.pending(plan.backend);
    if (pending) void pending.finally(this.#guarded(() => this.#tryNext(plan)));
    else this.#tryNext(plan);
  }

  #tryNext(plan: ForwardPlan): void {
    if (this.#complete || this.#answered || !this.#upstreamRequest) return;
    const { pool, proxy } = this.#shared;
    const state = plan.choose(this.#tried);
    if (state === null) return this.#refuse('no-endpoint');
    this.#tried.push(state);
    const entry = this.#record.beginAttempt(state.key);
    pool.revive(state.key);
    const tls = plan.speaksTls();
    const { address, port } = state.endpoint;
    this.#request.headers = {
      ...this.#upstreamRequest.fields,
      ...(plan.head.body === 'chunked' && { 'Transfer-Encoding': 'chunked' }),
    };
    const options = {
      target: { protocol: tls ? 'https:' : 'http:', host: address, hostname: address, port: String(port) },
      agent: tls ? pool.tls : pool.plain,
      secure: false,
      ignorePath: true,
      selfHandleResponse: true,
      ...(this.#isReplaced && { method: this.#request.method === 'HEAD' ? 'HEAD' : 'GET' }),
      // http-proxy pipes this instead of the request: the body stays here until there is a connection.
      buffer: bodySource((upstream) => this.#send(plan, state, upstream, entry)),
    };
    try {
      // Errors are seen on the request to the upstream itself.
      proxy.web(this.#request, this.#response, options, () => undefined);
    } catch {
      // Node writes less than it reads: one client's field must not end the process.
      this.#refuse('internal-fault');
    }
  }

  #send(plan: ForwardPlan, state: EndpointState, upstream: ClientRequest, entry: OpenAttempt): void {
    const { context, connecting } = this.#shared;
    const request = this.#request;
    // Set here since http-proxy would collapse `//`.
    upstream.path = this.#upstreamRequest?.target ?? '/';
    if (this.#expects === 'continue' && !this.#isReplaced) upstream.setHeader('Expect', '100-continue');
    const record = this.#record;
    const isLast = plan.isLast(record.attempts);
    const attempt = attemptAt(
      state,
      upstream,
      { context, record, entry, time: this.#time, isLast, connecting },
      this.#guarded(() => this.#sendBody(upstream)),
      this.#guarded((outcome, detail) => {
        request.unpipe(upstream);
        this.#onFailed(plan, outcome, detail);
      }),
    );
    this.#attempt = attempt;
    upstream.on(
      'information',
      this.#guarded((interim: InformationEvent) => this.#onInterim(interim)),
    );
    upstream.on('upgrade', (_, socket) => {
      socket.destroy();
      attempt.fail({ kind: 'protocol-error' });
    });
    upstream.on(
      'response',
      this.#guarded((incoming: IncomingMessage) => {
        const { statusCode: status = 0 } = incoming;
        attempt.answered(status);
        const now = context.now();
        recordLatency(state, now - attempt.startedAt, now);
        if (this.#answered || this.#complete) return void incoming.destroy();
        if (this.#after(plan, { kind: 'answered', status }).kind === 'relay') return this.#relay(incoming);
        this.#request.unpipe(upstream);
        incoming.destroy();
        attempt.end();
        this.#onFailed(plan, { kind: 'answered', status }, '');
      }),
    );
  }

  #sendBody(upstream: ClientRequest): void {
    const { continueTimeoutMs } = this.#shared.context.limits;
    const { readMs, sendMs, attemptMs } = this.#timeouts;
    const onIdle = this.#guarded(() => this.#onUpstreamIdle());
    this.#upstreamIdle = setTimeout(onIdle, readMs);
    const onAttemptTimeout = this.#guarded(() => this.#onAttemptTimeout());
    if (!this.#isReplaced) this.#timers.start('attempt', attemptMs, onAttemptTimeout);
    if (!this.#hasBody || this.#isReplaced) return void upstream.end();
    flush(upstream);
    // What is piped pauses when the upstream takes no more.
    const onBlocked = this.#guarded(() => this.#onSendTimeout());
    this.#request.on('pause', () => (this.#sendTimer = setTimeout(onBlocked, sendMs)));
    this.#request.on('resume', () => clearTimeout(this.#sendTimer));
    if (this.#expects === 'continue' && !this.#continued)
      this.#continueTimer = setTimeout(() => this.#askForBody(), continueTimeoutMs);
    // A body without content ends although it is paused, maybe before there was a connection.
    if (this.#request.readableEnded) return this.#endBody(upstream);
    this.#request.once(
      'end',
      this.#guarded(() => this.#endBody(upstream)),
    );
    this.#request.pipe(upstream, { end: false });
  }

  /** The upstream does not answer; the client is not left waiting. */
  #askForBody(): void {
    if (this.#continued || this.#response.headersSent || this.#complete) return;
    if (this.#record.requestBytes > 0) return;
    this.#continued = true;
    this.#response.writeContinue();
  }

  #endBody(upstream: ClientRequest): void {
    if (upstream.destroyed) return;
    const { underscoresInHeaders } = this.#shared.context;
    const trailers = relayedTrailers(this.#request.rawTrailers).filter(
      ([name]) =>
        (underscoresInHeaders || !name.includes('_')) &&
        !this.#upstreamRequest?.edit?.drops(name.toLowerCase()),
    );
    if (trailers.length > 0) upstream.addTrailers(trailers);
    upstream.end();
  }

  #onInterim(interim: InformationEvent): void {
    this.#upstreamIdle?.refresh();
    if (interim.statusCode === 100 && this.#expects === 'continue') {
      if (this.#continued) return;
      this.#continued = true;
    }
    if (this.#request.httpVersion === '1.1' && !this.#response.headersSent)
      relayInterim(interim, this.#response);
  }

  #after(plan: ForwardPlan, outcome: AttemptOutcome): NextStep {
    return afterAttempt(outcome, {
      method: this.#request.method ?? '',
      attempts: this.#record.attempts,
      hops: this.#record.hops,
      rules: plan.retries,
      elapsedMs: performance.now() - this.#startedAt,
      hasAnother: plan.hasAnother(this.#tried),
      resets: this.#resets,
      replayable: this.#record.requestBytes === 0 || this.#isReplaced,
    });
  }

  #onFailed(plan: ForwardPlan, outcome: AttemptOutcome, detail: string): void {
    clearTimeout(this.#upstreamIdle);
    clearTimeout(this.#continueTimer);
    this.#timers.clear('attempt');
    if (this.#complete || this.#answered) return;
    if (outcome.kind === 'reset') this.#resets++;
    const step = this.#after(plan, outcome);
    switch (step.kind) {
      case 'relay':
        return;
      case 'retry-same-allowed':
        this.#tried.pop();
        return this.#tryAgain(plan);
      case 'retry-elsewhere':
        return this.#tryAgain(plan);
      case 'give-up':
        return this.#refuse(step.reason, detail);
      default:
        return step satisfies never;
    }
  }

  #tryAgain(plan: ForwardPlan): void {
    const { backoffMs } = plan.retries;
    const next = this.#guarded(() => this.#tryNext(plan));
    if (backoffMs === 0) next();
    else this.#timers.start('backoff', backoffMs, next);
  }

  #relay(incoming: IncomingMessage): void {
    const response = this.#response;
    const fields = relayedFields(incoming);
    const status = incoming.statusCode ?? 0;
    if (fields === null || status < 200) {
      incoming.destroy();
      return this.#refuse('upstream-protocol-error');
    }
    if (status >= 400 && this.#replace(status, null)) return void incoming.destroy();
    const edit = editResponse(this.#policies.onResponse, fieldsViewOf(fields), this.#view);
    const edited = edit === null ? fields : applyEdit(fields, edit);
    if (!this.#isReusable()) this.#close();
    try {
      response.writeHead(status, incoming.statusMessage, flat(edited));
    } catch {
      // A reason phrase with control characters, for one, can be read by Node and not written.
      incoming.destroy();
      return this.#refuse('upstream-protocol-error');
    }
    this.#answered = true;
    flush(response);
    incoming.on('data', (chunk: Buffer) => {
      this.#record.responseBytes += chunk.length;
      this.#upstreamIdle?.refresh();
    });
    response.on('drain', () => this.#upstreamIdle?.refresh());
    incoming.on('error', () => undefined);
    incoming.on(
      'end',
      this.#guarded(() => {
        const trailers = relayedTrailers(incoming.rawTrailers);
        if (trailers.length > 0) response.addTrailers(trailers);
        response.end();
      }),
    );
    // A body that stops short must not look whole to the client.
    incoming.on(
      'close',
      this.#guarded(() => {
        if (!incoming.complete) this.#refuse('upstream-reset');
      }),
    );
    incoming.pipe(response, { end: false });
  }

  /** Whether no more requests are wanted on the connection of the client. */
  get #isLast(): boolean {
    const { draining, closingListeners } = this.#shared;
    return draining || closingListeners.has(connectionInfoOf(this.#request.socket).listener ?? 0);
  }

  /** Whether the connection of the client may carry another request, once this response is complete. */
  #isReusable(): boolean {
    if (this.#isLast) return false;
    if (!this.#hasBody || this.#request.complete) return true;
    const { requestBytes } = this.#record;
    // A client that waits for `100 Continue` and is answered otherwise may or may not send its body.
    if (this.#expects === 'continue' && !this.#continued && requestBytes === 0) return false;
    return isDiscardable((this.#plan.head?.length ?? Infinity) - requestBytes);
  }

  #close(): void {
    this.#response.shouldKeepAlive = false;
    if (!this.#isLast || (this.#hasBody && !this.#request.complete)) serveNoMore(this.#request.socket);
  }

  #refuse(reason: LocalReason, detail = ''): void {
    if (this.#complete) return;
    // Now: Node may have the next request already.
    if (localResponse(reason, 'text').close) serveNoMore(this.#request.socket);
    this.#record.detail ||= detail === '' ? reason : `${reason}: ${detail}`;
    if (this.#response.headersSent) return this.#abort();
    if (this.#answered) return;
    this.#request.unpipe();
    if (this.#replace(statusOf(reason), reason)) return;
    this.#respondLater(() => this.#localResponse(reason));
  }

  /** Whether another backend answers in place of a response with this status. */
  #replace(status: number, reason: LocalReason | null): boolean {
    const { route } = this.#record;
    if (route === null || this.#isReplaced) return false;
    if (this.#plan.kind === 'forward' && this.#plan.replaces !== undefined) return false;
    const { context } = this.#shared;
    const replacement = planReplacement(context, this.#plan, this.#view, route, status, reason);
    if (replacement === null) return false;
    clearTimeout(this.#upstreamIdle);
    clearTimeout(this.#continueTimer);
    this.#timers.clear('whole', 'attempt', 'backoff');
    this.#isReplaced = true;
    this.#attempt?.answered();
    this.#attempt?.end();
    this.#attempt?.request.destroy();
    this.#tried.length = 0;
    this.#record.backend = replacement.plan.backend.key;
    this.#record.canary = '';
    this.#upstreamRequest = replacement.upstreamRequest;
    // What is still to come of the body goes to nobody.
    this.#request.unpipe();
    this.#request.resume();
    const pending = context.endpoints.pending(replacement.plan.backend);
    if (pending) void pending.finally(this.#guarded(() => this.#tryNext(replacement.plan)));
    else this.#tryNext(replacement.plan);
    return true;
  }

  /** What a policy responds. */
  #respond(made: LocalResponse): void {
    if (made.close) serveNoMore(this.#request.socket);
    this.#respondLater(() => made);
  }

  /** A small body is here by the next turn of the loop; a connection with the rest of one cannot be used again. */
  #respondLater(made: () => LocalResponse): void {
    this.#answered = true;
    this.#request.resume();
    if (this.#hasBody && !this.#request.complete) setImmediate(this.#guarded(() => this.#write(made())));
    else this.#write(made());
  }

  #localResponse(reason: LocalReason): LocalResponse {
    const language = languageOf(this.#plan.head?.accept, false);
    if (this.#plan.kind !== 'redirect' || reason !== this.#plan.reason)
      return localResponse(reason, language);
    return redirection(this.#plan.location, language, this.#plan.status);
  }

  #write(made: LocalResponse): void {
    const response = this.#response;
    if (this.#complete || response.headersSent) return;
    const edit = editResponse(this.#policies.onResponse, fieldsViewOf(made.fields), this.#view);
    const fields = edit === null ? made.fields : applyEdit(made.fields, edit);
    if (made.close || !this.#isReusable()) this.#close();
    this.#record.responseBytes = this.#request.method === 'HEAD' ? 0 : made.body.length;
    response.writeHead(made.status, made.reasonPhrase, flat(fields));
    response.end(made.body, 'latin1');
  }

  #onBodyIdle(): void {
    // The client is not to blame while the upstream does not take what is there.
    if (this.#attempt?.request.writableNeedDrain) this.#attempt.fail({ kind: 'timed-out' });
    else this.#refuse('request-timed-out');
  }

  #onAttemptTimeout(): void {
    if (this.#response.headersSent) this.#refuse('deadline-exceeded');
    else this.#attempt?.fail({ kind: 'timed-out' });
  }

  #onSendTimeout(): void {
    if (this.#attempt?.request.writableNeedDrain) this.#attempt.fail({ kind: 'timed-out' });
  }

  #onUpstreamIdle(): void {
    const { headersSent, writableNeedDrain } = this.#response;
    const awaitsBody = !this.#request.complete && !this.#attempt?.request.writableNeedDrain;
    if (awaitsBody && !headersSent) return void this.#upstreamIdle?.refresh();
    if (headersSent) this.#refuse(writableNeedDrain ? 'client-gone' : 'upstream-timed-out');
    else this.#attempt?.fail({ kind: 'timed-out' });
  }

  /** With a reset, so that a body that ends with the connection does not look whole. */
  readonly #abort = (): void => {
    this.#record.detail ||= 'draining' satisfies LocalReason;
    reset(this.#request.socket);
  };

  #tellPolicies(): void {
    for (const policy of this.#plan.policies.onComplete) policy.onComplete?.(this.#view);
  }

  #finish(): void {
    const request = this.#request;
    this.#complete = true;
    this.#view.cancellation.cancel();
    this.#tellPolicies();
    clearTimeout(this.#bodyIdle);
    clearTimeout(this.#upstreamIdle);
    clearTimeout(this.#sendTimer);
    clearTimeout(this.#continueTimer);
    this.#timers.clear('whole', 'attempt', 'backoff');
    this.#shared.live.delete(this.#abort);
    this.#attempt?.end();
    request.unpipe();
    request.resume();
    if (!request.complete && !isClosing(request.socket)) discard(request);
    // Nobody waits for what is still to come from the upstream, or to go there.
    if (this.#attempt && !this.#attempt.request.destroyed) this.#attempt.request.destroy();
    if (!this.#response.writableFinished) this.#record.detail ||= 'client-gone' satisfies LocalReason;
    if (this.#record.detail === 'client-gone') this.#record.close(statusOf('client-gone'));
    else this.#record.close(this.#response.headersSent ? this.#response.statusCode : statusOf('draining'));
  }
}

/** Node reads the rest of the body on, and then the next request; this bounds how long it may take. */
function discard(request: IncomingMessage): void {
  const timer = setTimeout(() => request.socket.destroy(), DISCARD_MS).unref();
  request.once('close', () => clearTimeout(timer));
}

/** What http-proxy takes for the request's body: it calls `pipe` once, with the request to the upstream. */
function bodySource(pipe: (upstream: ClientRequest) => void): Readable {
  return { pipe } as unknown as Readable;
}

/** Sends the head before there is a body. `flushHeaders` would write its bytes above ASCII as UTF-8. */
function flush(message: OutgoingMessage): void {
  message.write('', 'latin1');
}

/** Names and values in turns, as Node takes them. */
function flat(fields: readonly HeaderField[]): string[] {
  return fields.flatMap(([name, value]) => [name, value]);
}
