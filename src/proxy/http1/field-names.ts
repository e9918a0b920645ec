import { forwardingField } from '../header-fields.ts';
import { equalsIgnoringCase, text } from './bytes.ts';

/** The fields the relay itself reads, writes or keeps from passing. All others are relayed unread. */
export const FieldKind = {
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  keepAlive: 5,
  upgrade: 6,
  expect: 7,
  te: 8,
  accept: 9,
  /** Tells of the way so far: replaced by the proxy's own words. */
  forwarding: 10,
  /** Another `X-Forwarded-…`: relayed from a trusted peer only. */
  forwardedOther: 11,
  requestId: 12,
  /** Spelled with an underscore, which many servers read as a name that matters: not relayed to a pod. */
  underscoreTwin: 13,
  /** Never relayed, and not read either. */
  dropped: 14,
  /** `ssl-client-…`: relayed from a trusted peer only, where the client itself was asked for no certificate. */
  clientCertificate: 15,
} as const;
export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

interface KnownName {
  readonly name: string;
  readonly kind: FieldKind;
}

const KNOWN: readonly KnownName[] = [
  { name: 'host', kind: FieldKind.host },
  { name: 'content-length', kind: FieldKind.contentLength },
  { name: 'transfer-encoding', kind: FieldKind.transferEncoding },
  { name: 'connection', kind: FieldKind.connection },
  { name: 'keep-alive', kind: FieldKind.keepAlive },
  { name: 'upgrade', kind: FieldKind.upgrade },
  { name: 'expect', kind: FieldKind.expect },
  { name: 'te', kind: FieldKind.te },
  { name: 'accept', kind: FieldKind.accept },
  { name: 'x-request-id', kind: FieldKind.requestId },
  { name: 'proxy-connection', kind: FieldKind.dropped },
  { name: 'proxy-authenticate', kind: FieldKind.dropped },
  { name: 'proxy-authorization', kind: FieldKind.dropped },
  { name: 'http2-settings', kind: FieldKind.dropped },
  // What frames a message must not come in by another spelling either.
  { name: 'content_length', kind: FieldKind.underscoreTwin },
  { name: 'transfer_encoding', kind: FieldKind.underscoreTwin },
];

/** By length: one look at the length and mostly one at the first byte say that a name is none of these. */
const BY_LENGTH: (readonly KnownName[] | undefined)[] = Array.from({ length: 20 }, (_, length) => {
  const names = KNOWN.filter(({ name }) => name.length === length);
  return names.length > 0 ? names : undefined;
});

const LOWER_X = 0x78;
const LOWER_F = 0x66;
const LOWER_S = 0x73;

/** What a field name, already known to be a token, means to the relay. Makes a string for `x…`, `f…` and `ss…` only. */
export function fieldKind(bytes: Buffer, start: number, end: number): FieldKind {
  const names = BY_LENGTH[end - start];
  const first = (bytes[start] ?? 0) | 0x20;
  if (names) {
    for (let i = 0; i < names.length; i++) {
      const known = names[i];
      if (!known || known.name.charCodeAt(0) !== first) continue;
      if (equalsIgnoringCase(bytes, start, end, known.name)) return known.kind;
    }
  }
  if (first !== LOWER_X && first !== LOWER_F) {
    if (first !== LOWER_S || ((bytes[start + 1] ?? 0) | 0x20) !== LOWER_S) return FieldKind.other;
  }
  const name = text(bytes, start, end).toLowerCase();
  const forwarding = forwardingField(name);
  switch (forwarding) {
    case null:
      return FieldKind.other;
    case 'underscore-twin':
      return FieldKind.underscoreTwin;
    case 'x-forwarded-other':
      return FieldKind.forwardedOther;
    case 'client-certificate':
      return FieldKind.clientCertificate;
    default:
      return FieldKind.forwarding;
  }
}
