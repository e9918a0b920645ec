import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type TemplateRequest, parseTemplate, renderTemplate } from '../../src/http/variables.ts';

const FIELDS: Readonly<Record<string, string>> = {
  'x-user': 'ada',
  cookie: 'a=1; session=s=2; b=3',
  authorization: `Basic ${Buffer.from('ada:secret:x').toString('base64')}`,
};

const REQUEST: TemplateRequest = {
  method: 'GET',
  target: '/a/../b%20c?x=1&user=u%20v&user=w&empty=',
  host: 'Shop.Example.com:8443',
  scheme: 'https',
  clientAddress: '192.0.2.1',
  requestId: 'id-1',
  value: (name) => FIELDS[name],
};

function rendered(text: string, request = REQUEST): string {
  const read = parseTemplate(text);
  return read.kind === 'template' ? renderTemplate(read.template, request) : read.fault;
}

test.each([
  ['', ''],
  ['plain', 'plain'],
  ['$host$http_host', 'shop.example.comShop.Example.com:8443'],
  ['${scheme}://$host', 'https://shop.example.com'],
  ['$request_uri', REQUEST.target],
  ['$uri$is_args$args', '/b%20c?x=1&user=u%20v&user=w&empty='],
  ['$escaped_request_uri', encodeURIComponent(REQUEST.target)],
  ['$http_x_user-$HTTP_X_USER-$http_none', 'ada-ada-'],
  ['$cookie_session|$cookie_b|$cookie_sess', 's=2|3|'],
  ['$arg_user|$arg_x|$arg_empty|$arg_none', 'u%20v|1||'],
  ['$remote_addr $remote_user $request_method $request_id', '192.0.2.1 ada GET id-1'],
])('%s gives %s', (text, expected) => {
  expect(rendered(text)).toBe(expected);
});

test.each([
  ['$unknown', 'has the variable $unknown, which is not known'],
  ['a$', 'has a "$" that begins no variable'],
  ['${host', 'has a "$" that begins no variable'],
  ['$http_', 'has the variable $http_, which is not known'],
  ['$host'.repeat(33), 'has more than 32 parts'],
])('%s %s', (text, fault) => {
  expect(rendered(text)).toBe(fault);
});

test('without a query, cookies and credentials the variables are empty', () => {
  const bare = { ...REQUEST, target: '/', value: () => undefined };
  expect(rendered('[$args$is_args$arg_a$cookie_a$http_a$remote_user]', bare)).toBe('[]');
});

test.each(['a\r\n\r\nGET /b HTTP/1.0\r\n\r\n', 'a\0', 'a\x7f', '\tb'])('%j is no user', (user) => {
  const authorization = `Basic ${Buffer.from(`${user}:pw`).toString('base64')}`;
  expect(rendered('[$remote_user]', { ...REQUEST, value: () => authorization })).toBe('[]');
});

test('no text makes it throw', () => {
  const texts = fc.array(fc.constantFrom('$', '{', '}', 'host', 'arg_', '_', 'é', '\ud800', '&', '='));
  fc.assert(
    fc.property(texts, fc.string(), (parts, target) => {
      expect(typeof rendered(parts.join(''), { ...REQUEST, target })).toBe('string');
    }),
  );
});
