import { DEFAULT_TABLE_BYTES, DynamicTable, ENTRY_BYTES } from './dynamic-table.ts';
import { decodeHuffman, huffmanBound } from './huffman.ts';
import { knownName } from './known-names.ts';
import { latin1 } from '../../../http/latin1.ts';
import { STATIC_ENTRIES, STATIC_NAMES, STATIC_VALUES } from './static-table.ts';

/** What became of a header block. */
export type Decoded =
  /** Names and values in turns, latin-1, exactly as they were sent: nobody has looked at their bytes. */
  | { readonly kind: 'fields'; readonly fields: string[] }
  /** More than the limits allow. The table is right all the same: the connection may go on. */
  | { readonly kind: 'too-large' }
  /** COMPRESSION_ERROR (RFC 9113 4.3): the connection must end. */
  | { readonly kind: 'malformed' };

export interface DecoderLimits {
  /** Of all fields of a block, each counted as RFC 9113 6.5.2 counts them: name, value and 32 bytes. */
  readonly headBytes: number;
  /** Of fields in a block, pseudo-header fields not counted. */
  readonly fieldCount: number;
}

const TOO_LARGE: Decoded = { kind: 'too-large' };
const MALFORMED: Decoded = { kind: 'malformed' };

const COLON = 0x3a;

/** RFC 7541 6: what a field begins with. */
const INDEXED = 0x80;
const TO_BE_INDEXED = 0x40;
const TABLE_SIZE = 0x20;
/** And what a string literal begins with that is coded. */
const HUFFMAN = 0x80;

/** What follows the first byte of an integer (RFC 7541 5.1): enough for all that fit in 31 bits. */
const MAX_INTEGER_BYTES = 5;

const scratch = Buffer.allocUnsafeSlow(16 * 1024);

/** Reads the header blocks of one direction of a connection, in the order of their coming (RFC 7541). */
export class HpackDecoder {
  readonly #table: DynamicTable;
  readonly #tableBytes: number;
  readonly #limits: DecoderLimits;
  /** How far the block is read. */
  #at = 0;

  /**
   * `tableBytes` is the SETTINGS_HEADER_TABLE_SIZE that was announced. Below 4096 it is not enforced, as that is what a
   * peer may use before it has heard of another size.
   */
  constructor(tableBytes: number, limits: DecoderLimits) {
    this.#tableBytes = Math.max(tableBytes, DEFAULT_TABLE_BYTES);
    this.#table = new DynamicTable(this.#tableBytes);
    this.#limits = limits;
  }

  /**
   * Reads the whole of a header block, which is what lies between `from` and `to`. Takes time and memory in proportion
   * to the bytes of the block and to the limits, whatever the block says.
   */
  decode(bytes: Buffer, from: number, to: number): Decoded {
    const table = this.#table;
    const fields: string[] = [];
    let bytesLeft = this.#limits.headBytes;
    let fieldsLeft = this.#limits.fieldCount;
    let begun = false;
    this.#at = from;
    while (this.#at < to) {
      const first = bytes[this.#at++] ?? 0;
      const fits = bytesLeft >= 0 && fieldsLeft >= 0;
      let name: string | null;
      let value: string | null;
      if (first >= INDEXED) {
        const index = this.#integer(bytes, to, first, 0x7f);
        name = this.#name(index);
        value = this.#value(index);
      } else if (first >= TO_BE_INDEXED) {
        const index = this.#integer(bytes, to, first, 0x3f);
        name = index === 0 ? this.#text(bytes, to, 'name') : this.#name(index);
        value = this.#text(bytes, to, 'value');
        if (name !== null && value !== null) table.add(name, value);
      } else if (first >= TABLE_SIZE) {
        const size = this.#integer(bytes, to, first, 0x1f);
        // RFC 7541 4.2: only before the first field.
        if (begun || size < 0 || size > this.#tableBytes) return MALFORMED;
        table.resize(size);
        continue;
      } else {
        const index = this.#integer(bytes, to, first, 0x0f);
        name = index === 0 ? this.#text(bytes, to, 'name') : this.#name(index);
        value = this.#text(bytes, to, fits ? 'value' : 'nothing');
      }
      if (name === null || value === null) return MALFORMED;
      begun = true;
      if (!fits) continue;
      bytesLeft -= name.length + value.length + ENTRY_BYTES;
      if (name.charCodeAt(0) !== COLON) fieldsLeft--;
      fields.push(name, value);
    }
    return bytesLeft >= 0 && fieldsLeft >= 0 ? { kind: 'fields', fields } : TOO_LARGE;
  }

  /** The name of an entry; null when there is none. */
  #name(index: number): string | null {
    if (index <= STATIC_ENTRIES) return index > 0 ? (STATIC_NAMES[index] ?? null) : null;
    const entry = this.#table.next + STATIC_ENTRIES - index;
    return entry >= this.#table.oldest ? this.#table.name(entry) : null;
  }

  /** The value of an entry; null when there is none. */
  #value(index: number): string | null {
    if (index <= STATIC_ENTRIES) return index > 0 ? (STATIC_VALUES[index] ?? null) : null;
    const entry = this.#table.next + STATIC_ENTRIES - index;
    return entry >= this.#table.oldest ? this.#table.value(entry) : null;
  }

  /**
   * An integer whose first bits are in `first`, where `prefix` says (RFC 7541 5.1); -1 when it is malformed. What
   * is above 2^31 is more than any size, index or length that the callers let pass.
   */
  #integer(bytes: Buffer, to: number, first: number, prefix: number): number {
    let integer = first & prefix;
    if (integer < prefix) return integer;
    const end = Math.min(to, this.#at + MAX_INTEGER_BYTES);
    let scale = 1;
    while (this.#at < end) {
      const byte = bytes[this.#at++] ?? 0;
      integer += (byte & 0x7f) * scale;
      if (byte < 0x80) return integer;
      scale *= 0x80;
    }
    return -1;
  }

  /** A string literal (RFC 7541 5.2), or an empty one when nothing is wanted of it; null when it is malformed. */
  #text(bytes: Buffer, to: number, wanted: 'name' | 'value' | 'nothing'): string | null {
    if (this.#at >= to) return null;
    const first = bytes[this.#at++] ?? 0;
    const length = this.#integer(bytes, to, first, 0x7f);
    if (length < 0 || length > to - this.#at) return null;
    let source = bytes;
    let from = this.#at;
    let end = from + length;
    this.#at = end;
    if (first >= HUFFMAN) {
      source = scratchFor(length);
      end = decodeHuffman(bytes, from, end, source);
      if (end < 0) return null;
      from = 0;
    }
    if (from === end || wanted === 'nothing') return '';
    return (wanted === 'name' ? knownName(source, from, end) : undefined) ?? latin1(source, from, end);
  }
}

function scratchFor(length: number): Buffer {
  const bound = huffmanBound(length);
  return bound <= scratch.length ? scratch : Buffer.allocUnsafeSlow(bound);
}
