import type { EngineContext } from './engine.ts';

export const STRICT_TRANSPORT_SECURITY = 'strict-transport-security';

/** The value of the field for a client that came by `scheme`; null without TLS, where it may not be sent (RFC 6797 7.2). */
export function strictTransport(context: EngineContext, scheme: string): string | null {
  return (scheme === 'https' && context.strictTransportSecurity) || null;
}
