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
import { type AttemptOutcome, afterAttempt } from '../attempt.ts';
import { type EndpointState, recordLatency } from '../balance/endpoint-state.ts';
import type { EngineContext } from '../engine.ts';
import { NO_POLICIES } from '../../policies/bound-policies.ts';
import { editResponse } from '../../policies/run-policies.ts';
import { reset } from '../tls/termination.ts';
import { DISCARD_MS, isDiscardable } from '../unread-body.ts';
import { type AttemptAt, attemptAt, connectTime } from './attempt-at.ts';
import { isClosing, serveNoMore } from './last-response.ts';
import { connectionInfoOf, openLedger, requestView } from './reference-record.ts';
import { type ForwardPlan, type Prepared, type UpstreamRequest, planRequest, prepare } from './plan.ts';
import type { ReferencePool } from './reference-pool.ts';
import { relayedFields, relayedTrailers } from './reference-response-head.ts';

/** What the exchanges of an engine share. */
export interface Surroundings {
  readonly context: EngineContext;
  readonly pool: ReferencePool;
  readonly proxy: ProxyServer;
  draining: boolean;
  /** Attempts that have no connection yet. */
  readonly connecting: Set<AttemptAt>;
  /** Each cuts its exchange at once. */
  readonly live: Set<() => void>;
  /** By connection: how to refuse the request whose body is being read, when it turns out to be malformed. */
  readonly readers: WeakMap<Socket, (reason: MessageFault) => void>;
}

/** What the Expect field asks for, as Node's parser tells it apart. */
export type Expects = 'nothing' | 'continue' | 'unknown';

/**
 * The life of one exchange, from the request head to the account. http-proxy makes the request to the upstream;
 * when it is made, what flows through it and how it ends is decided here.
 */
