import { randomUUID } from 'node:crypto';
import { plainAddress } from './listener/address.ts';
import type { ShownCertificate } from './client-certificate.ts';
import type { TrustedProxies } from './listener/trusted-proxies.ts';

export { type TrustedProxies, parseCidr, trustedProxies } from './listener/trusted-proxies.ts';

/** Where a request came in: constant for a connection. */
export interface Arrival {
  /** As `plainAddress` gives it. */
  readonly peer: string;
  readonly trusted: boolean;
  /** The port of the listener. */
  readonly port: number;
  readonly scheme: 'http' | 'https';
  /** What the client showed, where it was asked for a certificate. */
  readonly client?: ShownCertificate;
}

/** The values a request came with; several fields of a name are joined with `, `. */
export interface IncomingForwarding {
  readonly host: string;
  readonly forwardedFor?: string | undefined;
  readonly forwardedHost?: string | undefined;
  readonly forwardedPort?: string | undefined;
  readonly forwardedProto?: string | undefined;
  readonly realIp?: string | undefined;
  readonly requestId?: string | undefined;
  readonly forwarded?: string | undefined;
}

/** The values a request goes on with. */
export interface Forwarding {
  /** X-Forwarded-For */
  readonly forwardedFor: string;
  readonly forwardedHost: string;
  readonly forwardedPort: string;
  readonly forwardedProto: string;
  readonly realIp: string;
  readonly requestId: string;
  /** Forwarded (RFC 7239): only where a trusted peer speaks it; null leaves it out. */
  readonly forwarded: string | null;
}

/**
 * What the upstream is told of the way of a request. An untrusted peer's own words are replaced; a trusted one's
 * are kept and its address appended.
 */
export function forwarding(
  arrival: Arrival,
  incoming: IncomingForwarding,
  trusted: TrustedProxies,
): Forwarding {
  const { peer, port, scheme } = arrival;
  const requestId = isSaneRequestId(incoming.requestId) ? incoming.requestId : randomUUID();
  if (!arrival.trusted) {
    return {
      forwardedFor: peer,
      forwardedHost: incoming.host,
      forwardedPort: String(port),
      forwardedProto: scheme,
      realIp: peer,
      requestId,
      forwarded: null,
    };
  }
  return {
    forwardedFor: incoming.forwardedFor ? `${incoming.forwardedFor}, ${peer}` : peer,
    forwardedHost: first(incoming.forwardedHost) ?? incoming.host,
    forwardedPort: sane(first(incoming.forwardedPort), /^\d{1,5}$/) ?? String(port),
    forwardedProto: sane(first(incoming.forwardedProto)?.toLowerCase(), /^(?:https?|wss?)$/) ?? scheme,
    realIp: clientAddress(peer, incoming.forwardedFor ?? incoming.realIp, trusted),
    requestId,
    forwarded: incoming.forwarded ? `${incoming.forwarded}, for=${node(peer)};proto=${scheme}` : null,
  };
}

/**
 * The client a request is from: the right-most address of the way that is not one of our trusted proxies.
 * An entry that is no address ends the search, since whoever wrote it may have written what is left of it too.
 */
export function clientAddress(
  peer: string,
  forwardedFor: string | undefined,
  trusted: TrustedProxies,
): string {
  let client = peer;
  if (forwardedFor === undefined) return client;
  let end = forwardedFor.length;
  while (end > 0 && trusted.includes(client)) {
    const comma = forwardedFor.lastIndexOf(',', end - 1);
    const address = plainAddress(forwardedFor.slice(comma + 1, end));
    if (address === '') break;
    client = address;
    end = comma;
  }
  return client;
}

const SANE_REQUEST_ID = /^[\w.:@/+=~-]{1,128}$/;

/** Whether a client's X-Request-ID may be kept: short, and harmless in any log. */
export function isSaneRequestId(value: string | undefined): value is string {
  return value !== undefined && SANE_REQUEST_ID.test(value);
}

function first(value: string | undefined): string | undefined {
  if (!value) return undefined;
  const comma = value.indexOf(',');
  return (comma < 0 ? value : value.slice(0, comma)).trim() || undefined;
}

function sane(value: string | undefined, pattern: RegExp): string | undefined {
  return value !== undefined && pattern.test(value) ? value : undefined;
}

/** RFC 7239 6: IPv6 goes in brackets and quotes. */
function node(address: string): string {
  return address.includes(':') ? `"[${address}]"` : address;
}
