import { createHash } from 'node:crypto';
import { type ConnectionOptions, type SecureContext, createSecureContext } from 'node:tls';

/** How TLS is spoken to upstreams. */
export interface UpstreamTls {
  /** Connections with the same id may serve each other's requests. */
  readonly id: string;
  readonly options: Pick<
    ConnectionOptions,
    'rejectUnauthorized' | 'servername' | 'secureContext' | 'checkServerIdentity'
  >;
}

/** Certificates of Pods are signed by their cluster at best: connections are encrypted, and not verified. */
const UNVERIFIED: UpstreamTls = { id: 'tls', options: { rejectUnauthorized: false } };

/**
 * How TLS is spoken as a route asks for it. With `caCertificates` (PEM) the certificate of an upstream must lead to one of
 * them, and be for `serverName` if there is one; without, the name is only sent (SNI).
 */
export function upstreamTls(caCertificates: string | null, serverName: string | null): UpstreamTls {
  if (caCertificates === null && serverName === null) return UNVERIFIED;
  const name = serverName === null ? {} : { servername: serverName };
  if (caCertificates === null) {
    return { id: `tls ${serverName}`, options: { rejectUnauthorized: false, ...name } };
  }
  const fingerprint = createHash('sha256').update(caCertificates).digest('base64');
  return {
    id: `tls ${serverName ?? ''} ${fingerprint}`,
    options: {
      rejectUnauthorized: true,
      secureContext: contextOf(caCertificates),
      // Upstreams are reached by address, and no certificate is for that.
      ...(serverName === null ? { checkServerIdentity: () => undefined } : name),
    },
  };
}

const contexts = new Map<string, SecureContext>();
const MOST_CONTEXTS = 256;

function contextOf(caCertificates: string): SecureContext {
  let context = contexts.get(caCertificates);
  if (!context) {
    if (contexts.size >= MOST_CONTEXTS) contexts.clear();
    contexts.set(caCertificates, (context = createSecureContext({ ca: caCertificates })));
  }
  return context;
}
