import { applyEdit, fieldsViewOf } from '../http/head-edit.ts';
import { type LocalReason, type LocalResponse, statusOf } from '../http/local-response.ts';
import type { Verdict } from '../policies/policy.ts';
import type { AttemptOutcome } from './attempt.ts';
import { Attempts } from './attempts.ts';
import type { ContentEncoder } from './content-encoder.ts';
import { Deadline } from './deadlines.ts';
import { clientFraming, connectionOption } from './downstream/http1/client-head.ts';
import type { ClientFraming, ConnectionOption } from './http1/framing.ts';
import type { RequestHead } from './downstream/http1/request-head.ts';
import type { EngineState } from './engine-state.ts';
import type { ConnectionMemory } from './connection-memory.ts';
import type { ExchangeCallbacks } from './exchange-callbacks.ts';
import { ExchangeMemory } from './exchange-memory.ts';
import { NativeRecord, type ReaderFault, detailOf } from './native-record.ts';
import { ForwardedBody } from './forwarded-body.ts';
import { RequestPlan } from './request-plan.ts';
import { ResponsePace } from './response-pace.ts';
import type { TimedExchange } from './route-deadlines.ts';
import type { Downstream } from './downstream/downstream.ts';
import type { Upstream } from './upstream/upstream.ts';
import type { Trailers } from './http1/field-block.ts';
import { Tunnel } from './tunnel.ts';
import type { ResponseHead } from './upstream/http1/response-head-parser.ts';
import type { UpstreamFailure } from './upstream/upstream-user.ts';

/** How far the response is. */
type Response =
  | 'awaited'
  /** Its head is put together, and can still be taken back. */
  | 'composed'
  | 'relaying'
  | 'tunnel'
  | 'over';

/**
 * The life of one exchange, told from top to bottom: the head is there → a decision → an endpoint and a connection
 * to it → the request is sent → the response comes and goes on → the account. Each step is called by the connection
 * on which something happened; whatever goes wrong ends in `refuse`, `#abort` or `onClientGone`.
 */
export class Exchange {
  readonly #engine: EngineState;
  readonly #boundary: ExchangeCallbacks;
  readonly #client: Downstream;
  readonly #record: NativeRecord;
  readonly isHead: boolean;
  tunnel: Tunnel | null = null;

  readonly #plan: RequestPlan;
  /** Everything is known that the decision needs to be carried out. */
  #isReady = false;
  readonly #body: ForwardedBody;
  readonly #held: ExchangeMemory;
  #expectsContinue = false;
  /** The client was asked for its body, by the upstream or by us. */
  #continued = false;
  /** Only while an upstream that might ask for the body says nothing. */
  #continueTimer: Deadline<TimedExchange> | null = null;

  readonly #attempts: Attempts;
  #upstream: Upstream | null = null;
  /** The head is on its way to the upstream. */
  #sending = false;
  /** The upstream does not take what it is sent. */
  #blocked = false;

  #response: Response = 'awaited';
  #framing: ClientFraming = 'none';
  /** Encodes the content of the response; null where it goes on as it is. */
  #encoder: ContentEncoder | null = null;
  #persists = false;
  /** Null where the response may be as fast as its client takes it. */
  #pace: ResponsePace | null = null;

  /**
   * `head` is null when the request never came to one. `boundary` stands before this exchange: later callers are
   * given the boundary instead.
   */
  constructor(
    engine: EngineState,
    client: Downstream,
    head: RequestHead | null,
    boundary: ExchangeCallbacks,
  ) {
    this.#engine = engine;
    this.#boundary = boundary;
    this.#client = client;
    this.#record = new NativeRecord(engine.context.now(), client.connectionInfo, head, client.isHttp2);
    this.#plan = new RequestPlan(engine, client, this.#record);
    this.#body = new ForwardedBody(client.memory, engine.copyMemory);
    this.#record.body = this.#body;
    this.#attempts = new Attempts(engine, boundary, this.#record);
    this.#held = new ExchangeMemory(client.memory);
    this.isHead = this.#record.method === 'HEAD';
    engine.inFlight++;
  }

