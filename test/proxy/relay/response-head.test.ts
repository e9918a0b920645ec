import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_LIMITS } from '../../../src/proxy/limits.ts';
import {
  type ResponseContext,
  type ResponseProgress,
  ResponseHead,
} from '../../../src/proxy/upstream/http1/response-head-parser.ts';
import { REFUSED_RESPONSES } from './corpus/responses.ts';
import { examples } from '../../support/examples.ts';

const LIMITS = { ...DEFAULT_LIMITS, fieldCount: 8 };
const GET: ResponseContext = { isHead: false, asksUpgrade: false, maxHeadBytes: 1024 };

function read(message: string, context = GET, splits: readonly number[] = []) {
  const head = new ResponseHead(LIMITS);
  const bytes = Buffer.from(message, 'latin1');
  let progress: ResponseProgress = 'more';
  for (const end of [...splits, bytes.length]) {
    progress = head.read(bytes, 0, end, context);
    if (progress !== 'more') break;
  }
  return { progress, head, bytes };
}

describe('a response head', () => {
  test.each<[string, ResponseContext, object]>([
    [
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
      GET,
      { status: 200, framing: { length: 5 }, persists: true },
    ],
    ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', GET, { framing: { kind: 'none' }, contentLength: 0 }],
    ['HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n', GET, { status: 200, reasonStart: 12, reasonEnd: 12 }],
    ['HTTP/1.1 200 \r\n\r\n', GET, { framing: { kind: 'until-close' }, persists: false }],
    [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
      GET,
      { framing: { kind: 'chunked' }, persists: true },
    ],
    ['HTTP/1.1 204 No Content\r\n\r\n', GET, { framing: { kind: 'none' }, persists: true }],
    [
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
      GET,
      { framing: { kind: 'none' }, contentLength: 5 },
    ],
    [
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
      { ...GET, isHead: true },
      { framing: { kind: 'none' }, contentLength: 5 },
    ],
    ['HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n', GET, { status: 103, framing: { kind: 'none' } }],
    [
      'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n',
      { ...GET, asksUpgrade: true },
      { status: 101 },
    ],
    ['HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n', GET, { minor: 0, persists: false }],
    ['HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n', GET, { persists: true }],
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n', GET, { persists: false }],
    [
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: max=9, timeout=7\r\n\r\n',
      GET,
      { keepAliveTimeout: 7 },
    ],
  ])('%j is read', (message, context, expected) => {
    const { progress, head } = read(message, context);
    expect(progress).toBe('done');
    expect(head).toMatchObject(expected);
  });

  test.each(REFUSED_RESPONSES)('$name is not passed on: $fault', ({ head, fault }) => {
    expect(read(head).progress).toBe(fault);
  });

  test('does not depend on where it was split, whatever the bytes are', () => {
    const parts = fc.array(
      fc.constantFrom(
        'HTTP/1.1 ',
        '200',
        ' OK',
        '\r\n',
        '\r',
        '\n',
        ' ',
        ':',
        '\0',
        'HTTP/1.0 304',
        'Content-Length: 5\r\n',
        'Connection: close\r\n',
        'Transfer-Encoding: chunked\r\n',
        'X: \x80\r\n',
        'a'.repeat(1100),
        '\r\n\r\n',
      ),
      { maxLength: 10 },
    );
    const start = fc.constantFrom('', 'HTTP/1.1 200 OK\r\n', 'HTTP/1.0 404 \r\nServer: a\r\n');
    fc.assert(
      fc.property(start, parts, fc.array(fc.nat(1300), { maxLength: 6 }), (first, rest, cuts) => {
        const message = first + rest.join('');
        const splits = cuts.filter((cut) => cut < message.length).sort((a, b) => a - b);
        const whole = read(message);
        const pieces = read(message, GET, splits);
        expect(pieces.progress).toBe(whole.progress);
        if (whole.progress !== 'done') return;
        const { status, minor, framing, length, contentLength, reasonStart, reasonEnd } = whole.head;
        expect(pieces.head).toMatchObject({
          status,
          minor,
          framing,
          length,
          contentLength,
          reasonStart,
          reasonEnd,
        });
      }),
      { numRuns: examples(750) },
    );
  });
});
