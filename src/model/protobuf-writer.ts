/** Wire types of fields (protobuf.dev/programming-guides/encoding). */
const VARINT = 0;
const FIXED_64 = 1;
const LENGTH_DELIMITED = 2;

/** Of a number below 2^53. */
const LONGEST_VARINT = 8;
/** Of -1, which has all of its 64 bits. */
const MINUS_ONE = Buffer.from('ffffffffffffffffff01', 'hex');

/** Writes messages of protobuf field by field. Numbers are whole where that is said, and below 2^53. */
export class ProtobufWriter {
  #bytes = Buffer.allocUnsafeSlow(4 * 1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** A whole number that is not negative: `uint32`, `uint64`, an enum. */
  uint(field: number, value: number): void {
    this.#tag(field, VARINT);
    this.varint(value);
  }

  /** The number -1 as an `int64`. */
  minusOne(field: number): void {
    this.#tag(field, VARINT);
    this.raw(MINUS_ONE);
  }

  /** A whole number: `sint32`, `sint64`. */
  sint(field: number, value: number): void {
    this.uint(field, zigzag(value));
  }

  /** A list of those, packed. */
  sints(field: number, values: readonly number[]): void {
    this.message(field, () => {
      for (const value of values) this.varint(zigzag(value));
    });
  }

  double(field: number, value: number): void {
    this.#tag(field, FIXED_64);
    this.#makeRoom(8);
    this.#length = this.#bytes.writeDoubleLE(value, this.#length);
  }

  text(field: number, text: string): void {
    this.message(field, () => {
      this.#makeRoom(Buffer.byteLength(text));
      this.#length += this.#bytes.write(text, this.#length);
    });
  }

  bytes(field: number, bytes: Uint8Array): void {
    this.message(field, () => this.raw(bytes));
  }

  /** A message with what `write` writes. Its length comes before it, and is known after it. */
  message(field: number, write: () => void): void {
    this.#tag(field, LENGTH_DELIMITED);
    const start = this.#length;
    write();
    const length = this.#length - start;
    this.#makeRoom(LONGEST_VARINT);
    this.#bytes.copyWithin(start + varintSize(length), start, this.#length);
    this.#length = start;
    this.varint(length);
    this.#length += length;
  }

  /** Fields that were written elsewhere. */
  raw(fields: Uint8Array): void {
    this.#makeRoom(fields.length);
    this.#bytes.set(fields, this.#length);
    this.#length += fields.length;
  }

  varint(value: number): void {
    this.#makeRoom(LONGEST_VARINT);
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#bytes[this.#length++] = (rest % 0x80) + 0x80;
    this.#bytes[this.#length++] = rest;
  }

  /** What was written; the writer is empty then. */
  take(): Buffer {
    const taken = Buffer.from(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    return taken;
  }

  #tag(field: number, type: number): void {
    this.varint(field * 8 + type);
  }

  #makeRoom(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#length + bytes));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** Numbers near 0 are short whatever their sign: 0, -1, 1, -2 … */
function zigzag(value: number): number {
  return value >= 0 ? value * 2 : -value * 2 - 1;
}
