import { plainAddress } from './address.ts';
import type { ConnectionInfo } from './connection-info.ts';
import type { HeaderField } from './head-edit.ts';
import { nextLoop } from './loop.ts';
import { newRequestId } from './request-id.ts';
import type { TrustedProxies } from './trusted-proxies.ts';

export { type TrustedProxies, parseCidr, trustedProxies } from './trusted-proxies.ts';

/** The values a request came with; several fields of a name are joined with `, `. */
export interface IncomingForwarding {
  readonly host: string;
  readonly forwardedFor?: string | undefined;
  readonly forwardedHost?: string | undefined;
  readonly forwardedPort?: string | undefined;
  readonly forwardedProto?: string | undefined;
  readonly realIp?: string | undefined;
  readonly requestId?: string | undefined;
  /** CDN-Loop */
  readonly loop?: string | undefined;
  readonly forwarded?: string | undefined;
}

/** What a request goes on with. */
export interface Forwarding {
  /** How the client came: what the proxy decides by, whatever spelling the upstream is told. */
  readonly scheme: 'http' | 'https';
  /** X-Forwarded-For */
  readonly forwardedFor: string;
  readonly forwardedHost: string;
  readonly forwardedPort: string;
  /** As a trusted peer spells it: `ws` and `wss` too. */
  readonly forwardedProto: string;
  /** The address of the client: X-Real-IP. */
  readonly realIp: string;
  readonly requestId: string;
  /** CDN-Loop: no policy takes it away. */
  readonly loop: string;
  /** Forwarded (RFC 7239): only where a trusted peer speaks it; null leaves it out. */
  readonly forwarded: string | null;
  /** What it also goes on with in the place of another controller; nothing when absent. */
  readonly also?: readonly HeaderField[];
}

/**
 * Who the client is and how it came, which the upstream is told. An untrusted peer's own words are replaced; a
 * trusted one's are kept and the address that the connection is for is appended.
 */
export function forwarding(
  connectionInfo: ConnectionInfo,
  incoming: IncomingForwarding,
  trusted: TrustedProxies,
): Forwarding {
  const { clientAddress: from, port, scheme } = connectionInfo;
  const loop = nextLoop(incoming.loop);
  const requestId = isSaneRequestId(incoming.requestId) ? incoming.requestId : newRequestId();
  if (!connectionInfo.trusted) {
    return {
      scheme,
      forwardedFor: from,
      forwardedHost: incoming.host,
      forwardedPort: String(port),
      forwardedProto: scheme,
      realIp: from,
      requestId,
      loop,
      forwarded: null,
    };
  }
  const client = findClient(from, incoming.forwardedFor ?? incoming.realIp ?? '', trusted);
  const came = cameBy(connectionInfo, incoming, client.fromRight);
  return {
    scheme: came.proto === 'https' || came.proto === 'wss' ? 'https' : 'http',
    forwardedFor: incoming.forwardedFor ? `${incoming.forwardedFor}, ${from}` : from,
    forwardedHost: entryAt(incoming.forwardedHost, client.fromRight) ?? incoming.host,
    forwardedPort: String(came.port),
    forwardedProto: came.proto,
    realIp: client.address,
    requestId,
    loop,
    forwarded: incoming.forwarded ? `${incoming.forwarded}, for=${node(from)};proto=${scheme}` : null,
  };
}

/** Protocol and port as a trusted peer says them, of one piece: without a usable protocol its port means nothing. */
function cameBy(
  { scheme, port }: ConnectionInfo,
  { forwardedProto, forwardedPort }: IncomingForwarding,
  fromRight: number,
): { readonly proto: string; readonly port: number } {
  const proto = (entryAt(forwardedProto, fromRight) ?? scheme).toLowerCase();
  if (!PROTO.test(proto)) return { proto: scheme, port };
  const said = Number(entryAt(forwardedPort, fromRight) ?? NaN);
  if (Number.isInteger(said) && said >= 1 && said <= 65_535) return { proto, port: said };
  const secure = proto === 'https' || proto === 'wss';
  return { proto, port: secure === (scheme === 'https') ? port : secure ? 443 : 80 };
}

const PROTO = /^(?:https?|wss?)$/;

interface FoundClient {
  readonly address: string;
  /** How many entries of the list stand to the right of it. */
  readonly fromRight: number;
}

/**
 * The client a request is from: the right-most address of the chain that is not one of our trusted proxies.
 * An entry that is not an address ends the search: its writer may have written the entries to its left, too.
 */
function findClient(from: string, forwardedFor: string, trusted: TrustedProxies): FoundClient {
  let address = from;
  let entries = 0;
  let end = forwardedFor.length;
  while (end > 0 && trusted.includes(address)) {
    const comma = forwardedFor.lastIndexOf(',', end - 1);
    const next = plainAddress(forwardedFor.slice(comma + 1, end));
    if (next === '') break;
    address = next;
    entries++;
    end = comma;
  }
  return { address, fromRight: Math.max(entries - 1, 0) };
}

/**
 * The entry of a list that the proxy wrote which also wrote the client's address: proxies append to all of these
 * lists, and what is further to the left the client may have sent itself. A shorter list gives its left-most entry.
 */
function entryAt(list: string | undefined, fromRight: number): string | undefined {
  if (list === undefined) return undefined;
  let end = list.length;
  let comma = list.lastIndexOf(',');
  for (let skipped = 0; skipped < fromRight && comma > 0; skipped++) {
    end = comma;
    comma = list.lastIndexOf(',', end - 1);
  }
  return list.slice(comma + 1, end).trim() || undefined;
}

const SANE_REQUEST_ID = /^[\w.:@/+=~-]{1,128}$/;

/** Whether a client's X-Request-ID may be kept: short, and harmless in any log. */
export function isSaneRequestId(value: string | undefined): value is string {
  return value !== undefined && SANE_REQUEST_ID.test(value);
}

/** RFC 7239 6: IPv6 goes in brackets and quotes. */
function node(address: string): string {
  return address.includes(':') ? `"[${address}]"` : address;
}
