import { describe, expect, it } from 'vitest';
import type { RetryCondition } from '../../src/policies/retries.ts';
import { DEFAULT_LIMITS } from '../../src/proxy/limits.ts';
import { type RetryRules, retryRules } from '../../src/proxy/retry-rules.ts';
import { type AttemptOutcome, type AttemptedRequest, afterAttempt } from '../../src/proxy/attempt.ts';

const RULES = retryRules(undefined, DEFAULT_LIMITS);
const FIRST: AttemptedRequest = {
  ...{ method: 'GET', attempts: 1, hops: 0, rules: RULES, elapsedMs: 0 },
  ...{ hasAnother: true, resets: 0, replayable: true },
};
const RESET_ONCE: AttemptedRequest = { ...FIRST, resets: 1 };

function after(outcome: AttemptOutcome, request: Partial<AttemptedRequest> = {}): string {
  const base = outcome.kind === 'reset' ? RESET_ONCE : FIRST;
  const step = afterAttempt(outcome, { ...base, ...request });
  return step.kind === 'give-up' ? step.reason : step.kind;
}

describe('after an attempt', () => {
  it('an answer is relayed', () => expect(after({ kind: 'answered', status: 503 })).toBe('relay'));

  for (const outcome of [
    { kind: 'refused' },
    { kind: 'unreachable' },
    { kind: 'connect-timed-out', timeLeft: true },
  ] as const) {
    const { kind } = outcome;
    it(`${kind}: elsewhere, whatever the method and the body, up to the limit`, () => {
      expect(after(outcome)).toBe('retry-elsewhere');
      expect(after(outcome, { method: 'POST', replayable: false })).toBe('retry-elsewhere');
      expect(after(outcome, { attempts: 2 })).toBe('retry-elsewhere');
      expect(after(outcome, { attempts: 3 })).toBe(`upstream-${kind}`);
      expect(after(outcome, { rules: { ...RULES, attempts: 1 } })).toBe(`upstream-${kind}`);
    });
  }

  it('the time for connecting is one for all attempts', () => {
    expect(after({ kind: 'connect-timed-out', timeLeft: false })).toBe('upstream-connect-timed-out');
  });

  it('an endpoint that left costs no attempt', () => {
    const upload = { method: 'POST', replayable: false };
    expect(after({ kind: 'endpoint-gone' }, { attempts: 3, ...upload })).toBe('retry-elsewhere');
  });

  it('no descriptor: again, up to the limit, and it is not the endpoint that is blamed', () => {
    expect(after({ kind: 'out-of-descriptors' })).toBe('retry-same-allowed');
    expect(after({ kind: 'out-of-descriptors' }, { attempts: 3 })).toBe('overloaded');
  });

  for (const [connection, step] of [
    ['reused', 'retry-same-allowed'],
    ['fresh', 'retry-elsewhere'],
  ] as const) {
    const kind = 'reset';
    it(`a reset of a ${connection} connection: twice more, if that can do no harm`, () => {
      expect(after({ kind, connection })).toBe(step);
      expect(after({ kind, connection }, { resets: 2, attempts: 2 })).toBe(step);
      expect(after({ kind, connection }, { resets: 3, attempts: 3, rules: { ...RULES, attempts: 5 } })).toBe(
        'upstream-reset',
      );
      expect(after({ kind, connection }, { attempts: 3 })).toBe('upstream-reset');
      expect(after({ kind, connection }, { replayable: false })).toBe('upstream-reset');
      for (const method of ['HEAD', 'OPTIONS', 'PUT', 'DELETE']) {
        expect(after({ kind, connection }, { method })).toBe(step);
      }
      for (const method of ['POST', 'PATCH', 'get', 'BREW', '']) {
        expect(after({ kind, connection }, { method })).toBe('upstream-reset');
      }
    });
  }

  it('everything else is the end of it', () => {
    expect(after({ kind: 'incomplete-response' })).toBe('upstream-reset');
    expect(after({ kind: 'protocol-error' })).toBe('upstream-protocol-error');
    expect(after({ kind: 'timed-out' })).toBe('upstream-timed-out');
    expect(after({ kind: 'client-gone' })).toBe('client-gone');
    expect(after({ kind: 'no-endpoint' })).toBe('no-endpoint');
  });
});

