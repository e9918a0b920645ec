import type { BoundPolicy } from './policy.ts';

/**
 * Strict-Transport-Security (RFC 6797) on every response that a client gets over https, unless the Pod sets it itself.
 * Over http it may not be sent (RFC 6797 7.2). `value` is that of the field: `--hsts` sets it for all hosts.
 */
export function strictTransportSecurity(value: string): BoundPolicy {
  return {
    onResponse(edit, { scheme }) {
      if (scheme === 'https') edit.setDefault('strict-transport-security', value);
    },
  };
}
