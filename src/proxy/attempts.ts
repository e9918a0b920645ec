import { performance } from 'node:perf_hooks';
import { balanceOf } from '../policies/balance.ts';
import type { Forward } from '../routing/decide.ts';
import type { Backend } from '../routing/table.ts';
import { type AttemptOutcome, type NextStep, afterAttempt } from './attempt.ts';
import type { EndpointState } from './balance/endpoint-pool.ts';
import * as health from './balance/endpoint-state.ts';
import { ConnectTimer } from './connect-timer.ts';
import type { EngineState } from './engine-state.ts';
import type { ExchangeCallbacks } from './exchange-callbacks.ts';
import type { NativeRecord, ReaderFault } from './native-record.ts';
import type { OpenAttempt } from './open-attempt.ts';
import type { RetryRules } from './retry-rules.ts';
import type { TimedExchange, UpstreamDeadlines } from './route-deadlines.ts';
import type { Upstream } from './upstream/upstream.ts';
import { acquireUpstream } from './upstream/acquire-upstream.ts';
import { type ConnectFailure, isConnectError } from './upstream/connect-failure.ts';
import { upstreamTransport } from './upstream/upstream-transport.ts';
import type { UpstreamFailure, UpstreamUser } from './upstream/upstream-user.ts';

/** Who is called by connections and timers. */
type AttemptsOwner = UpstreamUser & TimedExchange & Pick<ExchangeCallbacks, 'refuse'>;

/**
 * The attempts of one exchange, one after the other: the endpoint of each, the time it has, what each says of its endpoint,
 * whether another may follow, and when.
 */
export class Attempts {
  readonly #engine: EngineState;
  readonly #owner: AttemptsOwner;
  readonly #record: NativeRecord;
  /** The endpoint of the attempt that was begun last. */
  #state: EndpointState | null = null;
  #attempt: OpenAttempt | null = null;
  #tried: readonly EndpointState[] = [];
  #resets = 0;
  /** The backend of the attempt that was begun last. */
  #backend: Backend | null = null;
  #rules: RetryRules;
  /** When the first attempt began, where the time for all of them has an end. */
  #startedAt = 0;
  #sentAt = 0;
  /** Only while there is no connection: most exchanges find one. */
  #connectTimer: ConnectTimer<TimedExchange> | null = null;
  /** Only where there is a limit for all attempts together. */
  #wholeTimer: NodeJS.Timeout | undefined;
  #attemptMs: number | null = null;
  /** Only where the route limits an attempt. */
  #attemptTimer: NodeJS.Timeout | undefined;
  #backoffTimer: NodeJS.Timeout | undefined;

  /** Connections and timers call `owner`. */
  constructor(engine: EngineState, owner: AttemptsOwner, record: NativeRecord) {
    this.#engine = engine;
    this.#owner = owner;
    this.#record = record;
    this.#rules = engine.routeDeadlines.of(null).retries;
  }

  /** Refuses the request when there is no complete response in this time. */
  limit(wholeMs: number): void {
    this.#wholeTimer = setTimeout(() => this.#owner.refuse('deadline-exceeded'), wholeMs);
  }

