import type { BodyFault } from '../../../../src/proxy/http1/body-reader.ts';

/** Chunked bodies that must not be read on, as a client or a pod may send them. */
export const REFUSED_BODIES: readonly {
  readonly name: string;
  readonly body: string;
  readonly fault: BodyFault;
  /** Of pods it is read: what they send gets its framing from Portico. */
  readonly readFromPods?: true;
}[] = [
  { name: 'a size that is no number', body: 'g\r\n', fault: 'bad-chunk-size' },
  { name: 'an empty size', body: '\r\nhello', fault: 'bad-chunk-size' },
  { name: 'a negative size', body: '-5\r\nhello\r\n', fault: 'bad-chunk-size' },
  { name: 'a signed size', body: '+5\r\nhello\r\n', fault: 'bad-chunk-size' },
  { name: 'a size with 0x', body: '0x5\r\nhello\r\n', fault: 'bad-chunk-size' },
  { name: 'a size with an underscore', body: '1_0\r\n', fault: 'bad-chunk-size' },
  { name: 'a blank before the size', body: ' 5\r\nhello\r\n', fault: 'bad-chunk-size', readFromPods: true },
  { name: 'a blank after the size', body: '5 \r\nhello\r\n', fault: 'bad-chunk-size', readFromPods: true },
  {
    name: 'a tab before an extension',
    body: '5\t;a\r\nhello\r\n',
    fault: 'bad-chunk-size',
    readFromPods: true,
  },
  { name: 'NUL after the size', body: '5\0\r\nhello\r\n', fault: 'bad-chunk-size' },
  { name: 'a size beyond counting', body: 'fffffffffffffff\r\n', fault: 'bad-chunk-size' },
  { name: 'a size that wraps to zero in 64 bits', body: '10000000000000000\r\n', fault: 'bad-chunk-size' },
  { name: 'a size without an end', body: '0'.repeat(64), fault: 'bad-chunk-size' },
  { name: 'a bare LF after the size', body: '5\nhello\r\n', fault: 'bad-chunk-size' },
  { name: 'a bare CR after the size', body: '5\rhello\r\n', fault: 'bad-chunk-size' },
  { name: 'a bare LF in an extension', body: '5;a\nhello\r\n', fault: 'bad-chunk-size' },
  { name: 'a bare CR in an extension', body: '5;a\rb\r\nhello\r\n', fault: 'bad-chunk-size' },
  { name: 'NUL in an extension', body: '5;\0\r\nhello\r\n', fault: 'bad-chunk-size' },
  {
    name: 'an overlong extension',
    body: `5;${'a'.repeat(257)}\r\nhello\r\n`,
    fault: 'chunk-extension-too-long',
  },
  {
    name: 'too many extensions',
    body: `1;${'a'.repeat(250)}\r\nx\r\n`.repeat(70),
    fault: 'chunk-extension-too-long',
    readFromPods: true,
  },
  { name: 'content longer than its size', body: '5\r\nhello!\r\n', fault: 'bad-chunk-end' },
  { name: 'a bare LF after the content', body: '5\r\nhello\n0\r\n\r\n', fault: 'bad-chunk-end' },
  { name: 'no line end after the content', body: '5\r\nhello0\r\n\r\n', fault: 'bad-chunk-end' },
  { name: 'a bare CR after the content', body: '5\r\nhello\r0\r\n\r\n', fault: 'bad-chunk-end' },
  { name: 'a bare LF at the end', body: '0\r\n\n', fault: 'bare-lf' },
  { name: 'a trailer without a colon', body: '0\r\nX\r\n\r\n', fault: 'bad-field-name' },
  { name: 'a request line as trailer', body: '0\r\nGET / HTTP/1.1\r\n\r\n', fault: 'bad-field-name' },
  { name: 'a folded trailer', body: '0\r\nX: a\r\n b\r\n\r\n', fault: 'obs-fold' },
  { name: 'a bare LF in a trailer', body: '0\r\nX: a\nY: b\r\n\r\n', fault: 'bare-lf' },
  { name: 'too many trailers', body: `0\r\n${'X: a\r\n'.repeat(5)}\r\n`, fault: 'too-many-fields' },
  { name: 'endless trailers', body: `0\r\nX: ${'a'.repeat(300)}`, fault: 'head-too-large' },
];
