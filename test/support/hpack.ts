import type { FieldList } from './http2-frames.ts';

/** Header blocks by hand (RFC 7541): piece by piece, so that a test can write what no library would. */

/** RFC 7541 appendix A, from index 1 on. */
const STATIC: FieldList = [
  ':authority| :method|GET :method|POST :path|/ :path|/index.html :scheme|http :scheme|https :status|200',
  ':status|204 :status|206 :status|304 :status|400 :status|404 :status|500 accept-charset|',
  'accept-encoding|gzip,_deflate accept-language| accept-ranges| accept| access-control-allow-origin| age|',
  'allow| authorization| cache-control| content-disposition| content-encoding| content-language|',
  'content-length| content-location| content-range| content-type| cookie| date| etag| expect| expires| from|',
  'host| if-match| if-modified-since| if-none-match| if-range| if-unmodified-since| last-modified| link|',
  'location| max-forwards| proxy-authenticate| proxy-authorization| range| referer| refresh| retry-after|',
  'server| set-cookie| strict-transport-security| transfer-encoding| user-agent| vary| via| www-authenticate|',
]
  .flatMap((line) => line.split(' '))
  .map((entry) => {
    const [name = '', value = ''] = entry.split('|');
    return [name, value.replace('_', ' ')] as const;
  });

/** Bits of the code of each octet and, last, of the end of the string (RFC 7541 appendix B). */
const LENGTHS: readonly number[] = (
  '13 23 28x7 24 30 28x2 30 28x8 30 28x9 6 10x2 12 13 6 8 11 10x2 8 11 8 6x3 5x3 6x7 7 8 15 6 12 10 13 6 7x22 8 7 8 ' +
  '13 19 13 14 6 15 5 6 5 6 5 6x3 5 7x2 6x3 5 6 7 6 5x2 6 7x5 15 11 14 13 28 20 22 20x2 22x3 23 22 23x5 24 23 24x2 22 ' +
  '23 24 23x4 21 22 23 22 23x2 24 22 21 20 22x2 23x2 21 23 22x2 24 21 22 23x2 21x2 22 21 23 22 23x2 20 22x3 23 22x2 ' +
  '23 26x2 20 19 22 23 22 25 26x3 27x2 26 24 25 19 21 26 27x2 26 27 24 21x2 26x2 28 27x3 20 24 20 21 22 21x2 23 22x2 ' +
  '25x2 24x2 26 23 26 27 26x2 27x5 28 27x5 26 30'
)
  .split(' ')
  .flatMap((run) => {
    const [bits, times = 1] = run.split('x').map(Number);
    return Array<number>(times).fill(bits ?? 0);
  });

const END_OF_STRING = 256;

/** The code is canonical: in order of length, then of octet. */
const CODES: ReadonlyMap<number, string> = (() => {
  const codes = new Map<number, string>();
  let next = 0;
  for (let bits = 5; bits <= 30; bits++, next *= 2) {
    LENGTHS.forEach((length, symbol) => {
      if (length === bits) codes.set(symbol, (next++).toString(2).padStart(bits, '0'));
    });
  }
  return codes;
})();
const SYMBOLS = new Map([...CODES].map(([symbol, code]) => [code, symbol]));

// ── Writing ────────────────────────────────────────────────────────────────────────────────────────────────────

