import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { applyEdit, fieldsViewOf } from '../../http/head-edit.ts';
import { type LocalReason, type LocalResponse, languageOf, redirection } from '../../http/local-response.ts';
import type { RequestView } from '../../http/request-view.ts';
import { type BoundPolicies, NO_POLICIES } from '../../policies/bound-policies.ts';
import { editResponse } from '../../policies/run-policies.ts';
import { type AttemptOutcome, afterAttempt } from '../attempt.ts';
import { type EndpointState, recordLatency } from '../balance/endpoint-state.ts';
import { connectionOptions } from '../../http/header-fields.ts';
import { reset } from '../tls/termination.ts';
import { retryRules } from '../retry-rules.ts';
import { type RouteTimeouts, routeTimeouts } from '../route-deadlines.ts';
import { GOING_AWAY, WebSocketFrames, maskedGoingAway } from '../websocket-frames.ts';
import { type AttemptAt, type ConnectTime, attemptAt, connectTime } from './attempt-at.ts';
import type { ReferenceState } from './reference-exchange.ts';
import type { OpenAttempt } from '../open-attempt.ts';
import {
  type ReferenceRecord,
  connectionInfoOf,
  openLedger,
  requestView,
  valuesOf,
} from './reference-record.ts';
import {
  type ForwardPlan,
  type Plan,
  type Prepared,
  type UpstreamRequest,
  planRequest,
  prepare,
} from './plan.ts';
import { relayedFields } from './reference-response-head.ts';
import { answerSocket } from './socket-answer.ts';

/**
 * Whether a request asks for an upgrade that is passed on: without a body, and to anything but HTTP/2, which
 * would hide the requests in it. Others are served as if they had not asked (RFC 9110 7.8).
 */
