/** The messages of io.prometheus.client (client_model 0.6, metrics.proto) that a scrape may have: each field by its number. */
type FieldType = 'string' | 'uint' | 'sint' | 'double' | { readonly message: string };
interface Field {
  readonly name: string;
  readonly type: FieldType;
  readonly repeated?: true;
}

const one = (name: string, type: FieldType): Field => ({ name, type });
const many = (name: string, type: FieldType): Field => ({ name, type, repeated: true });

const MESSAGES: Readonly<Record<string, Readonly<Record<number, Field>>>> = {
  MetricFamily: {
    1: one('name', 'string'),
    2: one('help', 'string'),
    3: one('type', 'uint'),
    4: many('metric', { message: 'Metric' }),
    5: one('unit', 'string'),
  },
  Metric: {
    1: many('label', { message: 'LabelPair' }),
    2: one('gauge', { message: 'Value' }),
    3: one('counter', { message: 'Value' }),
    5: one('untyped', { message: 'Value' }),
    7: one('histogram', { message: 'Histogram' }),
  },
  LabelPair: { 1: one('name', 'string'), 2: one('value', 'string') },
  Value: { 1: one('value', 'double') },
  Histogram: {
    1: one('sampleCount', 'uint'),
    2: one('sampleSum', 'double'),
    3: many('bucket', { message: 'Bucket' }),
    5: one('schema', 'sint'),
    6: one('zeroThreshold', 'double'),
    7: one('zeroCount', 'uint'),
    9: many('negativeSpan', { message: 'BucketSpan' }),
    10: many('negativeDelta', 'sint'),
    12: many('positiveSpan', { message: 'BucketSpan' }),
    13: many('positiveDelta', 'sint'),
  },
  Bucket: { 1: one('cumulativeCount', 'uint'), 2: one('upperBound', 'double') },
  BucketSpan: { 1: one('offset', 'sint'), 2: one('length', 'uint') },
};

export interface ReadHistogram {
  readonly sampleCount: number;
  readonly sampleSum: number;
  readonly bucket: readonly { readonly cumulativeCount: number; readonly upperBound: number }[];
  readonly schema?: number;
  readonly zeroThreshold?: number;
  readonly zeroCount?: number;
  readonly positiveSpan?: readonly { readonly offset: number; readonly length: number }[];
  readonly positiveDelta?: readonly number[];
}

export interface ReadFamily {
  readonly name: string;
  readonly help: string;
  readonly type: number;
  readonly metric?: readonly {
    readonly label?: readonly { readonly name: string; readonly value: string }[];
    readonly gauge?: { readonly value: number };
    readonly counter?: { readonly value: number };
    readonly histogram?: ReadHistogram;
  }[];
}

/** The families of a scrape in delimited protobuf. Throws for anything that is not of the schema. */
export function readFamilies(bytes: Uint8Array): readonly ReadFamily[] {
  const reader = new Reader(bytes);
  const families: ReadFamily[] = [];
  while (!reader.atEnd)
    families.push(readMessage(reader.part(reader.varint()), 'MetricFamily') as ReadFamily);
  return families;
}

/** The counts of a native histogram by bucket number. */
export function nativeBuckets({ positiveSpan = [], positiveDelta = [] }: ReadHistogram): Map<number, number> {
  const counts = new Map<number, number>();
  let [number, count, at] = [0, 0, 0];
  for (const { offset, length } of positiveSpan) {
    number += offset;
    for (let i = 0; i < length; i++) counts.set(number++, (count += positiveDelta[at++] ?? Number.NaN));
  }
  if (at !== positiveDelta.length) throw new Error('there are more deltas than the spans have');
  return counts;
}

function readMessage(reader: Reader, message: string): object {
  const values: Record<string, unknown> = {};
  while (!reader.atEnd) {
    const tag = reader.varint();
    const field = MESSAGES[message]?.[tag >>> 3];
    if (!field) throw new Error(`${message} has no field ${tag >>> 3}`);
    const read = readField(reader, field, tag & 7);
    if (!field.repeated) {
      if (field.name in values) throw new Error(`${message}.${field.name} is there twice`);
      [values[field.name]] = read;
    } else values[field.name] = [...((values[field.name] ?? []) as readonly unknown[]), ...read];
  }
  return values;
}

/** Several of a list of numbers that is packed. */
function readField(reader: Reader, { type, repeated }: Field, wire: number): readonly unknown[] {
  if (typeof type === 'object') return [readMessage(reader.bytesOf(wire), type.message)];
  if (type === 'string') return [reader.bytesOf(wire).text()];
  if (repeated && wire === 2) {
    const packed = reader.bytesOf(wire);
    const values: number[] = [];
    while (!packed.atEnd) values.push(numberOf(packed, type));
    return values;
  }
  if (wire !== (type === 'double' ? 1 : 0)) throw new Error(`wire type ${wire} for ${type}`);
  return [numberOf(reader, type)];
}

function numberOf(reader: Reader, type: 'uint' | 'sint' | 'double'): number {
  if (type === 'double') return reader.double();
  const value = reader.varint();
  return type === 'uint' ? value : value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  varint(): number {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined || shift > 63n) throw new Error('a varint does not end');
      value += BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(value);
    }
  }

  double(): number {
    return Buffer.from(this.part(8).#bytes).readDoubleLE();
  }

  bytesOf(wire: number): Reader {
    if (wire !== 2) throw new Error(`wire type ${wire} for what has a length`);
    return this.part(this.varint());
  }

  part(length: number): Reader {
    if (this.#at + length > this.#bytes.length) throw new Error('the bytes end early');
    return new Reader(this.#bytes.subarray(this.#at, (this.#at += length)));
  }

  text(): string {
    return new TextDecoder('utf-8', { fatal: true }).decode(this.#bytes);
  }
}
