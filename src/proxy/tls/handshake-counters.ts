import type { TLSSocket } from 'node:tls';

/**
 * Why a TLS handshake failed. `certificate-not-trusted`: the client does not accept ours. `client-certificate`: the client
 * has none that is good where one is required. `client-gone`: it closed the connection.
 * `no-room`: its place was needed for another one.
 */
export type HandshakeFailure = (typeof HANDSHAKE_FAILURES)[number];
export const HANDSHAKE_FAILURES = [
  'unrecognized-name',
  'protocol-version',
  'no-shared-cipher',
  'no-application-protocol',
  'certificate-not-trusted',
  'client-certificate',
  'client-gone',
  'timeout',
  'no-room',
  'other',
] as const;

/** Handshakes of TLS ports, as plain data. */
export interface HandshakeTotals {
  /** By version and whether a session was resumed: `TLSv1.3 true`. */
  readonly done: Readonly<Record<string, number>>;
  readonly failed: Readonly<Partial<Record<HandshakeFailure, number>>>;
}

export const NO_HANDSHAKES: HandshakeTotals = { done: {}, failed: {} };

/** Counts the handshakes of a thread. */
export class HandshakeCounters {
  readonly #done: Record<string, number> = {};
  readonly #failed: Partial<Record<HandshakeFailure, number>> = {};
  /** Ending a connection is followed by errors of it. */
  readonly #counted = new WeakSet<object>();

  succeeded(socket: Pick<TLSSocket, 'getProtocol' | 'isSessionReused'>): void {
    const key = `${socket.getProtocol() ?? 'unknown'} ${socket.isSessionReused()}`;
    this.#done[key] = (this.#done[key] ?? 0) + 1;
  }

  /** Only the first failure of a connection counts. */
  failed(raw: object, reason: HandshakeFailure): void {
    if (this.#counted.has(raw)) return;
    this.#counted.add(raw);
    this.#failed[reason] = (this.#failed[reason] ?? 0) + 1;
  }

  totals(): HandshakeTotals {
    return { done: { ...this.#done }, failed: { ...this.#failed } };
  }
}

export function addHandshakes(a: HandshakeTotals, b: HandshakeTotals): HandshakeTotals {
  const [done, failed] = [{ ...a.done }, { ...a.failed }];
  for (const [key, count] of Object.entries(b.done)) done[key] = (done[key] ?? 0) + count;
  for (const [reason, count] of Object.entries(b.failed) as [HandshakeFailure, number][])
    failed[reason] = (failed[reason] ?? 0) + count;
  return { done, failed };
}

/** What an error of a handshake means, by its code in Node and OpenSSL. */
export function handshakeFailure(code: string | undefined): HandshakeFailure {
  if (code === undefined) return 'other';
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'client-gone';
  return REASONS.find(([pattern]) => pattern.test(code))?.[1] ?? 'other';
}

const REASONS: readonly (readonly [pattern: RegExp, failure: HandshakeFailure])[] = [
  [/UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|WRONG_VERSION|ALERT_PROTOCOL_VERSION/, 'protocol-version'],
  [/NO_SHARED_CIPHER|NO_SUITABLE|NO_SHARED_GROUP/, 'no-shared-cipher'],
  [/NO_APPLICATION_PROTOCOL/, 'no-application-protocol'],
  [/PEER_DID_NOT_RETURN|VERIFY_FAILED/, 'client-certificate'],
  [/ALERT_(UNKNOWN_CA|(BAD|UNSUPPORTED)_CERTIFICATE|CERTIFICATE_)/, 'certificate-not-trusted'],
];
