import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { applyEdit, fieldsViewOf } from '../../http/head-edit.ts';
import { type LocalReason, languageOf, redirection } from '../../http/local-response.ts';
import { NO_POLICIES } from '../../policies/bound-policies.ts';
import { editResponse } from '../../policies/run-policies.ts';
import { type AttemptOutcome, afterAttempt } from '../attempt.ts';
import { type EndpointState, recordLatency } from '../balance/endpoint-state.ts';
import { connectionOptions } from '../../http/header-fields.ts';
import { reset } from '../tls/termination.ts';
import { GOING_AWAY, WebSocketFrames, maskedGoingAway } from '../websocket-frames.ts';
import { type AttemptAt, attemptAt, connectTime } from './attempt-at.ts';
import type { Surroundings } from './reference-exchange.ts';
import { connectionInfoOf, openLedger, requestView, valuesOf } from './reference-record.ts';
import { type ForwardPlan, type Prepared, type UpstreamRequest, planRequest, prepare } from './plan.ts';
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
export function serveTunnel(
  around: Surroundings,
  tunnels: Set<() => void>,
  request: IncomingMessage,
  client: Socket,
  early: Buffer,
): void {
  const { context } = around;
  const { limits } = context;
  const record = openLedger(context, request, connectionInfoOf(client));
  const plan = planRequest(context, request, record);
  const tried: EndpointState[] = [];
  const time = connectTime(limits);
  let resets = 0;
  let attempt: AttemptAt | null = null;
  let status = 499;

  const cut = (): void => reset(client);
  const drained = (): void => {
    record.detail ||= 'draining' satisfies LocalReason;
    cut();
  };
  // Read on while the upstream makes up its mind: only a socket that is read says that its client has left.
  const held: Buffer[] = early.length > 0 ? [early] : [];
  let heldBytes = early.length;
  const hold = (chunk: Buffer): void => {
    held.push(chunk);
    heldBytes += chunk.length;
    if (heldBytes > limits.bufferBytes) client.pause();
  };
  client.on('data', hold);
  client.on('end', cut);
  around.live.add(drained);
  client.on('error', () => undefined);
  client.on(
    'close',
    guarded(() => {
      around.live.delete(drained);
      attempt?.end();
      attempt?.request.destroy();
      if (status === 499) record.detail ||= 'client-gone' satisfies LocalReason;
      record.close(status);
    }),
  );

  const view = requestView(request, record);
  let { policies } = plan;
  let upstreamRequest: UpstreamRequest | null = null;
  const refuse = (reason: LocalReason): void => {
    const redirected = plan.kind === 'redirect' && reason === 'https-only';
    const made = redirected && redirection(plan.location, languageOf(plan.head.accept, false));
    answerSocket(context, client, reason, request, record, { policies, ...(made && { made }) });
  };
  try {
    const prepared = prepare(plan, view);
    if (prepared instanceof Promise) prepared.then(guarded(goOn), onFault);
    else goOn(prepared);
  } catch (fault) {
    onFault(fault);
  }

  /** Something threw while this exchange was handled: it is answered with 500, or cut, and touches no other. */
  function onFault(fault: unknown): void {
    context.onFault(fault);
    policies = NO_POLICIES;
    if (status === 499) refuse('internal-fault');
    else cut();
  }

  function guarded<A extends unknown[]>(step: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      try {
        step(...args);
      } catch (fault) {
        onFault(fault);
      }
    };
  }

  function goOn(prepared: Prepared): void {
    if (client.destroyed) return;
    if (prepared.kind === 'respond') {
      return answerSocket(context, client, 'policy', request, record, { policies, made: prepared.response });
    }
    if (prepared.kind === 'refuse') return refuse(prepared.reason);
    const { plan } = prepared;
    upstreamRequest = prepared.upstreamRequest;
    const pending = context.endpoints.pending(plan.backend);
    if (pending) void pending.finally(guarded(() => tryNext(plan)));
    else tryNext(plan);
  }

  function tryNext(plan: ForwardPlan): void {
    if (client.destroyed || !upstreamRequest) return;
    const state = plan.choose(tried);
    if (state === null) return refuse('no-endpoint');
    tried.push(state);
    record.attempts++;
    record.endpoint = state.key;
    const tls = plan.speaksTls();
    let upstream: ClientRequest;
    try {
      upstream = (tls ? httpsRequest : httpRequest)({
        host: state.endpoint.address,
        port: state.endpoint.port,
        method: request.method ?? 'GET',
        path: upstreamRequest.target,
        headers: { ...upstreamRequest.fields, Connection: 'Upgrade', Upgrade: plan.head.upgrade ?? '' },
        ...(tls
          ? { agent: false, rejectUnauthorized: false, ...nameOptions(state) }
          : { agent: around.pool.tunnels }),
      });
    } catch {
      // Node writes less than it reads.
      return refuse('internal-fault');
    }
    watch(plan, state, upstream);
    upstream.end();
  }

  function watch(plan: ForwardPlan, state: EndpointState, upstream: ClientRequest): void {
    const isLast = plan.isLast(record.attempts);
    const current = attemptAt(
      state,
      upstream,
      { context, record, time, isLast, connecting: around.connecting },
      () => upstream.setTimeout(limits.upstreamIdleTimeoutMs, () => current.fail({ kind: 'timed-out' })),
      guarded((outcome, detail) => failed(plan, outcome, detail)),
    );
    attempt = current;
    const answered = (): void => {
      current.answered();
      upstream.setTimeout(0);
      recordLatency(state, context.now() - current.startedAt, context.now());
    };
    upstream.on(
      'upgrade',
      guarded((response: IncomingMessage, socket: Duplex, first: Buffer) => {
        answered();
        status = 101;
        open(response, socket as Socket, first);
      }),
    );
    // Not upgraded: the answer is passed on, and the connection with it, whose next bytes may be anything.
    upstream.on(
      'response',
      guarded((response: IncomingMessage) => {
        answered();
        refusedBy(response);
      }),
    );
  }

  function failed(plan: ForwardPlan, outcome: AttemptOutcome, detail: string): void {
    if (outcome.kind === 'reset') resets++;
    const { attempts } = record;
    const { method = '' } = request;
    const step = afterAttempt(outcome, {
      method,
      attempts,
      limit: limits.attempts,
      resets,
      replayable: true,
    });
    switch (step.kind) {
      case 'relay':
        return;
      case 'retry-elsewhere':
      case 'retry-same-allowed':
        return tryNext(plan);
      case 'give-up':
        if (detail !== '') record.detail = `${step.reason}: ${detail}`;
        return refuse(step.reason);
      default:
        return step satisfies never;
    }
  }

  function open(response: IncomingMessage, upstream: Socket, first: Buffer): void {
    if (client.destroyed) return void upstream.destroy();
    around.live.delete(drained);
    const upgrade = response.headers.upgrade ?? '';
    client.write(head(response, [`connection: Upgrade`, `upgrade: ${upgrade}`]), 'latin1');
    client.setNoDelay(true);
    client.setTimeout(limits.tunnelIdleTimeoutMs, cut);
    if (first.length > 0) upstream.unshift(first);
    client.pause();
    client.off('data', hold);
    client.off('end', cut);
    if (held.length > 0) client.unshift(Buffer.concat(held));
    client.on('data', (chunk: Buffer) => (record.requestBytes += chunk.length));
    upstream.on('data', (chunk: Buffer) => (record.responseBytes += chunk.length));
    upstream.on('error', cut);
    upstream.on('close', () => {
      // Both halves ended in order: what is written still flows out. Anything else is cut.
      if (upstream.readableEnded) client.end();
      else cut();
    });
    client.on('close', () => upstream.destroy());
    // `end` is passed on by pipe as the end of one half; the other one stays open.
    client.pipe(upstream);
    upstream.pipe(client);
    const farewell = upgrade.toLowerCase() === 'websocket' ? closeWebSocket(client, upstream) : cut;
    const goAway = (): void => {
      record.detail ||= 'draining' satisfies LocalReason;
      farewell();
    };
    tunnels.add(goAway);
    client.on('close', () => tunnels.delete(goAway));
  }

  function refusedBy(response: IncomingMessage): void {
    if (relayedFields(response) === null) {
      response.destroy();
      return refuse('upstream-protocol-error');
    }
    status = response.statusCode ?? 502;
    client.write(head(response, ['connection: close']), 'latin1');
    response.on('data', (chunk: Buffer) => (record.responseBytes += chunk.length));
    // The length is that of the upstream's or the end of the connection; a body that stops short ends in a reset.
    response.pipe(client, { end: false });
    response.on('error', () => undefined);
    response.on(
      'close',
      guarded(() => {
        if (response.complete) client.end(() => client.destroySoon());
        else cut();
      }),
    );
  }

  /** The head of the response, with what the policies change in it. */
  function head(response: IncomingMessage, more: readonly string[]): string {
    const fields = relayedFields(response) ?? [];
    const edit = editResponse(policies.onResponse, fieldsViewOf(fields), view);
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
