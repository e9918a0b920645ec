import { STATIC_NAMES } from './static-table.ts';

/**
 * How a field is sent that no table holds as a whole. `index`: it may come again, so it goes into the table.
 * `plain`: its value differs each time. `never`: it is a secret, and no table on its way may hold it (RFC 7541 7.1.3).
 */
export type Indexing = 'index' | 'plain' | 'never';

export interface KnownName {
  readonly name: string;
  /** The first entry of the static table with this name; 0 for none. */
  readonly index: number;
  /** Its entries in the static table end before this one. */
  readonly end: number;
  readonly indexing: Indexing;
}

/** Cookies too: the connections to upstreams are shared by clients, and one's must not be guessed by another. */
const NEVER = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie'];

const PLAIN = [
  ':path',
  'age',
  'content-length',
  'content-range',
  'etag',
  'expires',
  'forwarded',
  'grpc-message',
  'grpc-timeout',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'range',
  'traceparent',
  'tracestate',
  'x-forwarded-for',
  'x-real-ip',
  'x-request-id',
];

/** Names that are sent often, though the static table lacks them. */
const COMMON = [
  ':protocol',
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-expose-headers',
  'access-control-request-headers',
  'access-control-request-method',
  'alt-svc',
  'connection',
  'content-security-policy',
  'dnt',
  'grpc-accept-encoding',
  'grpc-encoding',
  'grpc-status',
  'keep-alive',
  'origin',
  'pragma',
  'priority',
  'sec-ch-ua',
  'sec-ch-ua-mobile',
  'sec-ch-ua-platform',
  'sec-fetch-dest',
  'sec-fetch-mode',
  'sec-fetch-site',
  'sec-fetch-user',
  'te',
  'trailer',
  'upgrade',
  'upgrade-insecure-requests',
  'x-content-type-options',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-frame-options',
  'x-powered-by',
  'x-requested-with',
  'x-xss-protection',
];

const names = new Map<string, KnownName>();
for (const name of [...STATIC_NAMES.slice(1), ...NEVER, ...PLAIN, ...COMMON]) {
  const index = Math.max(STATIC_NAMES.indexOf(name), 0);
  const end = STATIC_NAMES.lastIndexOf(name) + 1;
  const indexing = NEVER.includes(name) ? 'never' : PLAIN.includes(name) ? 'plain' : 'index';
  names.set(name, { name, index, end, indexing });
}

/** By name. */
export const KNOWN_NAMES: ReadonlyMap<string, KnownName> = names;

const SLOTS = 512;
const bySlot: (string | undefined)[] = Array.from({ length: SLOTS });

/** With these factors no two known names share a slot; a name that joins them may need others. */
function slot(length: number, first: number, middle: number, lastButOne: number): number {
  return (length + first * 37 + middle * 43 + lastButOne) & (SLOTS - 1);
}

for (const name of names.keys()) {
  const { length } = name;
  const middle = name.charCodeAt(length >> 1);
  bySlot[slot(length, name.charCodeAt(0), middle, name.charCodeAt(length - 2))] = name;
}

/** The known name that the bytes spell, so that it need not be made anew; undefined when they spell none. */
export function knownName(bytes: Buffer, from: number, to: number): string | undefined {
  const length = to - from;
  if (length < 2) return undefined;
  const middle = bytes[from + (length >> 1)] ?? 0;
  const name = bySlot[slot(length, bytes[from] ?? 0, middle, bytes[to - 2] ?? 0)];
  if (name?.length !== length) return undefined;
  for (let i = 0; i < length; i++) if (bytes[from + i] !== name.charCodeAt(i)) return undefined;
  return name;
}

/** The same, in any case of letters. */
export function knownNameIn(bytes: Buffer, from: number, to: number): string | undefined {
  const length = to - from;
  if (length < 2) return undefined;
  const name = candidate(length, bytes[from], bytes[from + (length >> 1)], bytes[to - 2]);
  if (name?.length !== length) return undefined;
  for (let i = 0; i < length; i++)
    if (lowerCase(bytes[from + i] ?? 0) !== name.charCodeAt(i)) return undefined;
  return name;
}

/** The same of a part of a text. */
export function knownNameOf(text: string, from: number, to: number): string | undefined {
  const length = to - from;
  if (length < 2) return undefined;
  const middle = text.charCodeAt(from + (length >> 1));
  const name = candidate(length, text.charCodeAt(from), middle, text.charCodeAt(to - 2));
  if (name?.length !== length) return undefined;
  for (let i = 0; i < length; i++)
    if (lowerCase(text.charCodeAt(from + i)) !== name.charCodeAt(i)) return undefined;
  return name;
}

function candidate(length: number, first = 0, middle = 0, lastButOne = 0): string | undefined {
  return bySlot[slot(length, lowerCase(first), lowerCase(middle), lowerCase(lastButOne))];
}

function lowerCase(code: number): number {
  return code >= 0x41 && code <= 0x5a ? code + 0x20 : code;
}
