import type { Socket } from 'node:net';
import { plainAddress } from './listener/address.ts';
import type { ShownCertificate } from './client-certificate.ts';
import type { ProxiedAddresses } from './listener/proxy-protocol.ts';

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
  /** What the client presented, where it was asked for a certificate. */
  readonly certificate?: ShownCertificate;
}

/** What stands for the host where a client names none: the address that it came to, and its port unless it is the usual one. */
export function authorityOfSocket({ localAddress }: Socket, { scheme, port }: ConnectionInfo): string {
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