describe('as a route says', () => {
  const rules = (...on: RetryCondition[]): RetryRules => ({ ...RULES, conditions: new Set(on) });

  it('off: no attempt is followed by another one, unless its endpoint left', () => {
    for (const outcome of [
      { kind: 'refused' },
      { kind: 'unreachable' },
      { kind: 'handshake-failed' },
      { kind: 'connect-timed-out', timeLeft: true },
      { kind: 'reset', connection: 'reused' },
      { kind: 'unprocessed' },
      { kind: 'timed-out' },
      { kind: 'protocol-error' },
    ] as const)
      expect(after(outcome, { rules: rules() })).toMatch(/^upstream-/);
    expect(after({ kind: 'endpoint-gone' }, { rules: rules() })).toBe('retry-elsewhere');
  });

  it('a time-out and an invalid response: at another endpoint, if that can do no harm', () => {
    for (const [kind, condition] of [
      ['timed-out', 'timeout'],
      ['protocol-error', 'invalid-response'],
    ] as const) {
      const asked = { rules: rules(condition) };
      expect(after({ kind }, asked)).toBe('retry-elsewhere');
      expect(after({ kind }, { ...asked, hasAnother: false })).toBe(`upstream-${kind}`);
      expect(after({ kind }, { ...asked, method: 'POST' })).toBe(`upstream-${kind}`);
      expect(after({ kind }, { ...asked, replayable: false })).toBe(`upstream-${kind}`);
      expect(after({ kind }, { ...asked, attempts: 3 })).toBe(`upstream-${kind}`);
      const anyMethod = { ...asked.rules, nonIdempotent: true };
      expect(after({ kind }, { rules: anyMethod, method: 'POST' })).toBe('retry-elsewhere');
      expect(after({ kind }, { rules: anyMethod, method: 'POST', replayable: false })).toBe(
        `upstream-${kind}`,
      );
    }
  });

  it('a status: at another endpoint, and relayed when there is none', () => {
    const asked = { rules: { ...RULES, statuses: new Set([503]) } };
    expect(after({ kind: 'answered', status: 503 }, asked)).toBe('retry-elsewhere');
    expect(after({ kind: 'answered', status: 502 }, asked)).toBe('relay');
    for (const request of [
      { hasAnother: false },
      { method: 'PATCH' },
      { replayable: false },
      { attempts: 3 },
    ])
      expect(after({ kind: 'answered', status: 503 }, { ...asked, ...request })).toBe('relay');
  });

  it('a request that has been through two Porticos is not sent twice, and one that is in a loop never', () => {
    const asked = { rules: { ...rules('timeout'), statuses: new Set([503, 508]) } };
    for (const outcome of [{ kind: 'timed-out' }, { kind: 'answered', status: 503 }] as const) {
      expect(after(outcome, { ...asked, hops: 1 })).toBe('retry-elsewhere');
      expect(after(outcome, { ...asked, hops: 2 })).not.toBe('retry-elsewhere');
    }
    expect(after({ kind: 'refused' }, { hops: 2 })).toBe('retry-elsewhere');
    expect(after({ kind: 'answered', status: 508 }, asked)).toBe('relay');
  });

  it('once its time for attempts is over no other one follows', () => {
    const asked = { rules: { ...RULES, timeoutMs: 100 } };
    expect(after({ kind: 'refused' }, { ...asked, elapsedMs: 99 })).toBe('retry-elsewhere');
    expect(after({ kind: 'refused' }, { ...asked, elapsedMs: 100 })).toBe('upstream-refused');
  });
});
