import { describe, expect, test } from 'vitest';
import { HpackDecoder } from '../../../../src/proxy/http2/hpack/decoder.ts';
import { HpackEncoder, sizeBound } from '../../../../src/proxy/http2/hpack/encoder.ts';
import {
  KNOWN_NAMES,
  knownName,
  knownNameIn,
  knownNameOf,
} from '../../../../src/proxy/http2/hpack/known-names.ts';
import { seededRandom } from '../../../support/random.ts';

const LIMITS = { headBytes: 1024 * 1024, fieldCount: 1000 };

function block(encoder: HpackEncoder, ...fields: readonly string[]): Buffer {
  const into = Buffer.alloc(sizeBound(fields));
  return into.subarray(0, encoder.encode(fields, into, 0));
}

const hex = (encoder: HpackEncoder, ...fields: readonly string[]): string =>
  block(encoder, ...fields).toString('hex');

const text = (value: string): string =>
  Buffer.from([value.length, ...Buffer.from(value, 'latin1')]).toString('hex');

describe('what is put into the table', () => {
  test('a field that may come again, which then is one byte', () => {
    const encoder = new HpackEncoder();
    expect(hex(encoder, 'content-type', 'text/plain')).toBe(`5f${text('text/plain')}`);
    expect(hex(encoder, 'content-type', 'text/plain')).toBe('be');
    expect(hex(encoder, 'x-a', 'b')).toBe(`40${text('x-a')}${text('b')}`);
    expect(hex(encoder, 'content-type', 'text/plain', 'x-a', 'b')).toBe('bfbe');
    // Its name is known from then on.
    expect(hex(encoder, 'x-a', 'c')).toBe(`7e${text('c')}`);
    expect(hex(encoder, 'x-a', 'c', 'x-a', 'b', 'content-type', 'text/plain')).toBe('bebfc0');
  });

  test('nothing that the static table has', () => {
    const fields = [':status', '200', ':status', '404', 'accept-encoding', 'gzip, deflate', 'vary', ''];
    expect(hex(new HpackEncoder(), ...fields)).toBe('888d90bb');
  });

  test.each(['authorization', 'proxy-authorization', 'cookie', 'set-cookie'])('never %s', (name) => {
    const encoder = new HpackEncoder();
    const first = block(encoder, name, 'secret');
    expect((first[0] ?? 0) & 0xf0).toBe(0x10);
    expect(block(encoder, name, 'secret')).toEqual(first);
  });

  test.each([':path', 'content-length', 'etag', 'x-request-id', 'traceparent', 'grpc-timeout', 'location'])(
    'not %s, which differs each time',
    (name) => {
      const encoder = new HpackEncoder();
      const first = block(encoder, name, '4711');
      expect((first[0] ?? 0) & 0xf0).toBe(0);
      expect(block(encoder, name, '4711')).toEqual(first);
    },
  );

  test('as many names as there may be, of which none is forgotten while it is in the table', () => {
    const encoder = new HpackEncoder();
    for (let i = 0; i < 1000; i++) {
      expect(block(encoder, `x-${i}`, 'y')[0]).toBe(0x40);
      const ages = Array.from({ length: Math.min(i, 50) + 1 }, (_, age) => age);
      const found = ages.map((age) => hex(encoder, `x-${i - age}`, 'y'));
      expect(found.join()).toBe(ages.map((age) => (0x80 + 62 + age).toString(16)).join());
    }
  });

  test('no long values', () => {
    const encoder = new HpackEncoder();
    const long = block(encoder, 'x', 'v'.repeat(257));
    expect(long[0]).toBe(0);
    expect(block(encoder, 'x', 'v'.repeat(257))).toEqual(long);
    expect(block(encoder, 'x', 'v'.repeat(256))[0]).toBe(0x40);
  });

  test('a name that brings another value each time soon no more, until a value comes again', () => {
    const encoder = new HpackEncoder();
    const indexed = Array.from(
      { length: 64 },
      (_, i) => (block(encoder, 'x-time', String(i))[0] ?? 0) >= 0x40,
    );
    expect(indexed.filter(Boolean).length).toBeLessThan(10);
    expect(indexed[0]).toBe(true);
    // It had its chance again: what comes twice then is indexed.
    const again = Array.from({ length: 20 }, () => block(encoder, 'x-time', 'same').length);
    expect(again.at(-1)).toBe(1);
  });
});

