import type { ResponseFault } from '../../../../src/proxy/upstream/http1/response-head-parser.ts';

const ok = (...fields: string[]) =>
  `HTTP/1.1 200 OK\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;

/** What a pod may send and no client may see: each is answered with 502. */
export const REFUSED_RESPONSES: readonly {
  readonly name: string;
  readonly head: string;
  readonly fault: ResponseFault;
}[] = [
  { name: 'no HTTP at all', head: 'SSH-2.0-OpenSSH_9.6\r\n', fault: 'bad-status-line' },
  { name: 'a body without a head', head: '<html>hello</html>', fault: 'bad-status-line' },
  { name: 'HTTP/2.0', head: 'HTTP/2.0 200 OK\r\n\r\n', fault: 'bad-status-line' },
  { name: 'HTTP/1.2', head: 'HTTP/1.2 200 OK\r\n\r\n', fault: 'bad-status-line' },
  { name: 'a status of two digits', head: 'HTTP/1.1 20 OK\r\n\r\n', fault: 'bad-status-line' },
  { name: 'a status of four digits', head: 'HTTP/1.1 2000 OK\r\n\r\n', fault: 'bad-status-line' },
  { name: 'status 099', head: 'HTTP/1.1 099 Low\r\n\r\n', fault: 'bad-status-line' },
  { name: 'status 600', head: 'HTTP/1.1 600 High\r\n\r\n', fault: 'bad-status-line' },
  { name: 'two blanks after the version', head: 'HTTP/1.1  200 OK\r\n\r\n', fault: 'bad-status-line' },
  { name: 'an empty line first', head: '\r\nHTTP/1.1 200 OK\r\n\r\n', fault: 'bad-status-line' },
  {
    name: 'a bare LF after the status line',
    head: 'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n',
    fault: 'bare-lf',
  },
  { name: 'a bare CR in the reason', head: 'HTTP/1.1 200 O\rK\r\n\r\n', fault: 'bad-status-line' },
  { name: 'NUL in the reason', head: 'HTTP/1.1 200 O\0K\r\n\r\n', fault: 'bad-status-line' },
  { name: 'a bare LF after a field', head: ok('X: a\nY: b'), fault: 'bare-lf' },
  { name: 'a bare CR in a value', head: ok('X: a\rSet-Cookie: b'), fault: 'bad-field-value' },
  { name: 'obs-fold', head: ok('X: a', ' b'), fault: 'obs-fold' },
  { name: 'a blank within a name', head: ok('Content Length: 5'), fault: 'bad-field-name' },
  { name: 'a line without a colon', head: ok('X'), fault: 'bad-field-name' },
  { name: 'NUL in a value', head: ok('X: \0'), fault: 'bad-field-value' },
  { name: 'a signed length', head: ok('Content-Length: +5'), fault: 'bad-content-length' },
  { name: 'a list of lengths', head: ok('Content-Length: 5, 5'), fault: 'bad-content-length' },
  {
    name: 'a length beyond counting',
    head: ok('Content-Length: 18446744073709551617'),
    fault: 'bad-content-length',
  },
  {
    name: 'the same length twice',
    head: ok('Content-Length: 5', 'Content-Length: 5'),
    fault: 'several-content-lengths',
  },
  { name: 'a list of one length', head: ok('Content-Length: 5, 5'), fault: 'bad-content-length' },
  {
    name: 'two lengths',
    head: ok('Content-Length: 5', 'Content-Length: 6'),
    fault: 'several-content-lengths',
  },
  {
    name: 'a length and a coding',
    head: ok('Content-Length: 5', 'Transfer-Encoding: chunked'),
    fault: 'length-and-transfer-encoding',
  },
  {
    name: 'a coding we do not know',
    head: ok('Transfer-Encoding: gzip, chunked'),
    fault: 'bad-transfer-encoding',
  },
  { name: 'an obfuscated coding', head: ok('Transfer-Encoding: xchunked'), fault: 'bad-transfer-encoding' },
  {
    name: 'two codings',
    head: ok('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
    fault: 'bad-transfer-encoding',
  },
  {
    name: 'a coding in HTTP/1.0',
    head: ok('Transfer-Encoding: chunked').replace('1.1', '1.0'),
    fault: 'transfer-encoding-in-http-1.0',
  },
  {
    name: 'a switch that nobody asked for',
    head: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n',
    fault: 'unasked-switch',
  },
  {
    name: 'too many fields',
    head: ok(...Array.from({ length: 9 }, (_, i) => `X-${i}: y`)),
    fault: 'too-many-fields',
  },
  { name: 'a head without an end', head: ok(`X: ${'a'.repeat(1024)}`), fault: 'head-too-large' },
  { name: 'a status line without an end', head: `HTTP/1.1 200 ${'a'.repeat(1024)}`, fault: 'head-too-large' },
];