  get memory(): ConnectionMemory {
    return this.#client.memory;
  }

  get maxHeadBytes(): number {
    return this.#plan.maxHeadBytes;
  }

  get asksUpgrade(): boolean {
    return this.#plan.upgrade !== null;
  }

  // ── The request head is there ────────────────────────────────────────────────────────────────────────────────

  begin(head: RequestHead, bytes: Buffer, base: number): void {
    const plan = this.#plan;
    this.#expectsContinue = head.expectsContinue;
    this.#persists = head.minor === 1 ? !head.connection.close : head.connection.keepAlive;
    plan.read(head, bytes, base);
    const { transport } = plan;
    // What the client calls itself lifts no limit by itself.
    if (transport?.grpc && plan.isGrpc) this.#client.isCall(this.#plan.deadlines.timeouts.callerMs);
    const { gathersAll } = plan;
    this.#body.begin(
      head.framing,
      head.expectsContinue && !gathersAll ? 0 : plan.gatherBytes,
      transport?.http2 ? this.#engine.context.limits.bufferBytes : 0,
      gathersAll,
    );
    if (gathersAll && head.expectsContinue) this.onContinueTimeout();
    const verdict = plan.ask();
    if (!(verdict instanceof Promise)) return this.onVerdict(verdict);
    verdict.then(
      (verdict) => this.#boundary.onVerdict(verdict),
      (fault: unknown) => this.#boundary.onFault(fault),
    );
  }

  /** What the policies of the route make of the request. */
  onVerdict(verdict: Verdict): void {
    // A policy may have been asked since the end.
    if (this.#response === 'over') return this.#plan.complete();
    this.#record.judged(verdict);
    switch (verdict.kind) {
      case 'respond':
        this.#record.detail = verdict.detail ?? '';
        return this.#respond(verdict.response, 'policy');
      case 'refuse':
        return this.refuse(verdict.reason);
      case 'continue':
        this.#plan.compose();
        this.#held.setHead(this.#plan.heldBytes + this.#record.target.length);
        this.#isReady = true;
        if (this.#body.state !== 'gathering') this.#carryOut();
        return;
      default:
        return verdict satisfies never;
    }
  }

  #carryOut(): void {
    const { decision, callTimeoutMs } = this.#plan;
    if (!this.#isReady || !decision) return;
    if (decision.kind !== 'forward') return this.refuse(decision.reason);
    if (callTimeoutMs !== null) this.#attempts.limit(callTimeoutMs);
    const pending = this.#engine.context.endpoints.pending(decision.backend);
    if (pending) void pending.then(() => this.#boundary.onEndpointsKnown());
    else this.tryNext();
  }

  // ── An endpoint, and a connection to it ──────────────────────────────────────────────────────────────────────

  tryNext(): void {
    const { decision } = this.#plan;
    if (this.#response === 'over' || decision?.kind !== 'forward') return;
    const upstream = this.#attempts.begin(decision, this.#plan.deadlines, this.#plan.hash);
    if (!upstream) return this.#attemptOver({ kind: 'no-endpoint' });
    this.#upstream = upstream;
    if (upstream.isConnected) this.#send(upstream);
  }

  /** There is no connection yet, and the time for this attempt is over: or, without `timeLeft`, for all of them. */
  onConnectTimeout(timeLeft: boolean): void {
    this.#releaseUpstream(false);
    this.#attemptOver(this.#attempts.connectTimedOut(timeLeft));
  }

  onConnected(): void {
    this.#attempts.connected();
    if (this.#upstream) this.#send(this.#upstream);
  }

  /** The attempt is over without a response, or within one. */
  onUpstreamFailure(failure: UpstreamFailure, fault: ReaderFault = ''): void {
    const reused = this.#upstream?.reused ?? false;
    this.#upstream = null;
    this.#sending = false;
    this.#continueTimer?.clear();
    const outcome = this.#attempts.failed(failure, fault, reused);
    if (this.tunnel?.bothEnded) return this.#finish(false);
    // Even where the beginning of a response can be taken back: better a connection less than a second guess.
    if (this.#response !== 'awaited') this.#persists = false;
    this.#attemptOver(outcome, fault);
  }

  #attemptOver(outcome: AttemptOutcome, fault: ReaderFault = ''): void {
    const next = this.#attempts.after(outcome, this.#isReplayable);
    this.#record.observer?.on({ kind: 'attempt-failed', outcome, next });
    if (next.kind === 'give-up') return this.refuse(next.reason, fault);
    if (next.kind === 'relay') return;
    // What was put together for the client came with this attempt.
    this.#engine.output.discard();
    if (!this.#attempts.backOff()) this.tryNext();
  }

  /** The route gives an attempt no more time. */
  onAttemptTimeout(): void {
    if (this.#response !== 'awaited') return this.refuse('deadline-exceeded');
    this.#releaseUpstream(false);
    this.#attemptOver(this.#attempts.timedOut());
  }

  /** All of the request can be sent again, and the client knows of no response. */
  get #isReplayable(): boolean {
    if (this.#response !== 'awaited') return false;
    if (this.#plan.isReplaced) return true;
    return this.#body.state === 'whole' || (this.#body.isUntouched && !this.#continued);
  }

  // ── The request goes out ─────────────────────────────────────────────────────────────────────────────────────

  #send(upstream: Upstream): void {
    this.#attempts.sending();
    this.#sending = true;
    const { isReplaced } = this.#plan;
    upstream.head(this.#plan.headForAttempt(), this.#body.exists && !isReplaced);
    if (!isReplaced) this.#record.requestBytes = this.#body.composeHeld(upstream);
    if (this.#expectsContinue && !isReplaced && !this.#continued && this.#body.isUntouched) {
      this.#continueTimer ??= new Deadline<TimedExchange>(this.#boundary);
      this.#continueTimer.arm(this.#engine.continues);
    }
    this.#pushed(upstream.send());
    if (this.memory.unsent.isFull) this.onClientFull();
  }

  /** What there was for the upstream was written; `isWritable` when it keeps up. */
  #pushed(isWritable: boolean): void {
    this.#blocked = !isWritable;
    this.#held.setUpstreamQueued(isWritable ? 0 : (this.#upstream?.queuedBytes ?? 0));
    this.#awaitUpstream();
    // Once all of the request is here, reading goes on only to see the client leave.
    if (this.#body.isOver) return;
    if (isWritable) this.#client.resume();
    else this.#client.pause();
  }

  /** While it is the client that is to send, an upstream that takes it owes us nothing. */
  #awaitUpstream(): void {
    const upstream = this.#upstream;
    if (!upstream) return;
    const { sends, reads, calls } = this.#plan.deadlines;
    if (this.#blocked) upstream.startTimer(sends);
    else if (this.#body.isOver || this.#plan.isReplaced) upstream.startTimer(upstream.isCall ? calls : reads);
    else upstream.stopTimer();
  }

  onRequestContent(bytes: Buffer, from: number, to: number): void {
    if (this.#response === 'over' || this.#plan.isReplaced) return;
    this.#body.received += to - from;
    if (this.#body.received > this.#plan.maxBodyBytes) return this.refuse('body-too-large');
    const upstream = this.#sending ? this.#upstream : null;
    if (!upstream) return this.#body.hold(bytes, from, to);
    this.#record.requestBytes += to - from;
    this.#continueTimer?.clear();
    this.#body.composeContent(upstream, bytes, from, to);
  }

  /** No more of the body comes of this read. */
  onRequestFlush(): void {
    this.#body.flushCopies();
    if (this.#body.state === 'gathering' || this.#plan.isReplaced) return;
    const upstream = this.#upstream;
    if (!upstream || !this.#sending) return this.#client.pause();
    this.#pushed(upstream.send());
  }

  onDrain(): void {
    if (this.tunnel) this.tunnel.upstreamDrained();
    else if (this.#upstream && this.#sending) this.#pushed(true);
  }

  onRequestDone(trailers: Trailers): void {
    this.#plan.takeTrailers(trailers);
    const gathered = this.#body.state === 'gathering';
    const upstream = this.#sending && !this.#plan.isReplaced ? this.#upstream : null;
    this.#body.end(trailers, upstream);
    if (this.#plan.isReplaced) return;
    if (gathered) return this.#carryOut();
    if (!upstream) return;
    upstream.send();
    this.#awaitUpstream();
  }

  // ── The response comes, and goes on ──────────────────────────────────────────────────────────────────────────

  /** Many upstreams read on and say nothing (RFC 9110 10.1.1 lets a server omit it): the client is not left waiting. */
  onContinueTimeout(): void {
    if (this.#continued || this.#response !== 'awaited') return;
    this.#continued = true;
    this.#client.askForBody();
  }

  onInterim(head: ResponseHead, bytes: Buffer, base: number): void {
    if (head.status === 100 && this.#expectsContinue) {
      // The second one, after ours, would tell the client nothing.
      if (this.#continued) return;
      this.#continued = true;
      this.#continueTimer?.clear();
    }
    // RFC 9110 15.2: HTTP/1.0 has no such responses.
    if (this.#record.httpVersion !== '1.0') this.#client.interim(head, bytes, base);
  }

  onHead(head: ResponseHead, bytes: Buffer, base: number): void {
    this.#attempts.responded(head.status, this.#engine.context.now());
    if (this.#attempts.isRetried(head.status) && this.#isLeft(head.status)) return;
    if (head.status >= 400 && this.#replace(head.status, null)) return;
    this.#continueTimer?.clear();
    const { responseRate } = this.#plan;
    if (responseRate !== null) {
      this.#pace = new ResponsePace(responseRate, () => this.#boundary.onHeldBackOver());
    }
    this.#framing = clientFraming(head, this.#record.httpVersion);
    this.#record.status = head.status;
    this.#response = 'composed';
    if (this.#upstream?.isCall && this.#plan.isGrpc)
      this.#client.isCall(this.#plan.deadlines.timeouts.callerMs);
    // What follows a declined upgrade may be meant in the other protocol, with anything in it.
    this.#persists &&= this.#framing !== 'until-close' && !this.asksUpgrade && this.#mayGoOn;
    const edit = this.#plan.editRelayed(head, bytes, base);
    this.#encoder = this.#plan.openEncoder(edit, head)?.writeTo(this) ?? null;
    if (this.#encoder !== null) this.#framing = 'chunked';
    if (responseRate !== null || this.#encoder !== null || this.#client.isHttp2) this.#upstream?.readLittle();
    this.#client.head(head, bytes, base, this.#framing, this.#connectionOption, edit);
  }

  /** Whether a response is left for that of another endpoint, which is asked then. */
  #isLeft(status: number): boolean {
    const outcome = this.#attempts.answered(status);
    if (this.#attempts.after(outcome, this.#isReplayable).kind === 'relay') return false;
    this.#releaseUpstream(false);
    this.#attemptOver(outcome);
    return true;
  }

  /** The client may ask again on its connection, once this response is complete. */
  get #mayGoOn(): boolean {
    if (!this.#client.mayPersist) return false;
    if (this.#body.isOver) return true;
    // A client that waits for `100 Continue` and is answered otherwise may or may not send its body.
    const isDoubtful = this.#expectsContinue && !this.#continued && this.#body.isUntouched;
    return !isDoubtful && this.#client.mayDiscardBody;
  }

  get #connectionOption(): ConnectionOption {
    return connectionOption(this.#persists, this.#record.httpVersion);
  }

  onContent(bytes: Buffer, from: number, to: number): void {
    if (this.#encoder !== null) return this.#encoder.write(bytes, from, to);
    this.#record.responseBytes += to - from;
    this.#client.content(bytes, from, to, this.#framing);
  }

  onFlush(): void {
    if (this.#response === 'composed') {
      this.#response = 'relaying';
      this.#held.dropHead(this.#plan);
    }
    if (this.#encoder !== null) return this.#encoder.flush(this);
    // Where the client does not keep up, the upstream waits, and only the client is waited for.
    if (!this.#client.send()) return this.awaitClient();
    if (this.#upstream === null || !this.#isHeldBack()) this.#awaitUpstream();
  }

  onAllEncoded(): void {
    this.#finish(this.#persists);
  }

  /** The connection of the client has enough of what it does not take: nothing more is read for it. */
  onClientFull(): void {
    const upstream = this.#upstream;
    if (!upstream || this.tunnel || this.#response === 'over' || upstream.isPaused) return;
    this.awaitClient();
  }

  awaitClient(): void {
    this.pauseUpstream();
    this.#client.onBackpressure();
  }

  pauseUpstream(): void {
    this.#upstream?.pause();
    this.#upstream?.stopTimer();
  }

  resumeUpstream(): void {
    const upstream = this.#upstream;
    if (upstream === null || this.#isHeldBack()) return;
    this.#awaitUpstream();
    upstream.resume();
  }

  onClientDrain(): void {
    if (this.tunnel) return this.tunnel.clientDrained();
    if (this.#encoder !== null) return this.#encoder.onClientDrain(this);
    if (!this.#upstream?.isPaused || this.#pace?.isWaiting) return;
    this.#client.onDrained();
    this.resumeUpstream();
  }

  /** Whether the response was sent faster than its route allows: then nothing more is read of it for a while. */
  #isHeldBack(): boolean {
    if (!this.#pace?.isAhead(this.#record.responseBytes)) return false;
    this.pauseUpstream();
    return true;
  }

  onHeldBackOver(): void {
    if (!this.#encoder?.clientWaits) this.onClientDrain();
  }

  onDone(trailers: Trailers, reusable: boolean): void {
    const encoder = this.#encoder;
    if (encoder === null) this.#client.done(trailers, this.#framing);
    else encoder.end();
    this.#client.send();
    // An upstream that answers before it has read the request is not sent the rest of it.
    this.#releaseUpstream(reusable && this.#body.isOver);
    if (encoder === null) this.#finish(this.#persists);
    else this.#response = 'relaying';
  }

  // ── A tunnel instead of a response ───────────────────────────────────────────────────────────────────────────

  onSwitch(head: ResponseHead, bytes: Buffer, base: number, from: number, to: number): void {
    const upstream = this.#upstream;
    if (!upstream) return;
    const client = this.#client;
    this.#response = 'tunnel';
    this.#record.status = 101;
    this.#attempts.switched();
    client.head(head, bytes, base, 'none', 'Upgrade', this.#plan.editRelayed(head, bytes, base));
    this.#held.dropHead(this.#plan);
    client.send();
    const { end, early } = client.switchToTunnel();
    const { tunnels } = this.#plan.deadlines;
    this.tunnel = new Tunnel(this.#engine, end, upstream.tunnelEnd(), tunnels, this.#record, this.#boundary);
    if (head.switchesTo(bytes, base, 'websocket')) this.tunnel.followFrames();
    this.tunnel.fromUpstream(bytes, from, to);
    this.tunnel.fromClient(early, 0, early.length);
  }

  onTunnelOver(): void {
    if (this.#response === 'over') return;
    this.#releaseUpstream(false);
    this.#finish(false);
  }

  onTunnelIdle(): void {
    this.#abort(null);
  }

  // ── The ways it can go wrong ─────────────────────────────────────────────────────────────────────────────────

  /** Portico itself answers, as long as nothing else was. */
  refuse(reason: LocalReason, fault: ReaderFault = ''): void {
    if (this.#response === 'over') return;
    if (this.#response === 'relaying' || this.#response === 'tunnel') return this.#abort(reason, fault);
    this.#record.detail = detailOf(reason, fault);
    if (this.#replace(statusOf(reason), reason)) return;
    this.#respond(this.#plan.localResponse(reason), reason);
  }

  /** Whether another backend answers in place of a response with this status. */
  #replace(status: number, reason: LocalReason | null): boolean {
    const { asksUpgrade } = this;
    if (!this.#plan.replace(status, reason)) return false;
    // What follows a declined upgrade may be meant in the other protocol.
    this.#persists &&= !asksUpgrade;
    this.#engine.output.discard();
    this.#releaseUpstream(false);
    this.#attempts.startAnew();
    this.#encoder?.close();
    this.#encoder = null;
    this.#continueTimer?.clear();
    this.#response = 'awaited';
    this.#isReady = true;
    this.#carryOut();
    return true;
  }

  /** Gives a response of ours, and drops what was composed for the upstream or of an invalid response. */
  #respond(response: LocalResponse, reason: LocalReason | 'policy'): void {
    this.#engine.output.discard();
    this.#releaseUpstream(false);
    const edit = this.#plan.editResponse(fieldsViewOf(response.fields));
    const given = edit === null ? response : { ...response, fields: applyEdit(response.fields, edit) };
    this.#persists &&= !given.close && this.#mayGoOn;
    this.#record.respondedLocally(reason, reason === 'policy' ? given.status : statusOf(reason));
    this.#record.responseBytes = this.isHead ? 0 : given.body.length;
    this.#client.respond(given, this.#connectionOption, this.isHead);
    this.#client.send();
    this.#finish(this.#persists);
  }

  /**
   * Something threw while this exchange was handled. It is answered with 500, or aborted if its response has begun,
   * and no policy is asked about that.
   */
  onFault(fault: unknown): void {
    const { context } = this.#engine;
    context.onFault(fault);
    this.#plan.dropPolicies();
    const wasOver = this.#response === 'over';
    try {
      if (!wasOver) return this.refuse('internal-fault');
    } catch (second) {
      context.onFault(second);
    }
    this.#engine.output.discard();
    this.#client.abort(true);
  }

  /** The response ends here, and the client must see that it does. */
  #abort(reason: LocalReason | null, fault: ReaderFault = ''): void {
    this.#engine.output.discard();
    this.#releaseUpstream(false);
    if (reason) this.#record.detail = detailOf(reason, fault);
    this.#account();
    this.#client.abort(this.#framing === 'until-close');
  }

  /** The client sent, or took, nothing for too long. */
  onClientStalled(): void {
    this.refuse('request-timed-out');
  }

  /** Its connection holds too much memory. */
  abortForMemory(): void {
    if (this.#response !== 'over') this.#abort('overloaded');
  }

  /** The time to drain is over. */
  abortForDrain(): void {
    if (this.#response !== 'over') this.#abort('draining');
  }

  /** The client left: the upstream is told at once. */
  onClientGone(): void {
    if (this.#response === 'over') return;
    this.#engine.output.discard();
    this.#releaseUpstream(false);
    if (this.#response !== 'tunnel') {
      this.#record.status = statusOf('client-gone');
      this.#record.detail = 'client-gone';
    }
    this.#account();
  }

  // ── The account ──────────────────────────────────────────────────────────────────────────────────────────────

  #releaseUpstream(reusable: boolean): void {
    const upstream = this.#upstream;
    if (!upstream) return;
    this.#upstream = null;
    this.#sending = false;
    this.#held.setUpstreamQueued(0);
    this.#attempts.end();
    upstream.release(reusable);
  }

  #finish(persists: boolean): void {
    this.#account();
    this.#client.exchangeOver(persists);
  }

  #account(): void {
    this.#response = 'over';
    this.#encoder?.close();
    this.#body.drop();
    this.#held.end(this.#plan);
    this.#attempts.stop();
    this.#continueTimer?.clear();
    this.#pace?.stop();
    this.tunnel?.close();
    this.#record.close();
    this.#engine.inFlight--;
    this.#plan.complete();
    this.#engine.context.onComplete(this.#record);
  }
}
