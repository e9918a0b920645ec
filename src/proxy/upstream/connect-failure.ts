import { isOutOfDescriptors } from '../descriptors.ts';

/** Errors of connect(2) that are named as the system names them. */
export type ConnectError = (typeof CONNECT_ERRORS)[number];
const CONNECT_ERRORS = ['ECONNREFUSED', 'ECONNRESET', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT'] as const;

/**
 * Why a connection to an endpoint was not made, as it is counted and logged: `timeout` is not in the time that there
 * was, `handshake` that TLS or HTTP/2 could not be agreed on, and `endpoint-gone` that the endpoint left the table meanwhile.
 */
export type ConnectFailure = (typeof CONNECT_FAILURES)[number];
export const CONNECT_FAILURES = [
  ...CONNECT_ERRORS,
  'timeout',
  'handshake',
  'endpoint-gone',
  'other',
] as const;

export function isConnectError(text: string): text is ConnectError {
  return (CONNECT_ERRORS as readonly string[]).includes(text);
}

/** Of an exchange whose connections were all made at once. */
export const NO_FAILURES: readonly ConnectFailure[] = [];

/** What is known of a connection that failed before it was made; `detail` is empty when the error has no name here. */
export interface FailedConnect {
  readonly kind: 'refused' | 'unreachable' | 'connect-timed-out' | 'out-of-descriptors';
  readonly detail: ConnectError | '';
}

/** Reads the error of a socket that was connecting; undefined when it was closed without one. */
export function failedConnect(error: NodeJS.ErrnoException | undefined): FailedConnect {
  if (isOutOfDescriptors(error?.code)) return { kind: 'out-of-descriptors', detail: '' };
  const detail = CONNECT_ERRORS.find((known) => known === error?.code) ?? '';
  switch (detail) {
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return { kind: 'unreachable', detail };
    case 'ETIMEDOUT':
      return { kind: 'connect-timed-out', detail };
    case 'ECONNREFUSED':
    case 'ECONNRESET':
    case '':
      return { kind: 'refused', detail };
    default:
      return detail satisfies never;
  }
}
