import { RequestEdit } from '../../../src/http/request-view.ts';
import { expect, test } from 'vitest';
import { DEFAULT_LIMITS } from '../../../src/proxy/limits.ts';
import { directConnection } from '../../../src/http/connection-info.ts';
import { forwarding, trustedProxies } from '../../../src/http/forwarded.ts';
import { RequestHead } from '../../../src/proxy/downstream/http1/request-head.ts';
import {
  incomingForwarding,
  upgradeOf,
  upstreamHead,
} from '../../../src/proxy/upstream/http1/upstream-head.ts';

const CONNECTION = directConnection('10.1.2.3', false, 'http', 80);
const SET_BY_US =
  'X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Host: a.test\r\nX-Forwarded-Port: 80\r\nX-Forwarded-Proto: http\r\n' +
  'X-Real-IP: 10.1.2.3\r\nX-Request-ID: id-1\r\nCDN-Loop: portico\r\n';

/** The head for the pod, from a request with this line and these fields. */
function forwarded(line: string, ...fields: string[]): string {
  const lines = [line, 'Host: a.test', 'X-Request-ID: id-1', ...fields, '', ''];
  const bytes = Buffer.from(`bytes before${lines.join('\r\n')}`, 'latin1');
  const head = new RequestHead(DEFAULT_LIMITS);
  expect(head.read(bytes, 12, bytes.length)).toBe('done');
  const way = forwarding(CONNECTION, incomingForwarding(head, bytes, 12, CONNECTION), trustedProxies([]));
  return `${upstreamHead(head, bytes, 12, CONNECTION, way, upgradeOf(head, bytes, 12), null)}\r\n`;
}

test('what means nothing to a proxy goes on byte for byte, in its order and spelling', () => {
  expect(forwarded('GET /a//b/../c?d HTTP/1.1', 'COOKIE:  a=b ', 'x-y:', 'Cookie: c=\xe9')).toBe(
    `GET /a//b/../c?d HTTP/1.1\r\nHost: a.test\r\nCOOKIE:  a=b \r\nx-y:\r\nCookie: c=\xe9\r\n${SET_BY_US}\r\n`,
  );
});

test('what is of this connection, or tells of the way so far, does not', () => {
  const gone = [
    'Connection: close, X-Hop, X-Forwarded-For',
    'X-Hop: 1',
    'Keep-Alive: timeout=5',
    'TE: trailers',
    'Proxy-Authorization: secret',
    'X-Forwarded-For: 6.6.6.6',
    'X-Forwarded-Prefix: /evil',
    'X_Forwarded_Host: evil',
    'Forwarded: for=6.6.6.6',
    'X-Real-Ip: 6.6.6.6',
    'Content_Length: 5',
    'Upgrade: h2c',
    'HTTP2-Settings: AAA',
  ];
  expect(forwarded('GET / HTTP/1.1', ...gone, 'X-Stays: 1')).toBe(
    `GET / HTTP/1.1\r\nHost: a.test\r\nX-Stays: 1\r\n${SET_BY_US}\r\n`,
  );
});

test.each([
  ['GET http://a.test/x?y HTTP/1.1', 'GET /x?y HTTP/1.1'],
  ['GET http://a.test HTTP/1.1', 'GET / HTTP/1.1'],
  ['GET http://a.test?y HTTP/1.1', 'GET /?y HTTP/1.1'],
  ['OPTIONS http://a.test HTTP/1.1', 'OPTIONS * HTTP/1.1'],
  ['OPTIONS * HTTP/1.1', 'OPTIONS * HTTP/1.1'],
  ['GET / HTTP/1.0', 'GET / HTTP/1.1'],
])('%s becomes %s', (line, expected) => {
  expect(forwarded(line).split('\r\n', 1)[0]).toBe(expected);
});

test.each([
  [['Content-Length: 007'], 'Content-Length: 7\r\n'],
  [['Content-Length: 0'], 'Content-Length: 0\r\n'],
  [['transfer-encoding: CHUNKED'], 'Transfer-Encoding: chunked\r\n'],
  [
    ['Connection: upgrade', 'Upgrade: h2c, websocket'],
    'Content-Length: 0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n',
  ],
  [['Content-Length: 1', 'Expect: 100-Continue'], 'Content-Length: 1\r\nExpect: 100-continue\r\n'],
])('%j is said in our own words', (fields, expected) => {
  expect(forwarded('POST / HTTP/1.1', ...fields)).toBe(
    `POST / HTTP/1.1\r\nHost: a.test\r\n${SET_BY_US}${expected}\r\n`,
  );
});

test('what the client likes to read is found in the head, and so is a gRPC call', () => {
  const read = (...fields: string[]): [string | undefined, boolean] => {
    const bytes = Buffer.from(['GET / HTTP/1.1', 'Host: a.test', ...fields, '', ''].join('\r\n'), 'latin1');
    const head = new RequestHead(DEFAULT_LIMITS);
    expect(head.read(bytes, 0, bytes.length)).toBe('done');
    return [head.accept(bytes, 0), head.isGrpc];
  };
  expect(read('Accept-Language: de', 'ACCEPT: \ta/JSON \t')).toEqual(['a/JSON', false]);
  expect(read('Accept: a/b', 'accept: c/json', 'content-type: Application/gRPC+proto')).toEqual([
    'a/b, c/json',
    true,
  ]);
  // Only one question is asked of it: whether JSON is liked best. Without the letter, no string is made.
  expect(read('Accept: text/html, */*', 'X-Json: j')).toEqual([undefined, false]);
  expect(read('X-Accept: a/b', 'X-Content-Type: application/grpc')).toEqual([undefined, false]);
});

test('an edit replaces the target, the host and fields, those of ours too, and adds others', () => {
  const bytes = Buffer.from(
    'GET /a?b HTTP/1.1\r\nHost: a.test\r\nCookie: 1\r\nX-Request-ID: id-1\r\nCookie: 2\r\nAge: 3\r\n\r\n',
  );
  const head = new RequestHead(DEFAULT_LIMITS);
  expect(head.read(bytes, 0, bytes.length)).toBe('done');
  const edit = new RequestEdit({ value: () => undefined, values: () => [] });
  edit.target = '/new';
  edit.host = 'pod.internal';
  edit.remove('cookie');
  edit.set('X-Real-IP', '9.9.9.9');
  edit.add('X-More', '1');
  const way = forwarding(CONNECTION, incomingForwarding(head, bytes, 0, CONNECTION), trustedProxies([]));
  const lines = upstreamHead(head, bytes, 0, CONNECTION, way, null, edit).split('\r\n');
  expect(lines.slice(0, 3)).toEqual(['GET /new HTTP/1.1', 'Age: 3', 'Host: pod.internal']);
  expect(lines.filter((line) => /cookie|real-ip|more/i.test(line))).toEqual([
    'X-Real-IP: 9.9.9.9',
    'X-More: 1',
  ]);
});
