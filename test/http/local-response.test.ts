import { describe, expect, it } from 'vitest';
import { type LocalReason, languageOf, localResponse, statusOf } from '../../src/http/local-response.ts';

/** Every reason there is: a new one fails to compile here until it is listed. */
const STATUSES: Record<LocalReason, number> = {
  healthy: 200,
  'bad-message': 400,
  'bad-framing': 400,
  'bad-host': 400,
  'bad-target': 400,
  'host-disagrees': 400,
  'certificate-missing': 400,
  'certificate-refused': 400,
  'client-certificate-not-available': 403,
  'address-denied': 403,
  blocked: 403,
  'path-too-costly': 414,
  'rate-limited': 429,
  unauthenticated: 401,
  unauthorized: 403,
  'client-name-denied': 403,
  'auth-failed': 500,
  'auth-unavailable': 503,
  'passwords-busy': 503,
  'passwords-unavailable': 503,
  misdirected: 421,
  'clients-unverifiable': 503,
  'https-only': 308,
  'tls-expected': 400,
  'no-route': 404,
  'loop-detected': 508,
  'method-not-allowed': 405,
  'request-timed-out': 408,
  'body-too-large': 413,
  'target-too-long': 414,
  'expectation-unknown': 417,
  'head-too-large': 431,
  'client-gone': 499,
  'internal-fault': 500,
  'method-unknown': 501,
  'transfer-coding-unknown': 501,
  'protocol-not-supported': 501,
  'upstream-refused': 502,
  'upstream-unreachable': 502,
  'upstream-handshake-failed': 502,
  'upstream-reset': 502,
  'upstream-protocol-error': 502,
  'backend-unavailable': 503,
  'backend-invalid': 500,
  'closed-by-policy': 503,
  'no-endpoint': 503,
  overloaded: 503,
  draining: 503,
  'upstream-connect-timed-out': 504,
  'upstream-timed-out': 504,
  'deadline-exceeded': 504,
  'version-not-supported': 505,
};
const REASONS = Object.keys(STATUSES) as LocalReason[];

describe('answers', () => {
  it.each(REASONS)(
    '%s has its status, a length that is true and one line that says what happened',
    (reason) => {
      const text = localResponse(reason, 'text');
      expect(text.status).toBe(STATUSES[reason]);
      expect(statusOf(reason)).toBe(STATUSES[reason]);
      expect(text.body).toMatch(new RegExp(`^${text.status} ${text.reasonPhrase}: [ -~]+\n$`));
      expect(Object.fromEntries(text.fields)['content-length']).toBe(String(Buffer.byteLength(text.body)));

      const json = localResponse(reason, 'json');
      expect(JSON.parse(json.body)).toEqual({ status: text.status, reason, message: expect.any(String) });
      expect(Object.fromEntries(json.fields)['content-length']).toBe(String(Buffer.byteLength(json.body)));
    },
  );

  it('keeps the connection only where the next request on it may fare better', () => {
    const kept = REASONS.filter((reason) => !localResponse(reason, 'text').close);
    expect(kept.map(statusOf).sort()).toEqual([
      200, 308, 401, 403, 403, 403, 403, 403, 404, 414, 429, 500, 500, 501, 502, 502, 502, 502, 502, 503, 503,
      503, 503, 503, 503, 503, 504, 504, 504, 508,
    ]);
  });

  it('says which methods would do when it refuses one', () => {
    expect(Object.fromEntries(localResponse('method-not-allowed', 'text').fields)['allow']).toContain('GET');
  });

  it.each([
    [undefined, false],
    ['', false],
    ['*/*', false],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', false],
    ['text/plain', false],
    ['application/json', true],
    ['Application/JSON', true],
    ['application/json, text/plain, */*', true],
    ['application/json;q=0.5, text/plain', false],
    ['application/json;charset=utf-8;q=0.9, text/*;q=0.1', true],
    ['application/json;q=0', false],
    ['application/json;q=bad', false],
    [`application/json,${'x'.repeat(5000)}`, false],
  ])('Accept: %s means JSON: %s', (accept, json) => {
    const type = Object.fromEntries(localResponse('no-route', languageOf(accept, false)).fields)[
      'content-type'
    ];
    expect(type).toBe(json ? 'application/json' : 'text/plain; charset=utf-8');
  });

  it('is made once per reason and form', () => {
    expect(localResponse('no-route', 'text')).toBe(
      localResponse('no-route', languageOf('text/plain', false)),
    );
  });
});
