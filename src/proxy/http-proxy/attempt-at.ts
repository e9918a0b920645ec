import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';
import type { AttemptOutcome } from '../attempt.ts';
import { type EndpointState, began, connectFailed, connected, ended } from '../balance/endpoint-state.ts';
import type { EngineContext } from '../engine.ts';

/** One try at one endpoint, over a `ClientRequest`. */
export interface AttemptAt {
  readonly request: ClientRequest;
  readonly startedAt: number;
  /** The attempt ended before there was a response, in this way; the first call counts. */
  fail(outcome: AttemptOutcome): void;
  /** A response came: failing is no longer for this attempt to say. */
  answered(): void;
  /** The endpoint is done with, whatever became of it. */
  end(): void;
}

/**
 * Watches a request that was just made: `onConnected` once there is a connection, `onFailed` at most once.
 * What fails after `answered` is seen on the response instead.
 */
export function attemptAt(
  state: EndpointState,
  request: ClientRequest,
  context: EngineContext,
  onConnected: () => void,
  onFailed: (outcome: AttemptOutcome) => void,
): AttemptAt {
  let phase: 'connecting' | 'waiting' | 'over' = 'connecting';
  let inFlight = true;
  began(state);
  const timer = setTimeout(
    () => attempt.fail({ kind: 'connect-timed-out' }),
    context.limits.connectTimeoutMs,
  );

  const attempt: AttemptAt = {
    request,
    startedAt: context.now(),
    fail(outcome) {
      if (phase === 'over') return;
      phase = 'over';
      if (outcome.kind === 'refused' || outcome.kind === 'connect-timed-out')
        connectFailed(state, context.now());
      attempt.end();
      request.destroy();
      onFailed(outcome);
    },
    answered() {
      phase = 'over';
    },
    end() {
      clearTimeout(timer);
      if (inFlight) ended(state);
      inFlight = false;
    },
  };

  request.on('socket', (socket: Socket) => {
    if (socket.connecting) socket.once('encrypted' in socket ? 'secureConnect' : 'connect', ready);
    else ready();
  });
  request.on('error', (error: NodeJS.ErrnoException) => {
    if (phase === 'connecting') attempt.fail({ kind: 'refused' });
    else if (error.code?.startsWith('HPE_')) attempt.fail({ kind: 'nonsense' });
    else attempt.fail({ kind: 'reset', connection: request.reusedSocket ? 'reused' : 'fresh' });
  });
  request.on('close', () =>
    attempt.fail({ kind: 'reset', connection: request.reusedSocket ? 'reused' : 'fresh' }),
  );
  return attempt;

  function ready(): void {
    if (phase !== 'connecting') return;
    phase = 'waiting';
    clearTimeout(timer);
    connected(state);
    onConnected();
  }
}
