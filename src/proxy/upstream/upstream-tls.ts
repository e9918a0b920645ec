import { createHash } from 'node:crypto';
import { type ConnectionOptions, type SecureContext, createSecureContext } from 'node:tls';

/** How TLS is spoken to pods. */
export interface UpstreamTls {
  /** Connections with the same terms may serve each other's requests. */
  readonly terms: string;
  readonly options: Pick<
    ConnectionOptions,
    'rejectUnauthorized' | 'servername' | 'secureContext' | 'checkServerIdentity'
  >;
}

/** Pods show certificates that nobody but their cluster signed: encrypted, not verified. */
const UNVERIFIED: UpstreamTls = { terms: 'tls', options: { rejectUnauthorized: false } };

/**
 * The terms that a route sets. With `authority` (PEM) the certificate of a pod must lead to it, and be for
 * `serverName` if there is one; without, the name is only asked for (SNI).
 */
export function upstreamTls(authority: string | null, serverName: string | null): UpstreamTls {
  if (authority === null && serverName === null) return UNVERIFIED;
  const name = serverName === null ? {} : { servername: serverName };
  if (authority === null) {
    return { terms: `tls ${serverName}`, options: { rejectUnauthorized: false, ...name } };
  }
  const fingerprint = createHash('sha256').update(authority).digest('base64');
  return {
    terms: `tls ${serverName ?? ''} ${fingerprint}`,
    options: {
      rejectUnauthorized: true,
      secureContext: contextOf(authority),
      // Pods are reached by address, and no certificate is for that.
      ...(serverName === null ? { checkServerIdentity: () => undefined } : name),
    },
  };
}

const contexts = new Map<string, SecureContext>();
const MOST_CONTEXTS = 256;

function contextOf(authority: string): SecureContext {
  let context = contexts.get(authority);
  if (!context) {
    if (contexts.size >= MOST_CONTEXTS) contexts.clear();
    contexts.set(authority, (context = createSecureContext({ ca: authority })));
  }
  return context;
}