  /** Begins the next one; null when there is no endpoint for it. */
  begin({ route, backend }: Forward, deadlines: UpstreamDeadlines, hash: string): Upstream | null {
    const { context } = this.#engine;
    const current = context.endpoints.current(backend);
    const balance = balanceOf(route.policies?.configs.balance, current.affinity !== undefined);
    const { session } = this.#record;
    const state =
      session === null
        ? context.endpoints.choose(current, balance, this.#tried, hash, context.now())
        : context.endpoints.chooseForSession(session, current, balance, this.#tried, hash, context.now());
    if (!state) return null;
    if (this.#backend === null) {
      this.#rules = deadlines.retries;
      if (this.#rules.timeoutMs < Number.POSITIVE_INFINITY) this.#startedAt = performance.now();
    }
    this.#attemptMs = deadlines.timeouts.attemptMs;
    this.#backend = current;
    this.#state = state;
    const attempt = (this.#attempt = this.#record.beginAttempt(state.key));
    health.attemptStarted(state);
    const transport = upstreamTransport(route, current, context.secret, this.#record.connectionInfo.tls);
    this.#record.trace?.beginAttempt(transport);
    const { connectMs } = deadlines.timeouts;
    const upstream = acquireUpstream(
      this.#engine,
      state,
      transport,
      this.#resets > 0,
      connectMs,
      this.#owner,
    );
    const { isConnected } = upstream;
    this.#record.observer?.on({ kind: 'attempt', endpoint: state.key, transport, isConnected });
    if (isConnected) {
      attempt.reuses();
      return upstream;
    }
    this.#connectTimer ??= new ConnectTimer(this.#owner, deadlines.connects);
    // The last one that there is has all the time that is left.
    const isLast =
      this.#record.attempts >= this.#rules.attempts || !context.endpoints.hasMoreThan(1, current);
    if (!isLast) this.#connectTimer.startAttempt(deadlines.connectAttempts);
    return upstream;
  }

  connected(): void {
    if (this.#state) health.connectSucceeded(this.#state);
    this.#record.observer?.on({ kind: 'connected' });
  }

  /** The request is being sent: connecting is over. */
  sending(): void {
    this.#stopConnecting();
    this.#sentAt = performance.now();
    this.#attempt?.connected(this.#sentAt);
    if (this.#attemptMs === null) return;
    clearTimeout(this.#attemptTimer);
    this.#attemptTimer = setTimeout(() => this.#owner.onAttemptTimeout(), this.#attemptMs);
  }

  responded(status: number, now: number): void {
    const at = performance.now();
    this.#record.observer?.on({ kind: 'responded', status });
    this.#attempt?.responded(status, at);
    if (this.#state) health.recordLatency(this.#state, at - this.#sentAt, now);
  }

  /** The upstream carries bytes of another protocol from now on, for any time. */
  switched(): void {
    clearTimeout(this.#wholeTimer);
    clearTimeout(this.#attemptTimer);
    this.#record.observer?.on({ kind: 'responded', status: 101 });
    this.#attempt?.responded(101, performance.now());
  }

  /** The endpoint is done with, however it went. To be called once for each attempt, or `failed`. */
  end(): void {
    clearTimeout(this.#attemptTimer);
    this.#attempt?.ended(performance.now());
    if (this.#state) health.attemptEnded(this.#state);
  }

  /** The upstream of the attempt failed; `reused` when its connection had served others before. */
  failed(failure: UpstreamFailure, fault: ReaderFault, reused: boolean): AttemptOutcome {
    this.end();
    this.#failedBy(failure);
    switch (failure) {
      case 'refused':
      case 'unreachable':
        this.#connectFailed(isConnectError(fault) ? fault : 'other');
        return { kind: failure };
      case 'handshake-failed':
        this.#connectFailed('handshake');
        return { kind: failure };
      case 'connect-timed-out':
        this.#connectFailed(isConnectError(fault) ? fault : 'timeout');
        return { kind: failure, timeLeft: true };
      case 'endpoint-gone':
        this.#connectFailed(failure);
        return { kind: failure };
      case 'unprocessed':
        this.#doNotRepeat();
        return { kind: failure };
      case 'out-of-descriptors':
        // Not the endpoint's fault: where an idle connection could be closed for it, it is tried again.
        this.#engine.outOfDescriptors();
        return { kind: failure };
      case 'reset':
        this.#resets++;
        if (!reused) this.#doNotRepeat();
        return { kind: 'reset', connection: reused ? 'reused' : 'fresh' };
      case 'protocol-error':
      case 'timed-out':
        this.#doNotRepeat();
        return { kind: failure };
      case 'incomplete-response':
        return { kind: failure };
      default:
        return failure satisfies never;
    }
  }

  /** There is no connection yet, and the time is over: for this attempt, or without `timeLeft` for all of them. */
  connectTimedOut(timeLeft: boolean): AttemptOutcome {
    this.#connectFailed('timeout');
    this.#failedBy('connect-timed-out');
    return { kind: 'connect-timed-out', timeLeft };
  }

  /** The time for a response to this attempt is over. */
  timedOut(): AttemptOutcome {
    this.#failedBy('timed-out');
    this.#doNotRepeat();
    return { kind: 'timed-out' };
  }

  /** Whether a response with this status may be left for one of another endpoint. */
  isRetried(status: number): boolean {
    return this.#rules.statuses.has(status);
  }

  /** A response came that is one of those. */
  answered(status: number): AttemptOutcome {
    this.#doNotRepeat();
    return { kind: 'answered', status };
  }

  /** What follows. `replayable` as `AttemptedRequest` has it. */
  after(outcome: AttemptOutcome, replayable: boolean): NextStep {
    const { method, attempts, hops } = this.#record;
    const rules = this.#rules;
    const elapsedMs = rules.timeoutMs < Number.POSITIVE_INFINITY ? performance.now() - this.#startedAt : 0;
    const { endpoints } = this.#engine.context;
    const hasAnother = this.#backend !== null && endpoints.hasMoreThan(this.#tried.length, this.#backend);
    const request = {
      method,
      attempts,
      hops,
      rules,
      elapsedMs,
      hasAnother,
      resets: this.#resets,
      replayable,
    };
    return afterAttempt(outcome, request);
  }

  /** Whether the next attempt has to wait: its owner is told when it may begin. */
  backOff(): boolean {
    const { backoffMs } = this.#rules;
    if (backoffMs === 0) return false;
    clearTimeout(this.#backoffTimer);
    this.#backoffTimer = setTimeout(() => this.#owner.onBackoffOver(), backoffMs);
    return true;
  }

  /** For another backend, of which nothing was tried. */
  startAnew(): void {
    this.stop();
    this.#state = null;
    this.#tried = [];
    this.#resets = 0;
    this.#backend = null;
  }

  /** None follows. */
  stop(): void {
    this.#stopConnecting();
    clearTimeout(this.#wholeTimer);
    clearTimeout(this.#attemptTimer);
    clearTimeout(this.#backoffTimer);
  }

  #stopConnecting(): void {
    this.#connectTimer?.stop();
    this.#connectTimer = null;
  }

  #failedBy(failure: OpenAttempt['failure']): void {
    if (this.#attempt) this.#attempt.failure = failure;
  }

  #doNotRepeat(): void {
    if (this.#state) this.#tried = [...this.#tried, this.#state];
  }

  #connectFailed(failure: ConnectFailure): void {
    this.#connectTimer?.endAttempt();
    this.#record.connectFailed(failure);
    this.#doNotRepeat();
    // What the routes speak says nothing of the address.
    if (this.#state && failure !== 'endpoint-gone' && failure !== 'handshake')
      health.connectFailed(this.#state, this.#engine.context.now());
  }
}
