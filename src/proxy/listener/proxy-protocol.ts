import { SocketAddress, isIPv4, isIPv6 } from 'node:net';
import { plainAddress } from '../../http/address.ts';
import type { ConnectionInfo } from '../../http/connection-info.ts';

/** Where a connection came from and went to, as the load balancer in front of us saw it. */
export interface ProxiedAddresses {
  /** As `plainAddress` gives it. */
  readonly source: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Whether the client spoke TLS to it; null where the header does not say so. */
  readonly tls: boolean | null;
}

/** Who a connection that is passed on comes from. */
export type ProxySource = Pick<ProxiedAddresses, 'source' | 'sourcePort' | 'destinationPort'>;

export type ProxyHeader =
  /** What came can still become a header. */
  | { readonly kind: 'more' }
  /** What came is the client's own. */
  | { readonly kind: 'none' }
  /** It began as a header and is none: nothing after it can be trusted. */
  | { readonly kind: 'bad' }
  /** `addresses` is null where the load balancer speaks for itself, as its health checks do. */
  | { readonly kind: 'header'; readonly length: number; readonly addresses: ProxiedAddresses | null };

const V1_START = Buffer.from('PROXY ', 'latin1');
const V2_START = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** The longest line that the specification knows, CRLF included. */
const V1_MAX_BYTES = 107;
const V2_FIXED_BYTES = 16;
/** Addresses and extensions. The field could say 65535; what is sent in practice is a few hundred. */
const V2_MAX_REST_BYTES = 4096;

const MORE: ProxyHeader = { kind: 'more' };
const NONE: ProxyHeader = { kind: 'none' };
const BAD: ProxyHeader = { kind: 'bad' };

/**
 * Reads a header of the PROXY protocol, version 1 or 2, from the first bytes of a connection; called again with
 * all of them when more have come. Never asks for more bytes than a header may have.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsAs(bytes, V1_START)) return bytes.length < V1_START.length ? MORE : readV1(bytes);
  if (startsAs(bytes, V2_START)) return bytes.length < V2_FIXED_BYTES ? earlyV2(bytes) : readV2(bytes);
  return NONE;
}

/** Whether the bytes agree with the signature as far as both go. */
function startsAs(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.compare(signature, 0, length, 0, length) === 0;
}

/** `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n` */
function readV1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, V1_MAX_BYTES).indexOf('\r\n');
  if (end < 0) return bytes.length < V1_MAX_BYTES ? MORE : BAD;
  const length = end + 2;
  const line = bytes.toString('latin1', V1_START.length, end);
  if (line === 'UNKNOWN' || line.startsWith('UNKNOWN ')) return { kind: 'header', length, addresses: null };
  const [protocol, source = '', destination = '', sourcePort = '', destinationPort = '', ...rest] =
    line.split(' ');
  const isAddress = protocol === 'TCP4' ? isIPv4 : protocol === 'TCP6' ? isPlainIPv6 : null;
  if (!isAddress?.(source) || !isAddress(destination) || rest.length > 0) return BAD;
  if (!isPort(sourcePort) || !isPort(destinationPort)) return BAD;
  return {
    kind: 'header',
    length,
    addresses: {
      source: canonical(source),
      sourcePort: Number(sourcePort),
      destinationPort: Number(destinationPort),
      tls: null,
    },
  };
}

/** The header that tells an endpoint where a connection comes from, version 1. `destination` is our address. */
export function composeProxyHeader(
  { source, sourcePort, destinationPort }: ProxySource,
  destination: string,
): Buffer {
  const family = isIPv4(source) && isIPv4(destination) ? 'TCP4' : 'TCP6';
  const isKnown = isIPv4(source) === isIPv4(destination) && source !== '';
  const line = isKnown ? `${family} ${source} ${destination} ${sourcePort} ${destinationPort}` : 'UNKNOWN';
  return Buffer.from(`PROXY ${line}\r\n`, 'latin1');
}

function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

const COMMAND_LOCAL = 0x20;
const COMMAND_PROXY = 0x21;

