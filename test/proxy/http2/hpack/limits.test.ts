import { describe, expect, test } from 'vitest';
import { HpackDecoder } from '../../../../src/proxy/http2/hpack/decoder.ts';
import { HpackEncoder, sizeBound } from '../../../../src/proxy/http2/hpack/encoder.ts';

/** What a peer may make the decoder keep. */

const TOO_LARGE = { kind: 'too-large' };

/** A literal that is to be indexed, or not, with a name of one byte. */
function literal(indexed: boolean, name: string, value: string): Buffer {
  const length = [127];
  let rest = value.length - 127;
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
  const begin = [indexed ? 0x40 : 0, name.length, ...Buffer.from(name, 'latin1')];
  return Buffer.from([
    ...begin,
    ...(value.length < 127 ? [value.length] : [...length, rest]),
    ...Buffer.from(value, 'latin1'),
  ]);
}

const decode = (decoder: HpackDecoder, ...parts: readonly Uint8Array[]): unknown => {
  const bytes = Buffer.concat(parts);
  return decoder.decode(bytes, 0, bytes.length);
};

const times = (count: number, part: Uint8Array): Uint8Array[] => Array.from({ length: count }, () => part);

describe('the size of a block', () => {
  // 1 + 1 + 32 bytes each.
  const field = literal(false, 'a', 'b');

  test('is that of names, values and 32 bytes per field', () => {
    const decoder = new HpackDecoder(4096, { headBytes: 340, fieldCount: 100 });
    const fields = Array.from({ length: 10 }, () => ['a', 'b']).flat();
    expect(decode(decoder, ...times(10, field))).toEqual({ kind: 'fields', fields });
    expect(decode(decoder, ...times(11, field))).toEqual(TOO_LARGE);
    const larger = literal(false, 'a', 'bc');
    expect(decode(decoder, ...times(9, field), larger)).toEqual(TOO_LARGE);
    expect(decode(decoder, ...times(8, field), larger)).toMatchObject({ kind: 'fields' });
  });

  test('counts fields, though not those that are no fields of HTTP', () => {
    const decoder = new HpackDecoder(4096, { headBytes: 64 * 1024, fieldCount: 3 });
    const pseudo = Buffer.from([0x82, 0x84, 0x86, 0x81]);
    expect(decode(decoder, pseudo, ...times(3, field))).toMatchObject({ kind: 'fields' });
    expect(decode(decoder, pseudo, ...times(4, field))).toEqual(TOO_LARGE);
    expect(decode(decoder, ...times(4, Buffer.from([0xbd])))).toEqual(TOO_LARGE);
    // They have a size all the same.
    expect(decode(decoder, ...times(2000, pseudo))).toEqual(TOO_LARGE);
  });
});

describe('a block that is too large', () => {
  test('leaves the table as the peer has it', () => {
    const decoder = new HpackDecoder(4096, { headBytes: 1000, fieldCount: 100 });
    const block = [
      literal(true, 'a', 'before'),
      literal(false, 'b', 'x'.repeat(2000)),
      literal(true, 'c', 'after'),
      literal(false, 'd', 'not indexed'),
      Buffer.from([0xbe]),
      literal(true, 'e', 'last'),
    ];
    expect(decode(decoder, ...block)).toEqual(TOO_LARGE);
    const fields = ['e', 'last', 'c', 'after', 'a', 'before'];
    expect(decode(decoder, Buffer.from([0xbe, 0xbf, 0xc0]))).toEqual({ kind: 'fields', fields });
    expect(decode(decoder, Buffer.from([0xc1]))).toEqual({ kind: 'malformed' });
  });

  test('evicts what it must', () => {
    const decoder = new HpackDecoder(4096, { headBytes: 1000, fieldCount: 100 });
    expect(decode(decoder, literal(true, 'a', 'x'))).toMatchObject({ kind: 'fields' });
    // An entry as large as the table, then one that is larger and leaves nothing.
    expect(decode(decoder, literal(true, 'b', 'x'.repeat(4096 - 33)))).toEqual(TOO_LARGE);
    expect(decode(decoder, Buffer.from([0xbe]))).toEqual(TOO_LARGE);
    expect(decode(decoder, Buffer.from([0xbf]))).toEqual({ kind: 'malformed' });
    expect(decode(decoder, literal(true, 'b', 'x'.repeat(4096 - 32)))).toEqual(TOO_LARGE);
    expect(decode(decoder, Buffer.from([0xbe]))).toEqual({ kind: 'malformed' });
  });

  test('of references to one large entry costs no memory', () => {
    const decoder = new HpackDecoder(4096, { headBytes: 64 * 1024, fieldCount: 100 });
    expect(decode(decoder, literal(true, 'a', 'x'.repeat(4000)))).toMatchObject({ kind: 'fields' });
    const bomb = Buffer.alloc(1024 * 1024, 0xbe);
    const before = process.memoryUsage().heapUsed;
    expect(decoder.decode(bomb, 0, bomb.length)).toEqual(TOO_LARGE);
    // Said in full, this is 4 GB; a list of the references alone would be 16 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(8 * 1024 * 1024);
  });

  test('may have a long string with Huffman codes in it, or may not', () => {
    // Every 5 bits of them are a `0`.
    const coded = Buffer.concat([Buffer.from([0x01, 0xff, 0xa1, 0x9b, 0x01]), Buffer.alloc(20_000)]);
    const large = new HpackDecoder(4096, { headBytes: 40_000, fieldCount: 100 });
    expect(decode(large, coded)).toEqual({ kind: 'fields', fields: [':authority', '0'.repeat(32_000)] });
    expect(decode(new HpackDecoder(4096, { headBytes: 30_000, fieldCount: 100 }), coded)).toEqual(TOO_LARGE);
  });

  test('is known by its first bytes', () => {
    const decoder = new HpackDecoder(4096, { headBytes: 100, fieldCount: 100 });
    expect(decode(decoder, literal(false, 'a', 'x'.repeat(100_000)))).toEqual(TOO_LARGE);
    expect(decode(decoder, Buffer.from([0x82]))).toEqual({ kind: 'fields', fields: [':method', 'GET'] });
  });
});

