import { describe, expect, it } from 'vitest';
import { type AttemptOutcome, type AttemptedRequest, afterAttempt } from '../../src/proxy/attempt.ts';

const FIRST: AttemptedRequest = { method: 'GET', attempts: 1, limit: 3, resets: 0, replayable: true };
const RESET_ONCE: AttemptedRequest = { ...FIRST, resets: 1 };

function after(outcome: AttemptOutcome, request: Partial<AttemptedRequest> = {}): string {
  const base = outcome.kind === 'reset' ? RESET_ONCE : FIRST;
  const step = afterAttempt(outcome, { ...base, ...request });
  return step.kind === 'give-up' ? step.reason : step.kind;
}

describe('after an attempt', () => {
  it('an answer is relayed', () => expect(after({ kind: 'answered' })).toBe('relay'));

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
      expect(after(outcome, { limit: 1 })).toBe(`upstream-${kind}`);
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
      expect(after({ kind, connection }, { resets: 3, attempts: 3, limit: 5 })).toBe('upstream-reset');
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
