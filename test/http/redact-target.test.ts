import { expect, it } from 'vitest';
import { CREDENTIALS, Redaction } from '../../src/http/redact-target.ts';

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
  ['/a?b=1;token=c;d=2', '/a?b=1;token=REDACTED;d=2'],
  ['/a?user[password]=c&tokens[]=d&token[]=e', '/a?user[password]=REDACTED&tokens[]=d&token[]=REDACTED'],
  ['https://shop.test/a?code=1&b=2', 'https://shop.test/a?code=REDACTED&b=2'],
  ['https://ann:pw@shop.test/a@b', 'https://REDACTED@shop.test/a@b'],
])('%s is shown as %s', (target, shown) => {
  expect(CREDENTIALS.target(target)).toBe(shown);
});

it('a long query costs little', () => {
  const target = `/a?${'token'.repeat(20_000)}=x&token=y`;
  expect(CREDENTIALS.target(target)).toBe(target.replace(/&token=y$/, '&token=REDACTED'));
});

it('has names of its own, whole or with any beginning', () => {
  const redaction = new Redaction(['iban', '*-id']);
  expect(redaction.target('/a?IBAN=1&customer-id=2&token=3&iban2=4')).toBe(
    '/a?IBAN=REDACTED&customer-id=REDACTED&token=3&iban2=4',
  );
  expect(new Redaction([]).target('/a?token=1')).toBe('/a?token=1');
});
