import type { SecureContext } from 'node:tls';
import type { StreamHandle, TcpHandle } from './tcp-internals.ts';

/**
 * What handshakes on handles use of Node that Node does not document: its class of TLS over the handle of a connection. See
 * `tcp-internals.ts`.
 */

/** TLS over a connection, at the server's end. */
export interface TlsHandle extends StreamHandle {
  onhandshakestart: (this: TlsHandle) => void;
  /** Called within OpenSSL. */
  onhandshakedone: () => void;
  /** Asks for the certificate; `sni_context` and `certCbDone` answer, within the call. */
  oncertcb: (asked: { readonly servername: string }) => void;
  /** Once its alert was written. */
  onerror: (this: TlsHandle, error: NodeJS.ErrnoException) => void;
  sni_context?: unknown;
  enableCertCb(): void;
  certCbDone(): void;
  /** As RFC 7301 3.1 writes them. */
  setALPNProtocols(protocols: Buffer): void;
  /** Bytes of the peer that were read before. */
  receive(bytes: Buffer): void;
  /** Never within OpenSSL. */
  destroySSL(): void;
  getServername(): string | false;
  getALPNNegotiatedProtocol(): string | false;
  getProtocol(): string;
  getCipher(): { readonly name: string };
  isSessionReused(): boolean;
}

export interface TlsInternals {
  /** What comes on the TCP handle is for this one from now on. */
  wrap(tcp: TcpHandle, context: SecureContext): TlsHandle;
}

interface Bindings {
  binding(name: 'tls_wrap'): {
    TLSWrap: { readonly prototype: Readonly<Record<string, unknown>> };
    wrap(tcp: TcpHandle, context: unknown, isServer: true, hasActiveWrite: false): TlsHandle;
  };
}

const METHODS = [
  'enableCertCb',
  'certCbDone',
  'setALPNProtocols',
  'receive',
  'destroySSL',
  'getServername',
  'getALPNNegotiatedProtocol',
  'getProtocol',
  'getCipher',
  'isSessionReused',
];

/** Throws what is missing in this Node. */
export function tlsInternals(): TlsInternals {
  const { TLSWrap, wrap } = (process as unknown as Bindings).binding('tls_wrap');
  if (typeof wrap !== 'function') throw new TypeError('a connection cannot be wrapped');
  const missing = METHODS.find((name) => typeof TLSWrap?.prototype[name] !== 'function');
  if (missing !== undefined) throw new TypeError(`TLS has no ${missing}`);
  return { wrap: (tcp, { context }) => wrap(tcp, context, true, false) };
}
