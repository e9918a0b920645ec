import { describe, expect, test } from 'vitest';
import { HpackDecoder } from '../../../../src/proxy/http2/hpack/decoder.ts';
import { codeLengths, codes } from '../../../../src/proxy/http2/hpack/huffman-code.ts';
import { HpackEncoder, sizeBound } from '../../../../src/proxy/http2/hpack/encoder.ts';

/** The examples of RFC 7541 appendix C. */

const LIMITS = { headBytes: 64 * 1024, fieldCount: 100 };
const DATE_21 = 'Mon, 21 Oct 2013 20:13:21 GMT';
const DATE_22 = 'Mon, 21 Oct 2013 20:13:22 GMT';
const LOCATION = ['location', 'https://www.example.com'];
const COOKIE = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';

interface Step {
  readonly hex: string;
  readonly fields: readonly string[];
  /** The dynamic table after it, newest first, names and values in turns. */
  readonly table: readonly string[];
}

const AUTHORITY = [':authority', 'www.example.com'];
const NO_CACHE = ['cache-control', 'no-cache'];
const CUSTOM = ['custom-key', 'custom-value'];

/** C.3 and C.4 */
const REQUESTS: readonly Omit<Step, 'hex'>[] = [
  { fields: [':method', 'GET', ':scheme', 'http', ':path', '/', ...AUTHORITY], table: AUTHORITY },
  {
    fields: [':method', 'GET', ':scheme', 'http', ':path', '/', ...AUTHORITY, ...NO_CACHE],
    table: [...NO_CACHE, ...AUTHORITY],
  },
  {
    fields: [':method', 'GET', ':scheme', 'https', ':path', '/index.html', ...AUTHORITY, ...CUSTOM],
    table: [...CUSTOM, ...NO_CACHE, ...AUTHORITY],
  },
];
const PLAIN_REQUESTS = [
  '828684410f7777772e6578616d706c652e636f6d',
  '828684be58086e6f2d6361636865',
  '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
];
const HUFFMAN_REQUESTS = [
  '828684418cf1e3c2e5f23a6ba0ab90f4ff',
  '828684be5886a8eb10649cbf',
  '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
];

/** C.5 and C.6, where the table has 256 bytes and entries are evicted. */
const PRIVATE = ['cache-control', 'private'];
const RESPONSES: readonly Omit<Step, 'hex'>[] = [
  {
    fields: [':status', '302', ...PRIVATE, 'date', DATE_21, ...LOCATION],
    table: [...LOCATION, 'date', DATE_21, ...PRIVATE, ':status', '302'],
  },
  {
    fields: [':status', '307', ...PRIVATE, 'date', DATE_21, ...LOCATION],
    table: [':status', '307', ...LOCATION, 'date', DATE_21, ...PRIVATE],
  },
  {
    fields: [
      ...[':status', '200', ...PRIVATE, 'date', DATE_22, ...LOCATION],
      ...['content-encoding', 'gzip', 'set-cookie', COOKIE],
    ],
    table: ['set-cookie', COOKIE, 'content-encoding', 'gzip', 'date', DATE_22],
  },
];
const PLAIN_RESPONSES = [
  `4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e17
   68747470733a2f2f7777772e6578616d706c652e636f6d`,
  '4803333037c1c0bf',
  `88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d41
   53444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b207665727369
   6f6e3d31`,
];
const HUFFMAN_RESPONSES = [
  `488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97
   c8e9ae82ae43d3`,
  '4883640effc1c0bf',
  `88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd
   5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007`,
];

/** A change of the table to 256 bytes. */
const TABLE_OF_256 = '3fe101';

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');
}

function decode(decoder: HpackDecoder, hex: string): unknown {
  const bytes = bytesOf(hex);
  return decoder.decode(bytes, 0, bytes.length);
}

/** That the entries of the dynamic table are these and no more. */
function expectTable(decoder: HpackDecoder, table: readonly string[]): void {
  const entries = table.length / 2;
  const indexes = Uint8Array.from({ length: entries + 1 }, (_, entry) => 0x80 | (62 + entry));
  expect(decoder.decode(Buffer.from(indexes), 0, entries)).toEqual({ kind: 'fields', fields: table });
  expect(decoder.decode(Buffer.from(indexes), entries, entries + 1)).toEqual({ kind: 'malformed' });
}

