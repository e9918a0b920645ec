import type { RequestFault } from '../../../../src/proxy/downstream/http1/request-head.ts';

export interface RefusedHead {
  readonly name: string;
  readonly head: string;
  readonly fault: RequestFault;
  readonly status: number;
}

const get = (...fields: string[]) =>
  `GET / HTTP/1.1\r\nHost: a.test\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;
const post = (...fields: string[]) => get(...fields).replace('GET', 'POST');

/** Heads that must not reach a pod. What follows the head in a smuggling attempt is in `smuggling.ts`. */
export const REFUSED_HEADS: readonly RefusedHead[] = [
  // The request line.
  { name: 'no version', head: 'GET /\r\nHost: a\r\n\r\n', fault: 'bad-request-line', status: 400 },
  {
    name: 'a version in lower case',
    head: 'GET / http/1.1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  {
    name: 'a version with two digits',
    head: 'GET / HTTP/1.10\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  {
    name: 'a comma in the version',
    head: 'GET / HTTP/1,1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  { name: 'HTTP/2.0', head: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', fault: 'version-not-supported', status: 505 },
  {
    name: 'HTTP/0.9 by name',
    head: 'GET / HTTP/0.9\r\nHost: a\r\n\r\n',
    fault: 'version-not-supported',
    status: 505,
  },
  {
    name: 'HTTP/1.2',
    head: 'GET / HTTP/1.2\r\nHost: a\r\n\r\n',
    fault: 'version-not-supported',
    status: 505,
  },
  {
    name: 'two blanks after the method',
    head: 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  {
    name: 'a blank in the target',
    head: 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  {
    name: 'a second request line in the target',
    head: 'GET /a HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  {
    name: 'a tab in the request line',
    head: 'GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  {
    name: 'a blank before the method',
    head: ' GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  {
    name: 'a method that is no token',
    head: 'G(T / HTTP/1.1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  {
    name: 'an empty target',
    head: 'GET  HTTP/1.1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  {
    name: 'a fragment',
    head: 'GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  {
    name: 'a byte above ASCII in the target',
    head: 'GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  {
    name: 'NUL in the target',
    head: 'GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  {
    name: 'a bare CR in the target',
    head: 'GET /\rX HTTP/1.1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  {
    name: 'a bare LF after the request line',
    head: 'GET / HTTP/1.1\nHost: a\r\n\r\n',
    fault: 'bare-lf',
    status: 400,
  },
  { name: 'a TLS hello', head: '\x16\x03\x01\x02\x00\x01', fault: 'bad-request-line', status: 400 },
  {
    name: 'two empty lines first',
    head: '\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
    fault: 'bad-request-line',
    status: 400,
  },
  // Line ends and folding.
  {
    name: 'a bare LF after a field',
    head: 'GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n',
    fault: 'bare-lf',
    status: 400,
  },
  {
    name: 'a bare LF as the empty line',
    head: 'GET / HTTP/1.1\r\nHost: a\r\n\n',
    fault: 'bare-lf',
    status: 400,
  },
  { name: 'nothing but bare LFs', head: 'GET / HTTP/1.1\nHost: a\n\n', fault: 'bare-lf', status: 400 },
  { name: 'a bare CR in a value', head: get('X: a\rb'), fault: 'bad-field-value', status: 400 },
  { name: 'CR CR LF', head: get('X: a\r'), fault: 'bad-field-value', status: 400 },
  {
    name: 'a line of a bare CR',
    head: 'GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n',
    fault: 'bad-field-name',
    status: 400,
  },
  { name: 'obs-fold', head: get('X: a', ' b'), fault: 'obs-fold', status: 400 },
  {
    name: 'obs-fold with a tab, hiding a coding',
    head: post('Transfer-Encoding:', '\tchunked'),
    fault: 'obs-fold',
    status: 400,
  },
  {
    name: 'a blank before the first field',
    head: 'GET / HTTP/1.1\r\n Host: a\r\n\r\n',
    fault: 'obs-fold',
    status: 400,
  },
  // Names and values.
  { name: 'a blank before the colon', head: get('X : a'), fault: 'bad-field-name', status: 400 },
  { name: 'a tab before the colon', head: post('Content-Length\t: 4'), fault: 'bad-field-name', status: 400 },
  { name: 'no colon', head: get('X'), fault: 'bad-field-name', status: 400 },
  { name: 'no name', head: get(': a'), fault: 'bad-field-name', status: 400 },
  { name: 'a name in brackets', head: get('[X]: a'), fault: 'bad-field-name', status: 400 },
  { name: 'NUL in a name', head: get('X\0: a'), fault: 'bad-field-name', status: 400 },
  { name: 'a byte above ASCII in a name', head: get('X\xa0: a'), fault: 'bad-field-name', status: 400 },
  { name: 'NUL in a value', head: get('X: a\0b'), fault: 'bad-field-value', status: 400 },
  { name: 'DEL in a value', head: get('X: a\x7fb'), fault: 'bad-field-value', status: 400 },
  { name: 'a vertical tab in a value', head: get('X: \x0ba'), fault: 'bad-field-value', status: 400 },
  { name: 'an escape in a value', head: get('X: \x1b[0m'), fault: 'bad-field-value', status: 400 },
  // Host.
  { name: 'no Host', head: 'GET / HTTP/1.1\r\n\r\n', fault: 'missing-host', status: 400 },
  { name: 'two Hosts', head: get('Host: b'), fault: 'duplicate-host', status: 400 },
  { name: 'the same Host twice', head: get('host: a.test'), fault: 'duplicate-host', status: 400 },
  // Content-Length.
  ...[
    '+4',
    '-4',
    '4 4',
    '4, 4',
    '4,5',
    '0x4',
    '4.0',
    '4e0',
    '',
    '"4"',
    '\xb2',
    '99999999999999999999',
    '1'.repeat(16),
  ].map((value): RefusedHead => ({
    name: `Content-Length ${JSON.stringify(value)}`,
    head: post(`Content-Length: ${value}`),
    fault: 'bad-content-length',
    status: 400,
  })),
  {
    name: 'two lengths',
    head: post('Content-Length: 4', 'Content-Length: 5'),
    fault: 'several-content-lengths',
    status: 400,
  },
  {
    name: 'the same length twice',
    head: post('Content-Length: 5', 'content-length: 5'),
    fault: 'several-content-lengths',
    status: 400,
  },
  {
    name: 'no length and zero',
    head: post('Content-Length: 0', 'Content-Length: 5'),
    fault: 'several-content-lengths',
    status: 400,
  },
  {
    name: 'CL.TE',
    head: post('Content-Length: 4', 'Transfer-Encoding: chunked'),
    fault: 'length-and-transfer-encoding',
    status: 400,
  },
  {
    name: 'TE.CL',
    head: post('Transfer-Encoding: chunked', 'Content-Length: 4'),
    fault: 'length-and-transfer-encoding',
    status: 400,
  },
  {
    name: 'TE.CL of zero',
    head: post('Transfer-Encoding: chunked', 'Content-Length: 0'),
    fault: 'length-and-transfer-encoding',
    status: 400,
  },
  {
    name: 'an obfuscated coding beside a length',
    head: post('Content-Length: 4', 'Transfer-Encoding: xchunked'),
    fault: 'length-and-transfer-encoding',
    status: 400,
  },
  // Transfer-Encoding.
  ...[
    'xchunked',
    'identity',
    'chunked, identity',
    'identity, chunked',
    'chunked, chunked',
    'chunked,',
    ',chunked',
    'chunked;q=1',
    '"chunked"',
    "'chunked'",
    'chunked chunked',
    'gzip',
    'cow',
    '',
    'chunked\xa0',
  ].map((value): RefusedHead => ({
    name: `Transfer-Encoding ${JSON.stringify(value)}`,
    head: post(`Transfer-Encoding: ${value}`),
    fault: 'bad-transfer-encoding',
    status: 400,
  })),
  {
    name: 'TE.TE',
    head: post('Transfer-Encoding: chunked', 'Transfer-Encoding: cow'),
    fault: 'bad-transfer-encoding',
    status: 400,
  },
  {
    name: 'TE.TE, the other way round',
    head: post('Transfer-Encoding: cow', 'Transfer-Encoding: chunked'),
    fault: 'bad-transfer-encoding',
    status: 400,
  },
  {
    name: 'TE twice',
    head: post('Transfer-Encoding: chunked', 'Transfer-encoding: chunked'),
    fault: 'bad-transfer-encoding',
    status: 400,
  },
  {
    name: 'a vertical tab before the coding',
    head: post('Transfer-Encoding: \x0bchunked'),
    fault: 'bad-field-value',
    status: 400,
  },
  {
    name: 'a blank before the colon of the coding',
    head: post('Transfer-Encoding : chunked'),
    fault: 'bad-field-name',
    status: 400,
  },
  {
    name: 'a coding behind a bare LF',
    head: post('X: X\nTransfer-Encoding: chunked'),
    fault: 'bare-lf',
    status: 400,
  },
  {
    name: 'a coding we do not know',
    head: post('Transfer-Encoding: gzip, chunked'),
    fault: 'unknown-transfer-coding',
    status: 501,
  },
  {
    name: 'a coding in HTTP/1.0',
    head: post('Transfer-Encoding: chunked').replace('1.1', '1.0'),
    fault: 'transfer-encoding-in-http-1.0',
    status: 400,
  },
  { name: 'an unknown expectation', head: post('Expect: 200-ok'), fault: 'unknown-expectation', status: 417 },
];
