import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';
import type { AttemptOutcome } from '../attempt.ts';
import {
  type EndpointState,
  attemptStarted,
  connectFailed,
  connectSucceeded,
  attemptEnded,
} from '../balance/endpoint-state.ts';
import type { EngineContext } from '../engine.ts';
import type { RetryRules } from '../retry-rules.ts';
import type { RouteTimeouts } from '../route-deadlines.ts';
import { type ConnectFailure, failedConnect, isConnectError } from '../upstream/connect-failure.ts';
import type { OpenAttempt } from '../open-attempt.ts';
import type { ReferenceRecord } from './reference-record.ts';

/** One try at one endpoint, over a `ClientRequest`. */
export interface AttemptAt {
  readonly request: ClientRequest;
  readonly endpoint: EndpointState;
  readonly startedAt: number;
  /** The attempt ended before there was a response, in this way; the first call counts. */
  fail(outcome: AttemptOutcome, detail?: string): void;
  /** A response came, with this status, or is not waited for any more: failing is no longer for this attempt to say. */
  answered(status?: number): void;
  /** The endpoint is done with, whatever became of it. */
  end(): void;
}

/** The time that one attempt has to connect. */
interface TimeShare {
  readonly ms: number;
  /** When it is over, no attempt has time any more. A timer that fires a little early does not change that. */
  readonly isAll: boolean;
}

/** The time that the attempts of one exchange have to connect, all together. */
export interface ConnectTime {
  /** For the next attempt: all that is left when it is the last. */
  share(isLast: boolean): TimeShare;
  /** Milliseconds; 0 when it is used up. */
  left(): number;
  /** There is a connection: what may come after it has its own time. */
  reset(): void;
}

export function connectTime({ connectMs }: RouteTimeouts, { attempts }: RetryRules): ConnectTime {
  let until: number | null = null;
  const left = (): number => (until === null ? connectMs : Math.max(0, Math.ceil(until - performance.now())));
  return {
    share(isLast) {
      until ??= performance.now() + connectMs;
      const all = left();
      const ms = isLast ? all : Math.min(all, connectMs / attempts);
      return { ms, isAll: ms === all };
    },
    left,
    reset() {
      until = null;
    },
  };
}

/** What an attempt shares with the others of its exchange, and the engine's list of those without a connection. */
export interface AttemptSettings {
  readonly context: EngineContext;
  readonly record: ReferenceRecord;
  readonly entry: OpenAttempt;
  readonly time: ConnectTime;
  readonly isLast: boolean;
  readonly connecting: Set<AttemptAt>;
}

/**
 * Watches a request that was just made: `onConnected` once there is a connection, `onFailed` at most once.
 * What fails after `answered` is seen on the response instead.
 */
export function attemptAt(
  state: EndpointState,
  request: ClientRequest,
  { context, record, entry, time, isLast, connecting }: AttemptSettings,
  onConnected: () => void,
  onFailed: (outcome: AttemptOutcome, detail: string) => void,
): AttemptAt {
  let phase: 'connecting' | 'waiting' | 'over' = 'connecting';
  let inFlight = true;
  /** There is a connection, perhaps without TLS yet. */
  let reached = false;
  attemptStarted(state);
  const share = time.share(isLast);
  const timer = setTimeout(
    () => attempt.fail({ kind: 'connect-timed-out', timeLeft: !share.isAll }),
    share.ms,
  );

  const attempt: AttemptAt = {
    request,
    endpoint: state,
    startedAt: context.now(),
    fail(outcome, detail = '') {
      if (phase === 'over') return;
      if (phase === 'connecting') noteFailure(outcome, detail);
      phase = 'over';
      entry.failure = outcome.kind;
      attempt.end();
      request.destroy();
      onFailed(outcome, detail);
    },
    answered(status) {
      if (status !== undefined) entry.responded(status, performance.now());
      phase = 'over';
    },
    end() {
      clearTimeout(timer);
      connecting.delete(attempt);
      if (inFlight) {
        entry.ended(performance.now());
        attemptEnded(state);
      }
      inFlight = false;
    },
  };

  request.on('socket', (socket: Socket) => {
    if (socket.connecting) socket.once('connect', () => (reached = true));
    if (socket.connecting) socket.once('encrypted' in socket ? 'secureConnect' : 'connect', ready);
    // Destroyed already: connecting failed at once, and the error comes next.
    else if (!socket.destroyed) ready();
  });
  request.on('error', (error: NodeJS.ErrnoException) => {
    if (phase === 'connecting') connectError(error);
    else if (error.code?.startsWith('HPE_')) attempt.fail({ kind: 'protocol-error' });
    else attempt.fail({ kind: 'reset', connection: request.reusedSocket ? 'reused' : 'fresh' });
  });
  request.on('close', () =>
    attempt.fail({ kind: 'reset', connection: request.reusedSocket ? 'reused' : 'fresh' }),
  );
  connecting.add(attempt);
  return attempt;

  function connectError(error: NodeJS.ErrnoException): void {
    if (reached) return attempt.fail({ kind: 'handshake-failed' });
    const { kind, detail } = failedConnect(error);
    attempt.fail(kind === 'connect-timed-out' ? { kind, timeLeft: time.left() > 0 } : { kind }, detail);
  }

  function noteFailure({ kind }: AttemptOutcome, detail: string): void {
    record.connectFailures = [...record.connectFailures, failureOf(kind, detail)];
    if (kind !== 'endpoint-gone' && kind !== 'handshake-failed') connectFailed(state, context.now());
  }

  function ready(): void {
    if (phase !== 'connecting') return;
    phase = 'waiting';
    entry.connected(performance.now());
    clearTimeout(timer);
    time.reset();
    connecting.delete(attempt);
    connectSucceeded(state);
    onConnected();
  }
}

function failureOf(kind: AttemptOutcome['kind'], detail: string): ConnectFailure {
  if (isConnectError(detail)) return detail;
  switch (kind) {
    case 'endpoint-gone':
      return kind;
    case 'handshake-failed':
      return 'handshake';
    case 'connect-timed-out':
      return 'timeout';
    default:
      return 'other';
  }
}
