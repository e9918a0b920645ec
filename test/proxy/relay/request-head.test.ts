import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { statusOf } from '../../../src/http/local-response.ts';
import { DEFAULT_LIMITS, type Limits } from '../../../src/proxy/limits.ts';
import {
  type RequestProgress,
  RequestHead,
  messageFault,
} from '../../../src/proxy/downstream/http1/request-head.ts';
import { REFUSED_HEADS } from './corpus/heads.ts';
import { examples } from '../../support/examples.ts';

const LIMITS: Limits = { ...DEFAULT_LIMITS, requestLineBytes: 256, headBytes: 1024, fieldCount: 8 };

interface Reading {
  readonly progress: RequestProgress;
  readonly head: RequestHead;
  readonly bytes: Buffer;
}

/** Reads as a connection does: in pieces that end at `splits`, all bytes so far being there. */
function read(message: Buffer, splits: readonly number[] = [], base = 0): Reading {
  const head = new RequestHead(LIMITS);
  const bytes = Buffer.concat([Buffer.alloc(base, 'x'), message]);
  let progress: RequestProgress = 'more';
  for (const end of [...splits, message.length]) {
    progress = head.read(bytes, base, base + end);
    if (progress !== 'more') break;
  }
  return { progress, head, bytes };
}

function ascii(message: string): Buffer {
  return Buffer.from(message, 'latin1');
}

describe('a request head', () => {
  test('is read into method, target, host, framing and places of fields', () => {
    const message = ascii(
      'POST /a?b=c HTTP/1.1\r\nHost: shop.example:8080\r\ncontent-length:  12 \r\nX-Empty:\r\nAccept: \ta/b\t \r\n\r\nrest',
    );
    const { progress, head, bytes } = read(message, [], 5);
    expect(progress).toBe('done');
    expect(head).toMatchObject({ method: 'POST', target: '/a?b=c', host: 'shop.example:8080', minor: 1 });
    expect(head.framing).toEqual({ kind: 'length', length: 12 });
    expect(head.length).toBe(message.length - 'rest'.length);
    const fields = Array.from({ length: head.fields.count }, (_, field) => [
      head.fields.name(bytes, 5, field),
      head.fields.value(bytes, 5, field),
    ]);
    expect(fields).toEqual([
      ['host', 'shop.example:8080'],
      ['content-length', '12'],
      ['x-empty', ''],
      ['accept', 'a/b'],
    ]);
  });

  test.each([
    ['GET / HTTP/1.1\r\nHost: a\r\n\r\n', { framing: { kind: 'none' } }],
    ['GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n', { framing: { kind: 'none' } }],
    ['POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 7\r\n\r\n', { framing: { length: 7 } }],
    ['POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n', { framing: { kind: 'chunked' } }],
    ['GET / HTTP/1.0\r\nHost: a\r\n\r\n', { minor: 0 }],
    ['\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', { method: 'GET', length: 29 }],
    ['PURGE * HTTP/1.1\r\nHost: a\r\n\r\n', { method: 'PURGE', target: '*' }],
    [
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X\r\nConnection: Upgrade\r\n\r\n',
      { connection: { close: true, upgrade: true } },
    ],
    [
      'PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n',
      { expectsContinue: true },
    ],
    [
      'PUT / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n',
      { expectsContinue: false },
    ],
  ])('%j is accepted', (message, expected) => {
    const { progress, head } = read(ascii(message));
    expect(progress).toBe('done');
    expect(head).toMatchObject(expected);
  });

  test.each(REFUSED_HEADS)('$name is refused: $fault', ({ head, fault, status }) => {
    const { progress } = read(ascii(head));
    expect(progress).toBe(fault);
    expect(statusOf(messageFault(fault))).toBe(status);
  });

  test('keeps to the limits of the request line, the head and the number of fields, to the byte', () => {
    expect(read(ascii(line(256))).progress).toBe('done');
    expect(read(ascii(line(257))).progress).toBe('target-too-long');
    expect(read(ascii(sized(1024))).progress).toBe('done');
    expect(read(ascii(sized(1025))).progress).toBe('head-too-large');
    expect(read(ascii(fields(8))).progress).toBe('done');
    expect(read(ascii(fields(9))).progress).toBe('too-many-fields');
  });
});

/** A head whose request line has this many bytes. */
function line(length: number): string {
  return `GET /${'a'.repeat(length - 'GET / HTTP/1.1'.length)} HTTP/1.1\r\nHost: a\r\n\r\n`;
}

/** A head of this many bytes. */
function sized(bytes: number): string {
  const start = 'GET / HTTP/1.1\r\nHost: a\r\nX: ';
  return `${start}${'a'.repeat(bytes - start.length - 4)}\r\n\r\n`;
}

/** A head of this many fields. */
function fields(count: number): string {
  return `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(count - 1)}\r\n`;
}

/** Bytes that mean something to a parser, in orders that mean nothing, and now and then a good start. */
const hostile = fc
  .tuple(
    fc.constantFrom(
      '',
      'GET / HTTP/1.1\r\n',
      'GET / HTTP/1.1\r\nHost: a\r\n',
      'POST / HTTP/1.0\r\nHost: a\r\n',
      '\r\n',
    ),
    fc.array(
      fc.oneof(
        fc.constantFrom(
          '\r\n',
          '\r',
          '\n',
          ' ',
          '\t',
          ':',
          ';',
          ',',
          '\0',
          '\x7f',
          '\x80',
          '/',
          '#',
          'GET ',
          ' HTTP/1.1',
          'HTTP/2.0',
          'Host: a\r\n',
          'Host : a',
          'Content-Length: 5\r\n',
          'Content-Length: +5',
          'Transfer-Encoding: chunked\r\n',
          'Transfer-Encoding: x',
          'Connection: close\r\n',
          'X_Forwarded_For: 1\r\n',
          '\r\n\r\n',
          'a'.repeat(300),
          'b'.repeat(1100),
        ),
        fc.string({ unit: 'binary-ascii', maxLength: 6 }),
      ),
      { maxLength: 14 },
    ),
  )
  .map(([start, parts]) => ascii(start + parts.join('')));

describe('whatever the bytes are', () => {
  test('the result does not depend on where they were split, or on where they lie', () => {
    fc.assert(
      fc.property(hostile, fc.array(fc.nat(1500), { maxLength: 8 }), fc.nat(70), (message, cuts, base) => {
        const whole = read(message);
        const splits = cuts.filter((cut) => cut < message.length).sort((a, b) => a - b);
        const pieces = read(message, splits, base);
        expect(pieces.progress).toBe(whole.progress);
        if (whole.progress !== 'done') return;
        expect(described(pieces, base)).toEqual(described(whole, 0));
      }),
      { numRuns: examples(1000) },
    );
  });

  test('byte by byte gives what the whole gives', () => {
    fc.assert(
      fc.property(hostile, (message) => {
        const each = Array.from({ length: message.length }, (_, end) => end);
        expect(read(message, each).progress).toBe(read(message).progress);
      }),
      { numRuns: examples(375) },
    );
  });
});

function described({ head, bytes }: Reading, base: number): unknown {
  const { method, target, host, minor, framing, connection, length, fields } = head;
  const lines = Array.from({ length: fields.count }, (_, field) => [
    fields.kind(field),
    fields.name(bytes, base, field),
    fields.value(bytes, base, field),
    fields.lineStart(field),
    fields.lineEnd(field),
  ]);
  return { method, target, host, minor, framing, connection, length, lines };
}
