import { KNOWN_NAMES } from './known-names.ts';
import { writeLatin1 } from '../../../http/latin1.ts';
import { MOST_TABLE_BYTES, SentFields } from './sent-fields.ts';
import { STATIC_VALUES } from './static-table.ts';

/** RFC 7541 6: what a field begins with, and as much of an integer as fits beside it. */
const INDEXED = 0x80;
const INDEXED_PREFIX = 0x7f;
const TO_BE_INDEXED = 0x40;
const TO_BE_INDEXED_PREFIX = 0x3f;
const PLAIN = 0;
const NEVER_INDEXED = 0x10;
const LITERAL_PREFIX = 0x0f;
const TABLE_SIZE = 0x20;
const TABLE_SIZE_PREFIX = 0x1f;
const LENGTH_PREFIX = 0x7f;

/** A longer value is not worth its place in the table. */
const LONG_VALUE = 256;

/** Of an integer, and of two changes of the size of the table. */
const INTEGER_BYTES = 6;
const FIELD_BYTES = 1 + 2 * INTEGER_BYTES;
const TABLE_SIZE_BYTES = 2 * INTEGER_BYTES;

/** How many bytes must be free for a header block of these names and values in turns. */
export function sizeBound(fields: readonly string[]): number {
  let bytes = TABLE_SIZE_BYTES + (fields.length >> 1) * FIELD_BYTES;
  for (const text of fields) bytes += text.length;
  return bytes;
}

/**
 * Writes the header blocks of one direction of a connection (RFC 7541). All of them must be sent, in that order: a block
 * that is lost leaves the peer with another table. Nothing is Huffman-coded: that would take 6 ns per byte to save a
 * quarter of it, where plain bytes take next to nothing on either side.
 */
export class HpackEncoder {
  readonly #sent = new SentFields();
  #tableBytes = MOST_TABLE_BYTES;
  /** The smallest size since the last block; null when there was no change. */
  #smallest: number | null = null;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. A change is told at the beginning of the next block (RFC 7541 4.2). */
  setTableBytes(bytes: number): void {
    const size = Math.min(bytes, MOST_TABLE_BYTES);
    if (size === this.#tableBytes) return;
    this.#tableBytes = size;
    this.#smallest = Math.min(size, this.#smallest ?? size);
    this.#sent.resize(size);
  }

  /** Writes a block of names, in lower case, and values in turns, latin-1, into `into` at `at`; returns its end. */
  encode(fields: readonly string[], into: Buffer, at: number): number {
    let end = this.#smallest === null ? at : this.#tableSize(into, at, this.#smallest);
    for (let i = 0; i + 1 < fields.length; i += 2) {
      end = this.#field(fields[i] ?? '', fields[i + 1] ?? '', into, end);
    }
    return end;
  }

  #tableSize(into: Buffer, at: number, smallest: number): number {
    this.#smallest = null;
    const size = this.#tableBytes;
    const end = smallest < size ? writeInteger(into, at, TABLE_SIZE, TABLE_SIZE_PREFIX, smallest) : at;
    return writeInteger(into, end, TABLE_SIZE, TABLE_SIZE_PREFIX, size);
  }

  #field(name: string, value: string, into: Buffer, at: number): number {
    const known = KNOWN_NAMES.get(name);
    let nameIndex = 0;
    if (known !== undefined) {
      nameIndex = known.index;
      for (let index = nameIndex; index < known.end; index++) {
        if (STATIC_VALUES[index] === value) return writeInteger(into, at, INDEXED, INDEXED_PREFIX, index);
      }
      if (known.indexing !== 'index') {
        const kind = known.indexing === 'never' ? NEVER_INDEXED : PLAIN;
        return writeLiteral(into, at, kind, LITERAL_PREFIX, nameIndex, name, value);
      }
    }
    const use = this.#sent.use(name);
    if (use !== undefined) {
      const index = this.#sent.index(use, value);
      if (index !== 0) return writeInteger(into, at, INDEXED, INDEXED_PREFIX, index);
      if (nameIndex === 0) nameIndex = this.#sent.nameIndex(use);
    }
    return value.length <= LONG_VALUE && this.#sent.add(name, value, use)
      ? writeLiteral(into, at, TO_BE_INDEXED, TO_BE_INDEXED_PREFIX, nameIndex, name, value)
      : writeLiteral(into, at, PLAIN, LITERAL_PREFIX, nameIndex, name, value);
  }
}

function writeLiteral(
  into: Buffer,
  at: number,
  kind: number,
  prefix: number,
  nameIndex: number,
  name: string,
  value: string,
): number {
  let end = writeInteger(into, at, kind, prefix, nameIndex);
  if (nameIndex === 0) end = writeText(into, end, name);
  return writeText(into, end, value);
}

function writeText(into: Buffer, at: number, text: string): number {
  return writeLatin1(into, writeInteger(into, at, 0, LENGTH_PREFIX, text.length), text);
}

/** RFC 7541 5.1 */
function writeInteger(into: Buffer, at: number, kind: number, prefix: number, integer: number): number {
  if (integer < prefix) {
    into[at] = kind | integer;
    return at + 1;
  }
  into[at++] = kind | prefix;
  let rest = integer - prefix;
  for (; rest >= 0x80; rest >>>= 7) into[at++] = (rest & 0x7f) | 0x80;
  into[at++] = rest;
  return at;
}
