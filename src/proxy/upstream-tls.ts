import type { ConnectionOptions, SecureContext } from 'node:tls';
import { createSecureContext } from 'node:tls';

/** How TLS is spoken to the pods of a route. */
export interface UpstreamTls {
  /** Connections with the same terms may serve each other's requests. */
  readonly terms: string;
  readonly options: Pick<ConnectionOptions, 'rejectUnauthorized' | 'servername' | 'secureContext'>;
}

/** Pods show certificates that nobody but their cluster signed: encrypted, not verified. */
export const UNVERIFIED: UpstreamTls = { terms: 'tls', options: { rejectUnauthorized: false } };

const contexts = new Map<string, SecureContext>();
const MOST_CONTEXTS = 256;

/**
 * The terms that a route sets: `ca` in PEM verifies the pod's certificate, for `serverName` if there is one. Without
 * `ca` the name is only sent (SNI).
 */
export function upstreamTls(ca: string | null, serverName: string | null): UpstreamTls {
  if (ca === null && serverName === null) return UNVERIFIED;
  return {
    terms: `tls ${serverName ?? ''} ${ca ?? ''}`,
    options: {
      rejectUnauthorized: ca !== null,
      ...(serverName !== null && { servername: serverName }),
      ...(ca !== null && { secureContext: contextOf(ca) }),
    },
  };
}

function contextOf(ca: string): SecureContext {
  let context = contexts.get(ca);
  if (!context) {
    if (contexts.size >= MOST_CONTEXTS) contexts.clear();
    contexts.set(ca, (context = createSecureContext({ ca })));
  }
  return context;
}