/** A wrong version or length is known before the header is all there. */
function earlyV2(bytes: Buffer): ProxyHeader {
  return bytes.length > V2_START.length && !isCommand(bytes[V2_START.length]) ? BAD : MORE;
}

function isCommand(byte: number | undefined): boolean {
  return byte === COMMAND_LOCAL || byte === COMMAND_PROXY;
}

function readV2(bytes: Buffer): ProxyHeader {
  const command = bytes[12];
  const family = bytes[13];
  const rest = bytes.readUInt16BE(14);
  if (!isCommand(command) || rest > V2_MAX_REST_BYTES) return BAD;
  const length = V2_FIXED_BYTES + rest;
  if (command === COMMAND_LOCAL) {
    return bytes.length < length ? MORE : { kind: 'header', length, addresses: null };
  }
  switch (family) {
    case 0x11:
      return addressesV2(bytes, length, 4);
    case 0x21:
      return addressesV2(bytes, length, 16);
    // Unspecified, and Unix sockets: there is an address, but none that means anything here.
    case 0x00:
    case 0x31:
      return bytes.length < length ? MORE : { kind: 'header', length, addresses: null };
    default:
      return BAD;
  }
}

function addressesV2(bytes: Buffer, length: number, size: 4 | 16): ProxyHeader {
  const ports = V2_FIXED_BYTES + 2 * size;
  if (length < ports + 4) return BAD;
  if (bytes.length < length) return MORE;
  const source = bytes.subarray(V2_FIXED_BYTES, V2_FIXED_BYTES + size);
  const tls = readTls(bytes.subarray(ports + 4, length));
  if (tls === 'bad') return BAD;
  return {
    kind: 'header',
    length,
    addresses: {
      source: size === 4 ? source.join('.') : canonical(hexGroups(source)),
      sourcePort: bytes.readUInt16BE(ports),
      destinationPort: bytes.readUInt16BE(ports + 2),
      tls,
    },
  };
}

/** Extensions (2.2): a type, a length of two bytes, the value. */
const TLV_HEAD_BYTES = 3;
const PP2_TYPE_SSL = 0x20;
/** Of the first byte in its value, which 4 bytes follow: the client connected over SSL/TLS. */
const PP2_CLIENT_SSL = 0x01;
const PP2_SSL_BYTES = 5;

/** What the extensions say of TLS; `bad` when one of them goes past the end or there are two answers. */
function readTls(extensions: Buffer): boolean | null | 'bad' {
  let tls: boolean | null = null;
  for (let at = 0; at < extensions.length;) {
    if (at + TLV_HEAD_BYTES > extensions.length) return 'bad';
    const value = at + TLV_HEAD_BYTES;
    const end = value + extensions.readUInt16BE(at + 1);
    if (end > extensions.length) return 'bad';
    if (extensions[at] === PP2_TYPE_SSL) {
      if (tls !== null || end - value < PP2_SSL_BYTES) return 'bad';
      tls = ((extensions[value] ?? 0) & PP2_CLIENT_SSL) !== 0;
    }
    at = end;
  }
  return tls;
}

function hexGroups(address: Buffer): string {
  return address.toString('hex').replace(/(?<=.)(?=(?:.{4})+$)/g, ':');
}

/** The one spelling of an address that logs and ranges know. */
function canonical(address: string): string {
  if (isIPv4(address)) return address;
  return plainAddress(new SocketAddress({ address, family: 'ipv6' }).address);
}

/**
 * The same connection as a PROXY header tells of it. Where the header does not say whether the client spoke TLS, the
 * port it came to does, if it is one of `httpsPorts`.
 */
export function proxiedConnection(
  direct: ConnectionInfo,
  { source, destinationPort, tls }: ProxiedAddresses,
  httpsPorts: readonly number[],
): ConnectionInfo {
  const https = direct.tls || (tls ?? httpsPorts.includes(destinationPort));
  return {
    ...direct,
    clientAddress: source,
    scheme: https ? 'https' : 'http',
    port: destinationPort === 0 ? direct.port : destinationPort,
  };
}