describe('the table', () => {
  const LIMITS = { headBytes: 1024 * 1024, fieldCount: 4000 };

  /** The names that are in the table, newest first. */
  function names(decoder: HpackDecoder): string[] {
    const found: string[] = [];
    for (let entry = 0; ; entry++) {
      // 7 bits say no more than index 126: the rest follows.
      const index = 62 + entry;
      const bytes = index < 127 ? [0x80 | index] : [0xff, ((index - 127) & 127) | 128, (index - 127) >> 7];
      const decoded = decoder.decode(Buffer.from(bytes), 0, bytes.length);
      if (decoded.kind !== 'fields') return found;
      found.push(decoded.fields[0] ?? '');
    }
  }

  test.each([
    { announced: 4096, entries: 4096 / 33 },
    { announced: 65_536, entries: 65_536 / 33 },
    // What a peer may use until it knows better.
    { announced: 100, entries: 4096 / 33 },
  ])('of $announced bytes has room for $entries entries', ({ announced, entries }) => {
    const decoder = new HpackDecoder(announced, LIMITS);
    const most = Math.max(announced, 4096);
    const grow = [0x3f];
    let rest = most - 31;
    for (; rest >= 128; rest >>= 7) grow.push((rest & 127) | 128);
    grow.push(rest);
    expect(decode(decoder, Buffer.from(grow))).toEqual({ kind: 'fields', fields: [] });
    const alphabet = 'abcdefghijklmnopqrstuvwxyz';
    const added = Array.from({ length: 3 * Math.floor(entries) }, (_, i) => alphabet[i % 26] ?? '');
    decode(decoder, ...added.map((name) => literal(true, name, '')));
    expect(names(decoder)).toEqual(added.slice(-Math.floor(entries)).reverse());
  });

  test('becomes smaller and larger when the peer says so', () => {
    const decoder = new HpackDecoder(4096, LIMITS);
    decode(decoder, literal(true, 'a', ''), literal(true, 'b', ''), literal(true, 'c', ''));
    // 66 bytes, which are two entries.
    decode(decoder, Buffer.from([0x3f, 66 - 31]));
    expect(names(decoder)).toEqual(['c', 'b']);
    // `b` as a name is there, `a` is not any more.
    const named = (index: number): unknown => decode(decoder, Buffer.from([0x0f, index - 15, 0]));
    expect(named(63)).toEqual({ kind: 'fields', fields: ['b', ''] });
    expect(named(64)).toEqual({ kind: 'malformed' });
    decode(decoder, literal(true, 'x', ''));
    expect(names(decoder)).toEqual(['x', 'c']);
    decode(decoder, Buffer.from([0x20]));
    expect(names(decoder)).toEqual([]);
    decode(decoder, literal(true, 'd', ''));
    expect(names(decoder)).toEqual([]);
    decode(decoder, Buffer.from([0x3f, 0xe1, 0x1f]), literal(true, 'e', ''), literal(true, 'f', ''));
    expect(names(decoder)).toEqual(['f', 'e']);
  });

  test('goes on for longer than the ring is', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(4096, LIMITS);
    const into = Buffer.alloc(4096);
    for (let i = 0; i < 5000; i++) {
      const fields = [`x-${i % 700}`, `value ${i % 3}`, 'x-same', 'same'];
      expect(sizeBound(fields)).toBeLessThan(into.length);
      expect(decoder.decode(into, 0, encoder.encode(fields, into, 0))).toEqual({ kind: 'fields', fields });
    }
  });
});
