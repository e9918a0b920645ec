import { FieldKind, fieldKindOf } from './field-names.ts';

/** What the rules for relayed fields say of a name. Names are lower case throughout. */

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'upgrade',
  // Not a field of HTTP/1.1 at all: the opening of HTTP/2 in clear text (RFC 7540 3.2), gone in RFC 9113.
  'http2-settings',
]);

/** Whether a field is about this connection only and never relayed (RFC 9110 7.6.1). */
export function isHopByHop(name: string): boolean {
  return HOP_BY_HOP.has(name);
}

/** Whether a field says how a request came here or who sent it, spelled with underscores or not. */
export function isForwardingField(name: string): boolean {
  switch (fieldKindOf(name)) {
    case FieldKind.forwarding:
    case FieldKind.requestId:
    case FieldKind.loop:
    case FieldKind.clientAddress:
    case FieldKind.ingressNginx:
    case FieldKind.clientCertificate:
    case FieldKind.withheld:
      return true;
    default:
      return false;
  }
}

/** Fields that `Connection` may not name away: they frame or address the message, or mean every recipient. */
const END_TO_END: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'content-range',
  'trailer',
  'expect',
  'date',
  'authorization',
  'cookie',
  'set-cookie',
  'cache-control',
]);

/** What a `Connection` field asks for (RFC 9110 7.6.1). */
export interface ConnectionOptions {
  readonly close: boolean;
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
  /** Fields it names that must go with it; null for none. What the proxy sets and end-to-end fields are never in it. */
  readonly names: ReadonlySet<string> | null;
}

const NO_OPTIONS: ConnectionOptions = { close: false, keepAlive: false, upgrade: false, names: null };
/** The spellings nearly every client uses, so that nothing is parsed for them. */
const USUAL: ReadonlyMap<string, ConnectionOptions> = new Map([
  ['keep-alive', { ...NO_OPTIONS, keepAlive: true }],
  ['Keep-Alive', { ...NO_OPTIONS, keepAlive: true }],
  ['close', { ...NO_OPTIONS, close: true }],
  ['Upgrade', { ...NO_OPTIONS, upgrade: true }],
  ['upgrade', { ...NO_OPTIONS, upgrade: true }],
]);

/** Reads the value of `Connection`; several fields are joined with a comma first. */
export function connectionOptions(value: string | undefined): ConnectionOptions {
  if (value === undefined) return NO_OPTIONS;
  const usual = USUAL.get(value);
  if (usual) return usual;
  let close = false;
  let keepAlive = false;
  let upgrade = false;
  let names: Set<string> | null = null;
  for (const token of value.toLowerCase().split(',')) {
    const name = token.trim();
    if (name === '') continue;
    if (name === 'close') close = true;
    else if (name === 'keep-alive') keepAlive = true;
    else if (name === 'upgrade') upgrade = true;
    else if (!END_TO_END.has(name) && !isForwardingField(name)) (names ??= new Set()).add(name);
  }
  return { close, keepAlive, upgrade, names };
}

/** Fields a trailer section may not carry on (RFC 9110 6.5.1): framing, routing and what the proxy sets. */
export function isForbiddenTrailer(name: string): boolean {
  return isHopByHop(name) || END_TO_END.has(name) || isForwardingField(name);
}
