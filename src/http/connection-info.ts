import { plainAddress } from './address.ts';

/**
 * How a connection came to us; the same for all of its requests. Who opened the TCP connection and which client it
 * is for are two facts: a load balancer opens connections for others, and names them in a PROXY header.
 */
export interface ConnectionInfo {
  /** The address at the other end of the TCP connection, as `plainAddress` gives it. */
  readonly peer: string;
  /** Whether the peer is one of `--trusted-proxies`. Nothing that a PROXY header says changes that. */
  readonly trusted: boolean;
  /** The source in the PROXY header; without one, the peer. */
  readonly clientAddress: string;
  /** What the client speaks, and the port that it spoke to: here, or at the load balancer in front of us. */
  readonly scheme: 'http' | 'https';
  readonly port: number;
  /** Whether TLS ended here. */
  readonly tls: boolean;
  /** Where it was accepted, as `portKey` writes it: which listeners of Gateways may have its requests. None when absent. */
  readonly portKey?: string;
  /** Present where it was accepted for Gateways alone: no Ingress is served there. */
  readonly gatewayOnly?: true;
  /** The number of the listener that accepted it, unique in its thread: what closes when that listener does. */
  readonly listener?: number;
  /** The name that the client asked for in its handshake (SNI, RFC 6066 3), lower case; absent where it asked for none. */
  readonly serverName?: string;
  /** What was agreed on in its handshake; absent without TLS. */
  readonly handshake?: Handshake;
  /** What the client presented, where it was asked for a certificate. */
  readonly certificate?: PresentedCertificate;
}

export interface Handshake {
  /** `TLSv1.3` */
  readonly version: string;
  /** As OpenSSL calls it: `TLS_AES_128_GCM_SHA256`. */
  readonly cipher: string;
  /** SNI as the client sent it, in lower case; empty where it sent none. It chose the certificate, and nothing else here. */
  readonly serverName: string;
}

/** What a client presented on a connection that asked for a certificate; the same for all of its requests. */
export interface PresentedCertificate {
  /** Of the policy that it was asked by. */
  readonly policyId: string;
  readonly verdict: 'verified' | 'missing' | 'refused';
  /** What Pods are told of it, under the names that ingress-nginx uses. */
  readonly fields: Readonly<Record<string, string>>;
  /** The same as lines of a head. */
  readonly lines: string;
}

/** What stands for the host where a client names none: the address that it came to, and its port unless it is the usual one. */
export function authorityOfSocket(
  { localAddress }: { readonly localAddress?: string | undefined },
  { scheme, port }: ConnectionInfo,
): string {
  const address = plainAddress(localAddress ?? '');
  const host = address.includes(':') ? `[${address}]` : address;
  return port === (scheme === 'https' ? 443 : 80) ? host : `${host}:${port}`;
}

/** A connection from `peer` to a port of ours. */
export function directConnection(
  peer: string,
  trusted: boolean,
  scheme: 'http' | 'https',
  port: number,
): ConnectionInfo {
  return { peer, trusted, clientAddress: peer, scheme, port, tls: scheme === 'https' };
}