function expectSteps(
  decoder: HpackDecoder,
  hex: readonly string[],
  steps: readonly Omit<Step, 'hex'>[],
): void {
  expect(hex.length).toBe(steps.length);
  steps.forEach(({ fields, table }, step) => {
    expect(decode(decoder, hex[step] ?? '')).toEqual({ kind: 'fields', fields });
    expectTable(decoder, table);
  });
}

describe('what is decoded', () => {
  const single: readonly (Step & { readonly name: string })[] = [
    {
      name: 'C.2.1: a literal that is indexed',
      hex: '400a637573746f6d2d6b65790d637573746f6d2d686561646572',
      fields: ['custom-key', 'custom-header'],
      table: ['custom-key', 'custom-header'],
    },
    {
      name: 'C.2.2: a literal that is not indexed',
      hex: '040c2f73616d706c652f70617468',
      fields: [':path', '/sample/path'],
      table: [],
    },
    {
      name: 'C.2.3: a literal that is never indexed',
      hex: '100870617373776f726406736563726574',
      fields: ['password', 'secret'],
      table: [],
    },
    { name: 'C.2.4: an index', hex: '82', fields: [':method', 'GET'], table: [] },
  ];

  test.each(single)('$name', (step) => {
    expectSteps(new HpackDecoder(4096, LIMITS), [step.hex], [step]);
  });

  test('C.3: requests', () => {
    expectSteps(new HpackDecoder(4096, LIMITS), PLAIN_REQUESTS, REQUESTS);
  });

  test('C.4: requests with Huffman codes', () => {
    expectSteps(new HpackDecoder(4096, LIMITS), HUFFMAN_REQUESTS, REQUESTS);
  });

  test.each([
    { name: 'C.5: responses', hex: PLAIN_RESPONSES },
    { name: 'C.6: responses with Huffman codes', hex: HUFFMAN_RESPONSES },
  ])('$name, which evict entries', ({ hex }) => {
    const decoder = new HpackDecoder(4096, LIMITS);
    decode(decoder, TABLE_OF_256);
    expectSteps(decoder, hex, RESPONSES);
  });

  test('C.1: integers', () => {
    const decoder = new HpackDecoder(8192, LIMITS);
    // 1337 and 10, as sizes of the table.
    expect(decode(decoder, '3f9a0a')).toEqual({ kind: 'fields', fields: [] });
    expect(decode(decoder, '2a')).toEqual({ kind: 'fields', fields: [] });
    expectTable(decoder, []);
  });
});

test('C.3: requests are encoded as there', () => {
  const encoder = new HpackEncoder();
  const into = Buffer.alloc(256);
  const hex = REQUESTS.map(({ fields }) => {
    expect(sizeBound(fields)).toBeLessThanOrEqual(into.length);
    return into.toString('hex', 3, encoder.encode(fields, into, 3));
  });
  expect(hex).toEqual(PLAIN_REQUESTS);
});

/** Some of appendix B: the first and the last of a length, and those that are easily mixed up. */
test.each([
  { symbol: 0x30, code: 0x0, bits: 5 },
  { symbol: 0x74, code: 0x9, bits: 5 },
  { symbol: 0x20, code: 0x14, bits: 6 },
  { symbol: 0x3a, code: 0x5c, bits: 7 },
  { symbol: 0x26, code: 0xf8, bits: 8 },
  { symbol: 0x5a, code: 0xfd, bits: 8 },
  { symbol: 0, code: 0x1ff8, bits: 13 },
  { symbol: 0x5c, code: 0x7fff0, bits: 19 },
  { symbol: 9, code: 0xffffea, bits: 24 },
  { symbol: 2, code: 0xfffffe2, bits: 28 },
  { symbol: 31, code: 0xffffffb, bits: 28 },
  { symbol: 127, code: 0xffffffc, bits: 28 },
  { symbol: 249, code: 0xffffffe, bits: 28 },
  { symbol: 255, code: 0x3ffffee, bits: 26 },
  { symbol: 10, code: 0x3ffffffc, bits: 30 },
  { symbol: 13, code: 0x3ffffffd, bits: 30 },
  { symbol: 22, code: 0x3ffffffe, bits: 30 },
  { symbol: 256, code: 0x3fffffff, bits: 30 },
])('appendix B: the code of $symbol', ({ symbol, code, bits }) => {
  expect(codes[symbol]).toBe(code);
  expect(codeLengths[symbol]).toBe(bits);
});