/** RFC 7541 5.1. `first` has the bits before the prefix. */
export function integer(value: number, prefixBits: number, first: number): Buffer {
  const most = 2 ** prefixBits - 1;
  if (value < most) return Buffer.from([first | value]);
  const bytes = [first | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

/** RFC 7541 5.2, latin-1. `padding` as bits, instead of the ones that there have to be. */
export function string(value: string, coding: 'plain' | 'huffman' = 'plain', padding?: string): Buffer {
  const plain = Buffer.from(value, 'latin1');
  if (coding === 'plain') return Buffer.concat([integer(plain.length, 7, 0), plain]);
  let bits = [...plain].map((octet) => CODES.get(octet)).join('');
  bits += padding ?? '1'.repeat((8 - (bits.length % 8)) % 8);
  const bytes = Buffer.from((bits.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2)));
  return Buffer.concat([integer(bytes.length, 7, 0x80), bytes]);
}

/** RFC 7541 6.1. */
export const indexed = (index: number): Buffer => integer(index, 7, 0x80);

/** RFC 7541 6.3. */
export const tableSize = (bytes: number): Buffer => integer(bytes, 5, 0x20);

const KINDS = { indexing: [6, 0x40], plain: [4, 0], never: [4, 0x10] } as const;

/** RFC 7541 6.2; `name` may be an index. */
export function literal(
  kind: keyof typeof KINDS,
  name: string | number,
  value: string,
  coding: 'plain' | 'huffman' = 'plain',
): Buffer {
  const [prefixBits, first] = KINDS[kind];
  if (typeof name === 'number')
    return Buffer.concat([integer(name, prefixBits, first), string(value, coding)]);
  return Buffer.concat([Buffer.from([first]), string(name, coding), string(value, coding)]);
}

// ── Reading ────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Reads the header blocks of one connection, in their order, and throws at one that does not decode. `most` is what
 * the reader has announced as SETTINGS_HEADER_TABLE_SIZE.
 */
export function blockReader(most = 4096): (block: Uint8Array) => FieldList {
  let size = 4096;
  let dynamic: FieldList = [];
  const fit = (): void => {
    let held = 0;
    const fits = dynamic.findIndex(([name, value]) => (held += name.length + value.length + 32) > size);
    if (fits >= 0) dynamic = dynamic.slice(0, fits);
  };
  const entry = (index: number): readonly [string, string] => {
    const found = index <= STATIC.length ? STATIC[index - 1] : dynamic[index - 1 - STATIC.length];
    if (!found) throw new Error(`no entry ${index} in the table`);
    return found;
  };
  return (block) => {
    const fields: (readonly [string, string])[] = [];
    let at = 0;
    const octet = (): number => {
      const value = block[at++];
      if (value === undefined) throw new Error('the header block stops short');
      return value;
    };
    const number = (prefixBits: number): number => {
      const prefix = 2 ** prefixBits - 1;
      let value = octet() & prefix;
      if (value < prefix) return value;
      for (let shift = 1; ; shift *= 128) {
        const more = octet();
        value += (more & 127) * shift;
        if (more < 128) return value;
      }
    };
    const text = (): string => {
      const huffman = ((block[at] ?? 0) & 0x80) !== 0;
      const bytes = Array.from({ length: number(7) }, octet);
      return huffman ? unpack(bytes) : Buffer.from(bytes).toString('latin1');
    };
    while (at < block.length) {
      const first = block[at] ?? 0;
      if (first >= 0x80) {
        fields.push(entry(number(7)));
      } else if (first >= 0x40 || first < 0x20) {
        const index = number(first >= 0x40 ? 6 : 4);
        const name = index === 0 ? text() : entry(index)[0];
        const field = [name, text()] as const;
        fields.push(field);
        if (first >= 0x40) dynamic = [field, ...dynamic];
        fit();
      } else {
        size = number(5);
        if (size > most || fields.length > 0) throw new Error(`a table of ${size} where ${most} is most`);
        fit();
      }
    }
    if (size > most) throw new Error(`a table of ${size} is kept where ${most} is most`);
    return fields;
  };
}

function unpack(bytes: readonly number[]): string {
  let code = '';
  let out = '';
  for (const bit of bytes.map((octet) => octet.toString(2).padStart(8, '0')).join('')) {
    code += bit;
    const symbol = SYMBOLS.get(code);
    if (symbol === undefined) continue;
    if (symbol === END_OF_STRING) throw new Error('the end of a string within a string');
    out += String.fromCharCode(symbol);
    code = '';
  }
  if (code.length > 7 || code.includes('0')) throw new Error(`a string is padded with ${code}`);
  return out;
}