export function wantsTunnel(request: IncomingMessage): boolean {
  const { rawHeaders } = request;
  if (!connectionOptions(valuesOf(rawHeaders, 'connection').join(',')).upgrade) return false;
  const upgrade = valuesOf(rawHeaders, 'upgrade');
  if (upgrade.length !== 1 || !/^[\w!#$%&'*+.^`|~/-]+$/.test(upgrade[0] ?? '')) return false;
  if (/^h2c?$/i.test(upgrade[0] ?? '') || request.httpVersion !== '1.1') return false;
  const length = valuesOf(rawHeaders, 'content-length');
  return valuesOf(rawHeaders, 'transfer-encoding').length === 0 && length.every((value) => value === '0');
}

/**
 * The life of an upgrade. http-proxy's own way for these takes nothing but WebSockets, answers 502 by silence and
 * forgets one side when the other one breaks, so that it is not used.
 */
export class ReferenceTunnel {
  readonly #shared: ReferenceState;
  readonly #request: IncomingMessage;
  readonly #client: Socket;
  readonly #record: ReferenceRecord;
  readonly #plan: Plan;
  readonly #view: RequestView;
  readonly #tried: EndpointState[] = [];
  readonly #timeouts: RouteTimeouts;
  readonly #startedAt = performance.now();
  readonly #time: ConnectTime;
  /** What the client sent before there is an upstream to send it to. */
  readonly #held: Buffer[];
  #heldBytes: number;
  #policies: BoundPolicies;
  #upstreamRequest: UpstreamRequest | null = null;
  #resets = 0;
  #attempt: AttemptAt | null = null;
  #status = 499;

  /** `early` is what the client sent behind its head. */
  constructor(shared: ReferenceState, request: IncomingMessage, client: Socket, early: Buffer) {
    const { context } = shared;
    this.#shared = shared;
    this.#request = request;
    this.#client = client;
    this.#record = openLedger(context, request, connectionInfoOf(client));
    this.#plan = planRequest(context, request, this.#record);
    this.#view = requestView(request, this.#record);
    this.#policies = this.#plan.policies;
    this.#timeouts = routeTimeouts(this.#record.route?.policies?.configs ?? {}, context.limits);
    this.#time = connectTime(
      this.#timeouts,
      retryRules(this.#record.route?.policies?.configs.retries, context.limits),
    );
    this.#held = early.length > 0 ? [early] : [];
    this.#heldBytes = early.length;
  }

  /** Serves it; how it ended is in its record. */
  start(): void {
    const { live } = this.#shared;
    const client = this.#client;
    // Read on while the upstream is asked: only a socket that is read says that its client has left.
    client.on('data', this.#hold);
    client.on('end', this.#abort);
    live.add(this.#onDrained);
    client.on('error', () => undefined);
    client.on(
      'close',
      this.#guarded(() => {
        live.delete(this.#onDrained);
        this.#attempt?.end();
        this.#attempt?.request.destroy();
        if (this.#status === 499) this.#record.detail ||= 'client-gone' satisfies LocalReason;
        this.#view.cancellation.cancel();
        for (const policy of this.#plan.policies.onComplete) policy.onComplete?.(this.#view);
        this.#record.close(this.#status);
      }),
    );
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

  readonly #hold = (chunk: Buffer): void => {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > this.#shared.context.limits.bufferBytes) this.#client.pause();
  };

  readonly #abort = (): void => reset(this.#client);

  readonly #onDrained = (): void => {
    this.#record.detail ||= 'draining' satisfies LocalReason;
    this.#abort();
  };

  /** Something threw while this exchange was handled: it is answered with 500, or aborted, and touches no other. */
  #onFault(fault: unknown): void {
    this.#shared.context.onFault(fault);
    this.#policies = NO_POLICIES;
    if (this.#status === 499) this.#refuse('internal-fault');
    else this.#abort();
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

  #refuse(reason: LocalReason): void {
    const plan = this.#plan;
    const made =
      plan.kind === 'redirect' && reason === plan.reason
        ? redirection(plan.location, languageOf(plan.head.accept, false), plan.status)
        : undefined;
    this.#answer(reason, made);
  }

  #answer(reason: LocalReason | 'policy', made?: LocalResponse): void {
    const given = { policies: this.#policies, view: this.#view, ...(made && { made }) };
    answerSocket(this.#shared.context, this.#client, reason, this.#request, this.#record, given);
  }

  #onPrepared(prepared: Prepared): void {
    if (this.#client.destroyed) return;
    if (prepared.kind !== 'send') this.#record.policy = prepared.by ?? '';
    if (prepared.kind === 'respond') {
      this.#record.detail = prepared.detail ?? '';
      return this.#answer('policy', prepared.response);
    }
    if (prepared.kind === 'refuse') return this.#refuse(prepared.reason);
    const { plan } = prepared;
    this.#upstreamRequest = prepared.upstreamRequest;
    const pending = this.#shared.context.endpoints.pending(plan.backend);
    if (pending) void pending.finally(this.#guarded(() => this.#tryNext(plan)));
    else this.#tryNext(plan);
  }

  #tryNext(plan: ForwardPlan): void {
    if (this.#client.destroyed || !this.#upstreamRequest) return;
    const { target, fields } = this.#upstreamRequest;
    const state = plan.choose(this.#tried);
    if (state === null) return this.#refuse('no-endpoint');
    this.#tried.push(state);
    const entry = this.#record.beginAttempt(state.key);
    const tls = plan.speaksTls();
    let upstream: ClientRequest;
    try {
      upstream = (tls ? httpsRequest : httpRequest)({
        host: state.endpoint.address,
        port: state.endpoint.port,
        method: this.#request.method ?? 'GET',
        path: target,
        headers: { ...fields, Connection: 'Upgrade', Upgrade: plan.head.upgrade ?? '' },
        ...(tls
          ? { agent: false, rejectUnauthorized: false, ...nameOptions(state) }
          : { agent: this.#shared.pool.tunnels }),
      });
    } catch {
      // Node writes less than it reads.
      return this.#refuse('internal-fault');
    }
    this.#watch(plan, state, upstream, entry);
    upstream.end();
  }

  #watch(plan: ForwardPlan, state: EndpointState, upstream: ClientRequest, entry: OpenAttempt): void {
    const { context, connecting } = this.#shared;
    const record = this.#record;
    const isLast = plan.isLast(record.attempts);
    const { readMs } = this.#timeouts;
    const attempt = attemptAt(
      state,
      upstream,
      { context, record, entry, time: this.#time, isLast, connecting },
      () => upstream.setTimeout(readMs, () => attempt.fail({ kind: 'timed-out' })),
      this.#guarded((outcome, detail) => this.#onFailed(plan, outcome, detail)),
    );
    this.#attempt = attempt;
    const answered = (status: number | undefined): void => {
      attempt.answered(status);
      upstream.setTimeout(0);
      recordLatency(state, context.now() - attempt.startedAt, context.now());
    };
    upstream.on(
      'upgrade',
      this.#guarded((response: IncomingMessage, socket: Duplex, first: Buffer) => {
        answered(101);
        this.#status = 101;
        this.#open(response, socket as Socket, first);
      }),
    );
    // Not upgraded: the response is relayed, and the connection with it, whose next bytes may be anything.
    upstream.on(
      'response',
      this.#guarded((response: IncomingMessage) => {
        answered(response.statusCode);
        this.#onNotUpgraded(response);
      }),
    );
  }

  #onFailed(plan: ForwardPlan, outcome: AttemptOutcome, detail: string): void {
    if (outcome.kind === 'reset') this.#resets++;
    const step = afterAttempt(outcome, {
      method: this.#request.method ?? '',
      attempts: this.#record.attempts,
      hops: this.#record.hops,
      rules: plan.retries,
      elapsedMs: performance.now() - this.#startedAt,
      hasAnother: plan.hasAnother(this.#tried),
      resets: this.#resets,
      replayable: true,
    });
    switch (step.kind) {
      case 'relay':
        return;
      case 'retry-elsewhere':
      case 'retry-same-allowed':
        return this.#tryNext(plan);
      case 'give-up':
        if (detail !== '') this.#record.detail = `${step.reason}: ${detail}`;
        return this.#refuse(step.reason);
      default:
        return step satisfies never;
    }
  }

  #open(response: IncomingMessage, upstream: Socket, first: Buffer): void {
    const client = this.#client;
    if (client.destroyed) return void upstream.destroy();
    const { live, tunnels } = this.#shared;
    live.delete(this.#onDrained);
    const upgrade = response.headers.upgrade ?? '';
    client.write(this.#head(response, [`connection: Upgrade`, `upgrade: ${upgrade}`]), 'latin1');
    client.setNoDelay(true);
    client.setTimeout(this.#timeouts.silenceMs, this.#abort);
    if (first.length > 0) upstream.unshift(first);
    client.pause();
    client.off('data', this.#hold);
    client.off('end', this.#abort);
    if (this.#held.length > 0) client.unshift(Buffer.concat(this.#held));
    client.on('data', (chunk: Buffer) => (this.#record.requestBytes += chunk.length));
    upstream.on('data', (chunk: Buffer) => (this.#record.responseBytes += chunk.length));
    upstream.on('error', this.#abort);
    upstream.on('close', () => {
      // Both halves ended in order: what is written still flows out. Anything else is aborted.
      if (upstream.readableEnded) client.end();
      else this.#abort();
    });
    client.on('close', () => upstream.destroy());
    // `end` is passed on by pipe as the end of one half; the other one stays open.
    client.pipe(upstream);
    upstream.pipe(client);
    const farewell = upgrade.toLowerCase() === 'websocket' ? closeWebSocket(client, upstream) : this.#abort;
    const goAway = (): void => {
      this.#record.detail ||= 'draining' satisfies LocalReason;
      farewell();
    };
    tunnels.add(goAway);
    client.on('close', () => tunnels.delete(goAway));
  }

  #onNotUpgraded(response: IncomingMessage): void {
    const client = this.#client;
    if (relayedFields(response) === null) {
      response.destroy();
      return this.#refuse('upstream-protocol-error');
    }
    this.#status = response.statusCode ?? 502;
    client.write(this.#head(response, ['connection: close']), 'latin1');
    response.on('data', (chunk: Buffer) => (this.#record.responseBytes += chunk.length));
    // The length is that of the upstream's or the end of the connection; a body that stops short ends in a reset.
    response.pipe(client, { end: false });
    response.on('error', () => undefined);
    response.on(
      'close',
      this.#guarded(() => {
        if (response.complete) client.end(() => client.destroySoon());
        else this.#abort();
      }),
    );
  }

  /** The head of the response, with what the policies change in it. */
  #head(response: IncomingMessage, more: readonly string[]): string {
    const fields = relayedFields(response) ?? [];
    const edit = editResponse(this.#policies.onResponse, fieldsViewOf(fields), this.#view);
    const lines = [`HTTP/1.1 ${response.statusCode} ${response.statusMessage}`];
    for (const [name, value] of edit === null ? fields : applyEdit(fields, edit))
      lines.push(`${name}: ${value}`);
    // RFC 9110 6.6.1, as Node does it for other responses.
    if (response.statusCode !== 101 && response.headers.date === undefined)
      lines.push(`Date: ${new Date().toUTCString()}`);
    return `${[...lines, ...more].join('\r\n')}\r\n\r\n`;
  }
}

/** For TLS, which goes past the agents: what connecting to a name takes. */
function nameOptions({ name, endpoint }: EndpointState): object {
  return name ? { ...name.connectOptions, servername: endpoint.address } : {};
}

/** Follows the frames of a WebSocket both ways; the function tells both sides that Portico goes away, and ends it. */
function closeWebSocket(client: Socket, upstream: Socket): () => void {
  const follow = (socket: Socket): WebSocketFrames => {
    const frames = new WebSocketFrames();
    socket.on('data', (chunk: Buffer) => frames.read(chunk, 0, chunk.length));
    return frames;
  };
  const toUpstream = follow(client);
  const toClient = follow(upstream);
  return () => {
    client.unpipe(upstream).resume();
    upstream.unpipe(client).resume();
    if (client.writable) client.end(toClient.mayClose ? GOING_AWAY : '');
    if (upstream.writable) upstream.end(toUpstream.mayClose ? maskedGoingAway(randomBytes(4)) : '');
  };
}