describe('the size of the table', () => {
  test('is told when it changes', () => {
    const encoder = new HpackEncoder();
    expect(hex(encoder, 'x', 'y')).toBe(`40${text('x')}${text('y')}`);
    encoder.setTableBytes(4096);
    expect(hex(encoder, 'x', 'y')).toBe('be');
    encoder.setTableBytes(65_536);
    expect(hex(encoder, 'x', 'y')).toBe('be');
    encoder.setTableBytes(100);
    expect(hex(encoder, 'x', 'y')).toBe('3f45be');
    encoder.setTableBytes(20);
    expect(hex(encoder, 'x', 'y')).toBe(`3400${text('x')}${text('y')}`);
    expect(hex(encoder, 'x', 'y')).toBe(`00${text('x')}${text('y')}`);
  });

  test('is told with the smallest it was', () => {
    const encoder = new HpackEncoder();
    block(encoder, 'x', 'y');
    for (const bytes of [100, 30, 0, 200]) encoder.setTableBytes(bytes);
    expect(hex(encoder, 'x', 'y')).toBe(`203fa90140${text('x')}${text('y')}`);
    for (const bytes of [0, 65_536]) encoder.setTableBytes(bytes);
    expect(hex(encoder)).toBe('203fe11f');
    expect(hex(encoder)).toBe('');
  });
});

test('every name that is often sent is known by its bytes', () => {
  for (const name of KNOWN_NAMES.keys()) {
    const bytes = Buffer.from(`:${name}:`);
    expect(knownName(bytes, 1, bytes.length - 1)).toBe(name);
    // One byte that is another.
    for (let i = 1; i < bytes.length - 1; i++) {
      const other = Buffer.from(bytes);
      other[i] = 0x7e;
      expect(knownName(other, 1, bytes.length - 1)).toBeUndefined();
    }
  }
});

test('and in any case of letters, where that may be', () => {
  for (const name of KNOWN_NAMES.keys()) {
    const upper = `:${name.toUpperCase()}:`;
    const bytes = Buffer.from(upper);
    const end = bytes.length - 1;
    expect([knownNameIn(bytes, 1, end), knownNameOf(upper, 1, end)]).toEqual([name, name]);
    // HTTP/2 has no upper case.
    if (name.toUpperCase() !== name) expect(knownName(bytes, 1, end)).toBeUndefined();
    for (let i = 1; i < end; i++) {
      const other = Buffer.from(bytes);
      other[i] = 0x7e;
      const found = [knownNameIn(other, 1, end), knownNameOf(other.toString(), 1, end)];
      expect(found).toEqual([undefined, undefined]);
    }
  }
});

test('whatever is encoded is decoded', () => {
  const random = seededRandom(11);
  const pick = (below: number): number => Math.floor(random() * below);
  const known = [...KNOWN_NAMES.keys()];
  const anything = (length: number): string => {
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) bytes[i] = pick(256);
    return bytes.toString('latin1');
  };
  const lengths = [0, 1, 3, 19, 20, 21, 22, 126, 127, 128, 254, 255, 256, 257, 5000];
  for (let connection = 0; connection < 20; connection++) {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(4096, LIMITS);
    for (let round = 0; round < 100; round++) {
      const fields = Array.from({ length: pick(20) }, () => [
        pick(3) ? (known[pick(known.length)] ?? '') : pick(2) ? `x-${pick(300)}` : anything(pick(200)),
        pick(3) ? `value ${pick(9)}` : anything(lengths[pick(lengths.length)] ?? 0),
      ]).flat();
      if (pick(10) === 0) encoder.setTableBytes([0, 40, 4096, 500, 1e9][pick(5)] ?? 0);
      if (pick(20) === 0) encoder.setTableBytes(pick(5000));
      const at = pick(5);
      const into = Buffer.alloc(at + sizeBound(fields));
      const end = encoder.encode(fields, into, at);
      expect(end).toBeLessThanOrEqual(into.length);
      expect(decoder.decode(into, at, end)).toEqual({ kind: 'fields', fields });
    }
  }
});
