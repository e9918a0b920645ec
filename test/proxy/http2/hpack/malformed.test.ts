import { describe, expect, test } from 'vitest';
import { HpackDecoder } from '../../../../src/proxy/http2/hpack/decoder.ts';
import { HpackEncoder } from '../../../../src/proxy/http2/hpack/encoder.ts';
import { seededRandom } from '../../../support/random.ts';

/** Header blocks that no encoder writes. */

const LIMITS = { headBytes: 64 * 1024, fieldCount: 100 };

function decode(hex: string, decoder = new HpackDecoder(4096, LIMITS)): unknown {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  return decoder.decode(bytes, 0, bytes.length);
}

const MALFORMED: Readonly<Record<string, string>> = {
  'index 0': '80',
  'an index above the static table, the other being empty': 'be',
  'an index far away': 'ff ffffff07',
  'a name of an index that is not there': '7e 0161',
  'a name, not to be indexed, of an index that is not there': '0f 2f 0161',
  'an integer without its end': 'ff',
  'an integer without its end, after a byte of it': 'ff 80',
  'an integer of 2^31': '3f e1ffffff07',
  'an integer of 2^32 and 2': 'ff 83ffffff0f',
  'an integer that goes on with zeros': '3f 808080808000',
  'an integer that ends late': 'ff 808080808001',
  'a literal without a name': '40',
  'a literal without a value': '40 0161',
  'a value of an indexed name that is missing': '41',
  'a name that runs over the block': '40 05 6162',
  'a value that runs over the block': '40 0161 05 6162',
  'a coded value that runs over the block': '41 8c f1e3c2e5f23a6ba0ab90f4',
  'a length that runs over the block by far': '41 7f ffffff07 61',
  'a length that is no integer': '41 7f ffffffff0f 61',
  'nothing but padding of 8 bits': '41 81 ff',
  'padding of 8 bits': '41 82 f8ff',
  'padding of 11 bits': '41 82 1fff',
  'padding with zeros': '41 81 18',
  'padding with a zero at its end': '41 81 1e',
  'the end of string': '41 84 fffffffc',
  'the end of string and padding': '41 84 ffffffff',
  'the end of string after a symbol': '41 85 1fffffffff',
  'a symbol that is cut off': '41 82 fff8',
  'a table larger than announced': '3f e2 1f',
  'a change of the table after a field': '82 20',
  'a change of the table between fields': '82 3f e1 01 84',
};

describe('COMPRESSION_ERROR', () => {
  test.each(Object.entries(MALFORMED))('%s', (_, hex) => {
    expect(decode(hex)).toEqual({ kind: 'malformed' });
    // And in a block that is more than the limits besides.
    const tight = new HpackDecoder(4096, { headBytes: 0, fieldCount: 0 });
    const begin = /^(3f|20)/.test(hex) ? '' : '82';
    expect(decode(begin + hex, tight)).toEqual({ kind: 'malformed' });
  });

  test('nearly the same blocks are well-formed', () => {
    const field = (name: string, value: string): unknown => ({ kind: 'fields', fields: [name, value] });
    const nothing = { kind: 'fields', fields: [] };
    expect(decode('')).toEqual(nothing);
    expect(decode('81')).toEqual(field(':authority', ''));
    expect(decode('bd')).toEqual(field('www-authenticate', ''));
    expect(decode('01 81 1f')).toEqual(field(':authority', 'a'));
    // Padding of 7 bits, and none.
    expect(decode('01 83 028a7f')).toEqual(field(':authority', '0  '));
    expect(decode('01 85 0000000000')).toEqual(field(':authority', '00000000'));
    expect(decode('01 80')).toEqual(field(':authority', ''));
    expect(decode('01 00')).toEqual(field(':authority', ''));
    expect(decode('00 00 00')).toEqual(field('', ''));
    // The length and the index in as many bytes as may be.
    expect(decode('0f 80 80 80 80 00 0161')).toEqual(field('accept-charset', 'a'));
    expect(decode('3f e1 1f')).toEqual(nothing);
    expect(decode('20 3f e1 1f 20')).toEqual(nothing);
  });

  test('a block is only what lies between from and to', () => {
    const bytes = Buffer.from('82410161ff', 'hex');
    const decoder = new HpackDecoder(4096, LIMITS);
    expect(decoder.decode(bytes, 1, 4)).toEqual({ kind: 'fields', fields: [':authority', 'a'] });
    for (const to of [2, 3]) expect(decoder.decode(bytes, 1, to)).toEqual({ kind: 'malformed' });
  });
});

test('bytes that are random, or changed at random, never throw, nor give more than the limits', () => {
  const random = seededRandom(20);
  const pick = (below: number): number => Math.floor(random() * below);
  const limits = { headBytes: 400, fieldCount: 6 };
  const seen = { fields: 0, 'too-large': 0, malformed: 0 };
  const into = Buffer.alloc(1024);
  for (let round = 0; round < 1000; round++) {
    const decoder = new HpackDecoder(4096, limits);
    const encoder = new HpackEncoder();
    for (let block = 0; block < 10; block++) {
      const names = Array.from({ length: pick(10) }, () => ['accept', ':path', 'x-a', 'x-b'][pick(4)] ?? '');
      let end = encoder.encode(
        names.flatMap((name) => [name, `value ${pick(4)}`]),
        into,
        0,
      );
      for (let changes = pick(3); changes > 0; changes--) into[pick(end)] = pick(256);
      if (pick(4) === 0) {
        end = pick(120);
        for (let at = 0; at < end; at++) into[at] = pick(256);
      }
      const decoded = decoder.decode(into, 0, end);
      seen[decoded.kind]++;
      if (decoded.kind !== 'fields') continue;
      const { fields } = decoded;
      const found = fields.filter((_, i) => i % 2 === 0);
      expect(found.filter((name) => !name.startsWith(':')).length).toBeLessThanOrEqual(limits.fieldCount);
      expect(fields.join('').length + found.length * 32).toBeLessThanOrEqual(limits.headBytes);
    }
  }
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(100);
});
