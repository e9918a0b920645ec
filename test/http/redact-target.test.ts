import { expect, it } from 'vitest';
import { redactTarget } from '../../src/http/redact-target.ts';

it.each([
  ['/', '/'],
  ['/?', '/?'],
  ['/a?b=c&d', '/a?b=c&d'],
  ['/a?token=abc', '/a?token=REDACTED'],
  ['/a?b=1&access_token=abc&c=2', '/a?b=1&access_token=REDACTED&c=2'],
  ['/a?API_KEY=abc&x-api-key=d', '/a?API_KEY=REDACTED&x-api-key=REDACTED'],
  [
    '/a?sig=a&X-Amz-Signature=b&X-Goog-Signature=c',
    '/a?sig=REDACTED&X-Amz-Signature=REDACTED&X-Goog-Signature=REDACTED',
  ],
  ['/a?code=a&password=b&client_secret=c', '/a?code=REDACTED&password=REDACTED&client_secret=REDACTED'],
  ['/a?%74oken=abc', '/a?%74oken=REDACTED'],
  ['/a?%zztoken=abc', '/a?%zztoken=REDACTED'],
  ['/a?token=a=b&token', '/a?token=REDACTED&token'],
  ['/token=abc', '/token=abc'],
  ['/a?postcode=1&keyword=2', '/a?postcode=1&keyword=2'],
])('%s is shown as %s', (target, shown) => {
  expect(redactTarget(target)).toBe(shown);
});

it('a long query costs little', () => {
  const target = `/a?${'token'.repeat(20_000)}=x&token=y`;
  expect(redactTarget(target)).toBe(target.replace(/&token=y$/, '&token=REDACTED'));
});
