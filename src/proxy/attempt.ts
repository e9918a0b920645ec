import type { RetryRules } from './retry-rules.ts';
import type { AttemptFailure } from '../http/local-response.ts';

/** How one try at one endpoint ended. */
export type AttemptOutcome =
  /** A response head came: the exchange is the upstream's, unless the route has other endpoints tried for its status. */
  | { readonly kind: 'answered'; readonly status: number }
  /** The connection could not be made (refused, reset while connecting): nothing was sent. */
  | { readonly kind: 'refused' }
  /** The network has no route to the endpoint (EHOSTUNREACH, ENETUNREACH): nothing was sent. */
  | { readonly kind: 'unreachable' }
  /** The endpoint was reached, and TLS or HTTP/2 could not be agreed on: nothing was sent. */
  | { readonly kind: 'handshake-failed' }
  /** The connection was not made in time: nothing was sent. `timeLeft` unless all attempts have used up theirs. */
  | { readonly kind: 'connect-timed-out'; readonly timeLeft: boolean }
  /** The endpoint left the table while it was being connected to: nothing was sent. */
  | { readonly kind: 'endpoint-gone' }
  /** This machine has no descriptor for a connection: nothing was sent, and the endpoint is not to blame. */
  | { readonly kind: 'out-of-descriptors' }
  /** The connection ended before the first byte of a response. */
  | { readonly kind: 'reset'; readonly connection: 'reused' | 'fresh' }
  /** The upstream said that it did nothing with the request (RFC 9113 8.7: REFUSED_STREAM, or a GOAWAY before it). */
  | { readonly kind: 'unprocessed' }
  /** The connection ended within a response. */
  | { readonly kind: 'incomplete-response' }
  /** What came is not an HTTP response that can be passed on. */
  | { readonly kind: 'protocol-error' }
  /** No response head in time, after the request was sent. */
  | { readonly kind: 'timed-out' }
  | { readonly kind: 'client-gone' }
  /** There was no endpoint to try. */
  | { readonly kind: 'no-endpoint' };

/** What is known of the request when an attempt is over. */
export interface AttemptedRequest {
  readonly method: string;
  /** Attempts made so far, the one that is over included. */
  readonly attempts: number;
  /** How many times it had been through a Portico before it came here. */
  readonly hops: number;
  /** What its route says of retries. */
  readonly rules: RetryRules;
  /** Milliseconds since the first attempt began. */
  readonly elapsedMs: number;
  /** An endpoint is left that was not tried. */
  readonly hasAnother: boolean;
  /** Attempts so far that ended in `reset`, the one that is over included. */
  readonly resets: number;
  /**
   * Every byte of the request can still be sent from the start, since no part of its body was passed on and let go, and
   * nothing of a response was passed on.
   */
  readonly replayable: boolean;
}

export type NextStep =
  | { readonly kind: 'relay' }
  /** Try an endpoint that was not tried yet, if there is one. */
  | { readonly kind: 'retry-elsewhere' }
  /** Try again on a connection of its own; the same endpoint is as good as another. */
  | { readonly kind: 'retry-same-allowed' }
  | { readonly kind: 'give-up'; readonly reason: AttemptFailure };

/**
 * An upstream that shuts down resets a keep-alive connection, and a moment later the new one that it had not accepted yet:
 * that makes two, and the third attempt goes to an upstream that stays.
 */
const MAX_RESETS = 2;

/** Of Porticos in a row the first two repeat requests: in a route that leads back here each one would multiply them. */
const REPEATING_HOPS = 2;

/**
 * What to do after an attempt, as far as its route wants it repeated. Where nothing was sent, any method goes to another
 * endpoint. Once something was, only idempotent methods whose bytes are all still at hand are sent again: a proxy must not
 * repeat the others (RFC 9110 9.2.2) unless it is told to.
 */
export function afterAttempt(outcome: AttemptOutcome, request: AttemptedRequest): NextStep {
  const { rules } = request;
  const { conditions } = rules;
  const left = request.attempts < rules.attempts && request.elapsedMs < rules.timeoutMs;
  const hasAnother = request.hasAnother || rules.repeats;
  const mostResets = rules.repeats ? rules.attempts : MAX_RESETS;
  const mayRepeat =
    left &&
    request.replayable &&
    request.hops < REPEATING_HOPS &&
    (rules.nonIdempotent || isIdempotent(request.method));
  switch (outcome.kind) {
    case 'answered':
      return mayRepeat && hasAnother && rules.statuses.has(outcome.status) && outcome.status !== LOOP_DETECTED
        ? RETRY_ELSEWHERE
        : RELAY;
    case 'refused':
      return left && conditions.has('connect') ? RETRY_ELSEWHERE : giveUp('upstream-refused');
    case 'unreachable':
      return left && conditions.has('connect') ? RETRY_ELSEWHERE : giveUp('upstream-unreachable');
    case 'handshake-failed':
      return left && conditions.has('connect') ? RETRY_ELSEWHERE : giveUp('upstream-handshake-failed');
    case 'connect-timed-out':
      return left && outcome.timeLeft && conditions.has('connect-timed-out')
        ? RETRY_ELSEWHERE
        : giveUp('upstream-connect-timed-out');
    case 'endpoint-gone':
      // It says nothing of the others, and costs no attempt: the time for connecting is the limit.
      return RETRY_ELSEWHERE;
    case 'out-of-descriptors':
      return left ? RETRY_SAME_ALLOWED : giveUp('overloaded');
    case 'reset':
      if (!mayRepeat || !conditions.has('reset') || request.resets > mostResets)
        return giveUp('upstream-reset');
      return outcome.connection === 'reused' ? RETRY_SAME_ALLOWED : RETRY_ELSEWHERE;
    case 'unprocessed':
      return left && request.replayable && conditions.has('reset')
        ? RETRY_ELSEWHERE
        : giveUp('upstream-reset');
    case 'incomplete-response':
      return giveUp('upstream-reset');
    case 'protocol-error':
      if (mayRepeat && hasAnother && conditions.has('invalid-response')) return RETRY_ELSEWHERE;
      return giveUp('upstream-protocol-error');
    case 'timed-out':
      if (mayRepeat && hasAnother && conditions.has('timeout')) return RETRY_ELSEWHERE;
      return giveUp('upstream-timed-out');
    case 'client-gone':
      return giveUp('client-gone');
    case 'no-endpoint':
      return giveUp('no-endpoint');
    default:
      return outcome satisfies never;
  }
}

/** It says that no attempt will fare better. */
const LOOP_DETECTED = 508;

const RELAY: NextStep = { kind: 'relay' };
const RETRY_ELSEWHERE: NextStep = { kind: 'retry-elsewhere' };
const RETRY_SAME_ALLOWED: NextStep = { kind: 'retry-same-allowed' };

function giveUp(reason: AttemptFailure): NextStep {
  return { kind: 'give-up', reason };
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

/** RFC 9110 9.2.2. Method names are case-sensitive. */
export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}