export function serveExchange(
  around: Surroundings,
  request: IncomingMessage,
  response: ServerResponse,
  expects: Expects,
): void {
  const { context } = around;
  const { limits } = context;
  const record = openLedger(context, request, connectionInfoOf(request.socket));
  const plan = planRequest(context, request, record);
  const view = requestView(request, record);
  let { policies } = plan;
  const hasBody = plan.head !== null && plan.head.body !== 'none';
  const tried: EndpointState[] = [];
  const time = connectTime(limits);
  let resets = 0;
  let attempt: AttemptAt | null = null;
  /** Whose answer the client gets is settled: no other attempt is made, and no other answer given. */
  let answered = false;
  let complete = false;
  /** Once the policies of the route let it go on. */
  let upstreamRequest: UpstreamRequest | null = null;
  /** The client was told to send its body. */
  let continued = false;

  const bodyIdle = setTimeout(guarded(onBodyIdle), limits.bodyIdleTimeoutMs);
  let upstreamIdle: NodeJS.Timeout | undefined;
  let continueTimer: NodeJS.Timeout | undefined;
  // A reset, so that a body that ends with the connection does not look whole.
  const cut = (): void => {
    record.detail ||= 'draining' satisfies LocalReason;
    reset(request.socket);
  };
  around.live.add(cut);
  response.on('close', guarded(finish));
  response.on('error', () => undefined);
  request.on('error', () => undefined);
  request.on('data', (chunk: Buffer) => {
    record.requestBytes += chunk.length;
    bodyIdle.refresh();
    upstreamIdle?.refresh();
  });
  // 'data' alone would start the flow before there is a connection to send it to.
  request.pause();
  request.on('end', () => {
    clearTimeout(bodyIdle);
    around.readers.delete(request.socket);
  });
  if (hasBody) around.readers.set(request.socket, refuse);
  else request.resume();

  if (expects === 'unknown' && plan.kind === 'forward') return refuse('expectation-unknown');
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
    if (complete) request.socket.destroy();
    else refuse('internal-fault');
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
    if (complete || answered) return;
    if (prepared.kind === 'respond') return respond(prepared.response);
    if (prepared.kind === 'refuse') return refuse(prepared.reason);
    const { plan } = prepared;
    upstreamRequest = prepared.upstreamRequest;
    const pending = context.endpoints.pending(plan.backend);
    if (pending) void pending.finally(guarded(() => tryNext(plan)));
    else tryNext(plan);
  }

  function tryNext(plan: ForwardPlan): void {
    if (complete || !upstreamRequest) return;
    const state = plan.choose(tried);
    if (state === null) return refuse('no-endpoint');
    tried.push(state);
    record.attempts++;
    record.endpoint = state.key;
    around.pool.revive(state.key);
    const tls = plan.speaksTls();
    const { address, port } = state.endpoint;
    request.headers = {
      ...upstreamRequest.fields,
      ...(plan.head.body === 'chunked' && { 'Transfer-Encoding': 'chunked' }),
    };
    const options = {
      target: { protocol: tls ? 'https:' : 'http:', host: address, hostname: address, port: String(port) },
      agent: tls ? around.pool.tls : around.pool.plain,
      secure: false,
      ignorePath: true,
      selfHandleResponse: true,
      // http-proxy pipes this instead of the request: the body stays here until there is a connection.
      buffer: bodySource((upstream) => start(plan, state, upstream)),
    };
    try {
      // Errors are seen on the request to the upstream itself.
      around.proxy.web(request, response, options, () => undefined);
    } catch {
      // Node writes less than it reads: one client's field must not end the process.
      refuse('internal-fault');
    }
  }

  function start(plan: ForwardPlan, state: EndpointState, upstream: ClientRequest): void {
    // Set here since http-proxy would collapse `//`.
    upstream.path = upstreamRequest?.target ?? '/';
    if (expects === 'continue') upstream.setHeader('Expect', '100-continue');
    const isLast = plan.isLast(record.attempts);
    const settings = { context, record, time, isLast, connecting: around.connecting };
    const current = attemptAt(
      state,
      upstream,
      settings,
      guarded(sendBody),
      guarded((outcome, detail) => {
        request.unpipe(upstream);
        failed(plan, outcome, detail);
      }),
    );
    attempt = current;
    upstream.on(
      'information',
      guarded((interim: InformationEvent) => {
        upstreamIdle?.refresh();
        if (interim.statusCode === 100 && expects === 'continue') {
          if (continued) return;
          continued = true;
        }
        if (request.httpVersion === '1.1' && !response.headersSent) relayInterim(interim, response);
      }),
    );
    upstream.on('upgrade', (_, socket) => {
      socket.destroy();
      current.fail({ kind: 'protocol-error' });
    });
    upstream.on(
      'response',
      guarded((incoming: IncomingMessage) => {
        current.answered();
        const now = context.now();
        recordLatency(state, now - current.startedAt, now);
        if (answered || complete) incoming.destroy();
        else engine(incoming);
      }),
    );

    function sendBody(): void {
      upstreamIdle = setTimeout(guarded(onUpstreamIdle), limits.upstreamIdleTimeoutMs);
      if (!hasBody) return void upstream.end();
      flush(upstream);
      if (expects === 'continue' && !continued)
        continueTimer = setTimeout(askForBody, limits.continueTimeoutMs);
      // A body without content ends although it is paused, maybe before there was a connection.
      if (request.readableEnded) return endBody();
      request.once('end', guarded(endBody));
      request.pipe(upstream, { end: false });
    }

    /** The pod says nothing; the client is not left waiting. */
    function askForBody(): void {
      if (continued || response.headersSent || complete || record.requestBytes > 0) return;
      continued = true;
      response.writeContinue();
    }

    function endBody(): void {
      if (upstream.destroyed) return;
      const trailers = relayedTrailers(request.rawTrailers).filter(
        ([name]) => context.underscoresInHeaders || !name.includes('_'),
      );
      if (trailers.length > 0) upstream.addTrailers(trailers);
      upstream.end();
    }
  }

  function failed(plan: ForwardPlan, outcome: AttemptOutcome, detail: string): void {
    clearTimeout(upstreamIdle);
    clearTimeout(continueTimer);
    if (complete || answered) return;
    if (outcome.kind === 'reset') resets++;
    const step = afterAttempt(outcome, {
      method: request.method ?? '',
      attempts: record.attempts,
      limit: limits.attempts,
      resets,
      replayable: record.requestBytes === 0,
    });
    switch (step.kind) {
      case 'relay':
        return;
      case 'retry-same-allowed':
        tried.pop();
        return tryNext(plan);
      case 'retry-elsewhere':
        return tryNext(plan);
      case 'give-up':
        return refuse(step.reason, detail);
      default:
        return step satisfies never;
    }
  }

  function engine(incoming: IncomingMessage): void {
    const fields = relayedFields(incoming);
    const status = incoming.statusCode ?? 0;
    if (fields === null || status < 200) {
      incoming.destroy();
      return refuse('upstream-protocol-error');
    }
    const edit = editResponse(policies.onResponse, fieldsViewOf(fields), view);
    const edited = edit === null ? fields : applyEdit(fields, edit);
    if (!mayGoOn()) close();
    try {
      response.writeHead(status, incoming.statusMessage, flat(edited));
    } catch {
      // A reason phrase with control characters, for one, can be read by Node and not written.
      incoming.destroy();
      return refuse('upstream-protocol-error');
    }
    answered = true;
    flush(response);
    incoming.on('data', (chunk: Buffer) => {
      record.responseBytes += chunk.length;
      upstreamIdle?.refresh();
    });
    response.on('drain', () => upstreamIdle?.refresh());
    incoming.on('error', () => undefined);
    incoming.on(
      'end',
      guarded(() => {
        const trailers = relayedTrailers(incoming.rawTrailers);
        if (trailers.length > 0) response.addTrailers(trailers);
        response.end();
      }),
    );
    // A body that stops short must not look whole to the client.
    incoming.on(
      'close',
      guarded(() => {
        if (!incoming.complete) refuse('upstream-reset');
      }),
    );
    incoming.pipe(response, { end: false });
  }

  /** Whether the client may ask again on its connection, once this response is complete. */
  function mayGoOn(): boolean {
    if (around.draining) return false;
    if (!hasBody || request.complete) return true;
    // A client that waits for `100 Continue` and is answered otherwise may or may not send its body.
    if (expects === 'continue' && !continued && record.requestBytes === 0) return false;
    return isDiscardable((plan.head?.length ?? Infinity) - record.requestBytes);
  }

  function close(): void {
    response.shouldKeepAlive = false;
    if (!around.draining || (hasBody && !request.complete)) serveNoMore(request.socket);
  }

  function refuse(reason: LocalReason, detail = ''): void {
    if (complete) return;
    // Now: Node may have the next request already.
    if (localResponse(reason, 'text').close) serveNoMore(request.socket);
    record.detail ||= detail === '' ? reason : `${reason}: ${detail}`;
    if (response.headersSent) return cut();
    if (answered) return;
    answered = true;
    request.unpipe();
    request.resume();
    // A small body is here by the next turn of the loop; a connection with the rest of one cannot be used again.
    if (hasBody && !request.complete) setImmediate(guarded(() => write(reason)));
    else write(reason);
  }

  function write(reason: LocalReason): void {
    if (complete || response.headersSent) return;
    const language = languageOf(plan.head?.accept, false);
    const redirected = plan.kind === 'redirect' && reason === 'https-only';
    send(redirected ? redirection(plan.location, language) : localResponse(reason, language));
  }

  /** What a policy responds. */
  function respond(made: LocalResponse): void {
    if (made.close) serveNoMore(request.socket);
    answered = true;
    request.resume();
    if (hasBody && !request.complete) setImmediate(guarded(() => send(made)));
    else send(made);
  }

  function send(made: LocalResponse): void {
    if (complete || response.headersSent) return;
    const edit = editResponse(policies.onResponse, fieldsViewOf(made.fields), view);
    const fields = edit === null ? made.fields : applyEdit(made.fields, edit);
    if (made.close || !mayGoOn()) close();
    record.responseBytes = request.method === 'HEAD' ? 0 : made.body.length;
    response.writeHead(made.status, made.reasonPhrase, flat(fields));
    response.end(made.body);
  }

  function onBodyIdle(): void {
    // The client is not to blame while the upstream does not take what is there.
    if (attempt?.request.writableNeedDrain) attempt.fail({ kind: 'timed-out' });
    else refuse('request-timed-out');
  }

  function onUpstreamIdle(): void {
    const clientOwes = !request.complete && !attempt?.request.writableNeedDrain;
    if (clientOwes && !response.headersSent) return void upstreamIdle?.refresh();
    if (response.headersSent) refuse(response.writableNeedDrain ? 'client-gone' : 'upstream-timed-out');
    else attempt?.fail({ kind: 'timed-out' });
  }

  function finish(): void {
    complete = true;
    clearTimeout(bodyIdle);
    clearTimeout(upstreamIdle);
    clearTimeout(continueTimer);
    around.live.delete(cut);
    attempt?.end();
    request.unpipe();
    request.resume();
    if (!request.complete && !isClosing(request.socket)) discard(request);
    // Nobody waits for what is still to come from the upstream, or to go there.
    if (attempt && !attempt.request.destroyed) attempt.request.destroy();
    if (!response.writableFinished) record.detail ||= 'client-gone' satisfies LocalReason;
    if (record.detail === 'client-gone') record.close(statusOf('client-gone'));
    else record.close(response.headersSent ? response.statusCode : statusOf('draining'));
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

/** Node can write these three; others, which nobody knows, stay here. */
function relayInterim({ statusCode, headers }: InformationEvent, response: ServerResponse): void {
  if (statusCode === 100) response.writeContinue();
  else if (statusCode === 102) response.writeProcessing();
  else if (statusCode === 103 && headers.link !== undefined) {
    try {
      response.writeEarlyHints({ ...headers, link: headers.link } as Record<string, string | string[]>);
    } catch {
      // Node writes no Link that it does not understand. They are hints: the response comes all the same.
    }
  }
}

/** Names and values in turns, as Node takes them. */
function flat(fields: readonly HeaderField[]): string[] {
  return fields.flatMap(([name, value]) => [name, value]);
}
