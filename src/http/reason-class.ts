import type { LocalReason } from './local-response.ts';

/** Whose matter it is that Portico answers a request itself: a limit, an access rule, the upstream, the client, or Portico. */
export type ReasonClass = 'limit' | 'access' | 'upstream' | 'client' | 'portico';

/** Of every reason, as metrics group them. */
export const REASON_CLASSES: Readonly<Record<LocalReason, ReasonClass>> = {
  'rate-limited': 'limit',
  'body-too-large': 'limit',
  'target-too-long': 'limit',
  'head-too-large': 'limit',
  'path-too-costly': 'limit',
  'passwords-busy': 'limit',
  overloaded: 'limit',

  'address-denied': 'access',
  blocked: 'access',
  unauthenticated: 'access',
  unauthorized: 'access',
  'client-name-denied': 'access',
  'auth-failed': 'access',
  'auth-unavailable': 'access',
  'passwords-unavailable': 'access',
  'certificate-missing': 'access',
  'certificate-refused': 'access',
  'client-certificate-not-available': 'access',
  'clients-unverifiable': 'access',
  'closed-by-policy': 'access',

  'upstream-refused': 'upstream',
  'upstream-unreachable': 'upstream',
  'upstream-handshake-failed': 'upstream',
  'upstream-connect-timed-out': 'upstream',
  'upstream-reset': 'upstream',
  'upstream-protocol-error': 'upstream',
  'upstream-timed-out': 'upstream',
  'deadline-exceeded': 'upstream',
  'no-endpoint': 'upstream',
  'backend-unavailable': 'upstream',
  'backend-invalid': 'upstream',

  'bad-message': 'client',
  'bad-framing': 'client',
  'bad-host': 'client',
  'bad-target': 'client',
  'host-disagrees': 'client',
  'loop-detected': 'upstream',
  'method-not-allowed': 'client',
  'method-unknown': 'client',
  'transfer-coding-unknown': 'client',
  'expectation-unknown': 'client',
  'version-not-supported': 'client',
  'tls-expected': 'client',
  'request-timed-out': 'client',
  'client-gone': 'client',
  misdirected: 'client',
  'no-route': 'client',

  'https-only': 'portico',
  'internal-fault': 'portico',
  'protocol-not-supported': 'portico',
  healthy: 'portico',
  draining: 'portico',
};

/** The class of a reason; undefined for a text that is none. */
export function reasonClass(reason: string): ReasonClass | undefined {
  return Object.hasOwn(REASON_CLASSES, reason) ? REASON_CLASSES[reason as LocalReason] : undefined;
}
