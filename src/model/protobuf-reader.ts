/** One field of a message of protobuf, as it is on the wire (protobuf.dev/programming-guides/encoding). */
export type ProtobufField =
  /** Rounded beyond 2^53. */
  | { readonly number: number; readonly kind: 'varint'; readonly value: number }
  /** A text, bytes or a message. */
  | { readonly number: number; readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly number: number; readonly kind: 'fixed' };

const MAX_FIELDS = 4_096;
const LONGEST_VARINT = 10;

/** A message field by field; null where it is malformed, or has more than 4,096 fields. Groups, which are no more, are malformed. */
export function readProtobuf(message: Buffer): readonly ProtobufField[] | null {
  const fields: ProtobufField[] = [];
  let at = 0;
  const varint = (): number | null => {
    let value = 0;
    for (let i = 0; i < LONGEST_VARINT; i++) {
      const byte = message[at++];
      if (byte === undefined) return null;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    return null;
  };
  while (at < message.length) {
    const tag = varint();
    if (tag === null || tag < 8 || fields.length === MAX_FIELDS) return null;
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0: {
        const value = varint();
        if (value === null) return null;
        fields.push({ number, kind: 'varint', value });
        break;
      }
      case 2: {
        const length = varint();
        if (length === null || length > message.length - at) return null;
        fields.push({ number, kind: 'bytes', bytes: message.subarray(at, (at += length)) });
        break;
      }
      case 1:
      case 5:
        at += tag % 8 === 1 ? 8 : 4;
        if (at > message.length) return null;
        fields.push({ number, kind: 'fixed' });
        break;
      default:
        return null;
    }
  }
  return fields;
}

/** The message in a field, whose parts are one where it comes in several; null where it does not come. */
export function messageIn(fields: readonly ProtobufField[], number: number): Buffer | null {
  const parts = bytesIn(fields, number);
  return parts.length > 1 ? Buffer.concat(parts) : (parts[0] ?? null);
}

/** All values of a field with texts, bytes or messages. */
export function bytesIn(fields: readonly ProtobufField[], number: number): readonly Buffer[] {
  return fields.flatMap((field) => (field.number === number && field.kind === 'bytes' ? field.bytes : []));
}

/** The number in a field: the last one counts, and 0 where there is none. */
export function numberIn(fields: readonly ProtobufField[], number: number): number {
  const last = fields.findLast((field) => field.number === number);
  return last?.kind === 'varint' ? last.value : 0;
}

/** Whether there is a field. */
export function hasField(fields: readonly ProtobufField[], number: number): boolean {
  return fields.some((field) => field.number === number);
}
