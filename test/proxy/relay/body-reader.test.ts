import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BodyProgress, BodyReader } from '../../../src/proxy/http1/body-reader.ts';
import { CHUNKED, type Framing, NO_BODY, UNTIL_CLOSE, lengthOf } from '../../../src/proxy/http1/framing.ts';
import { REFUSED_BODIES } from './corpus/bodies.ts';
import { examples } from '../../support/examples.ts';

interface Reading {
  readonly content: string;
  readonly end: BodyProgress;
  /** What was left unread for the next message. */
  readonly rest: string;
  readonly trailers: readonly string[];
}

function read(framing: Framing, message: string, splits: readonly number[] = []): Reading {
  const reader = new BodyReader({ headBytes: 256, fieldCount: 4 });
  reader.start(framing);
  const bytes = Buffer.from(message, 'latin1');
  let content = '';
  let at = 0;
  let progress: BodyProgress = 'more';
  for (const end of [...splits, bytes.length]) {
    for (;;) {
      progress = reader.read(bytes, at, end);
      if (progress !== 'content') break;
      content += bytes.toString('latin1', reader.from, reader.to);
      at = reader.next;
    }
    if (progress !== 'more') break;
    at = reader.next;
  }
  const { trailers, trailerBytes } = reader;
  const names = trailers
    ? Array.from({ length: trailers.count }, (_, i) => trailers.name(trailerBytes ?? Buffer.alloc(0), 0, i))
    : [];
  return { content, end: progress, rest: bytes.toString('latin1', reader.next), trailers: names };
}

describe('a body', () => {
  test('without content ends at once', () => {
    expect(read(NO_BODY, 'next')).toMatchObject({ content: '', end: 'done', rest: 'next' });
  });

  test('with a length ends there', () => {
    expect(read(lengthOf(5), 'hellonext')).toMatchObject({ content: 'hello', end: 'done', rest: 'next' });
    expect(read(lengthOf(5), 'hell')).toMatchObject({ content: 'hell', end: 'more' });
  });

  test('until the close ends with the connection, and only there', () => {
    expect(read(UNTIL_CLOSE, 'hello')).toMatchObject({ content: 'hello', end: 'more' });
    const reader = new BodyReader({ headBytes: 256, fieldCount: 4 });
    reader.start(UNTIL_CLOSE);
    expect(reader.end()).toBe(true);
    reader.start(lengthOf(1));
    expect(reader.end()).toBe(false);
    reader.start(CHUNKED);
    expect(reader.end()).toBe(false);
  });

  test.each<[string, Partial<Reading>]>([
    ['5\r\nhello\r\n0\r\n\r\nnext', { content: 'hello', rest: 'next', trailers: [] }],
    ['5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n', { content: 'hello' }],
    ['0005\r\nhello\r\n000\r\n\r\n', { content: 'hello' }],
    ['a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n', { content: '01234567890123456789' }],
    ['0\r\nX-Sum: 1\r\nY: 2\r\n\r\nnext', { content: '', rest: 'next', trailers: ['x-sum', 'y'] }],
  ])('in chunks %j', (message, expected) => {
    expect(read(CHUNKED, message)).toMatchObject({ end: 'done', ...expected });
  });

  test.each(REFUSED_BODIES)('$name is refused: $fault', ({ body, fault }) => {
    expect(read(CHUNKED, body).end).toBe(fault);
  });

  test('gives the same content wherever it was split, whatever the bytes are', () => {
    const parts = fc.array(
      fc.constantFrom(
        '5\r\nhello\r\n',
        '0\r\n',
        '\r\n',
        '1;a=b\r\nx\r\n',
        '\r',
        '\n',
        'A: b\r\n',
        ' ',
        '5',
        'f',
        '\0',
        ';',
        'g',
        '0\r\n\r\n',
        'GET / HTTP/1.1\r\n',
        ';' + 'e'.repeat(150),
        'T: ' + 't'.repeat(150) + '\r\n',
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(parts, fc.array(fc.nat(300), { maxLength: 10 }), (pieces, cuts) => {
        const message = pieces.join('');
        const splits = cuts.filter((cut) => cut < message.length).sort((a, b) => a - b);
        const whole = read(CHUNKED, message);
        const split = read(CHUNKED, message, splits);
        expect(split.end).toBe(whole.end);
        expect(split.content).toBe(whole.content);
        if (whole.end === 'done') expect(split).toEqual(whole);
      }),
      { numRuns: examples(1000) },
    );
  });

  test('in chunks gives back what was chunked', () => {
    const chunk = fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(fc.array(chunk), fc.array(fc.nat(400)), (chunks, cuts) => {
        const message = `${chunks.map((c) => `${c.length.toString(16)}\r\n${c}\r\n`).join('')}0\r\n\r\n`;
        const splits = cuts.filter((cut) => cut < message.length).sort((a, b) => a - b);
        expect(read(CHUNKED, message, splits)).toMatchObject({
          content: chunks.join(''),
          end: 'done',
          rest: '',
        });
      }),
      { numRuns: examples(250) },
    );
  });
});
