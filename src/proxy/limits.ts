/** What one client or one upstream may cost: sizes in bytes, times in milliseconds. Per data-plane thread. */
export interface Limits {
  readonly requestLineBytes: number;
  readonly headBytes: number;
  readonly fieldCount: number;
  /** From the first byte of a head (or the accept) to its last; then 408. */
  readonly clientHeadTimeoutMs: number;
  /** From the accept to the end of a TLS handshake, or of a PROXY header; then the connection is closed. */
  readonly handshakeTimeoutMs: number;
  /** At one time; one more takes the place of the oldest. */
  readonly handshakes: number;
  /** Without a byte of a body from the client; then 408, or the exchange is aborted. */
  readonly bodyIdleTimeoutMs: number;
  /** Bytes per second of a request body, on average over each `bodyIdleTimeoutMs` in which it is read; 0 for any. */
  readonly bodyMinRate: number;
  /** How long a client waits for an upstream to ask for the body (`Expect: 100-continue`); then Portico asks for it. */
  readonly continueTimeoutMs: number;
  readonly keepAliveIdleTimeoutMs: number;
  /** All attempts of one request to connect, together; one of several attempts has an equal share. */
  readonly connectTimeoutMs: number;
  /** Without a byte from the upstream while one is awaited; then 504, or the exchange is aborted. */
  readonly upstreamIdleTimeoutMs: number;
  readonly tunnelIdleTimeoutMs: number;
  readonly connections: number;
  readonly requestsPerConnection: number;
  /** Requests that a client may have under way on one HTTP/2 connection. */
  readonly streamsPerConnection: number;
  /** Held per side of an exchange beyond the kernel's buffers. */
  readonly bufferBytes: number;
  /** Held for one HTTP/2 connection: of heads under way, and half as much of responses that it does not take. */
  readonly connectionHeldBytes: number;
  /** Held for all clients together; beyond it the connections that hold the most are closed. */
  readonly heldBytes: number;
  /** Endpoints tried for one request. */
  readonly attempts: number;
}

export const DEFAULT_LIMITS: Limits = {
  requestLineBytes: 8 * 1024,
  headBytes: 32 * 1024,
  fieldCount: 128,
  clientHeadTimeoutMs: 30_000,
  handshakeTimeoutMs: 10_000,
  handshakes: 1_024,
  bodyIdleTimeoutMs: 60_000,
  bodyMinRate: 100,
  continueTimeoutMs: 1_000,
  keepAliveIdleTimeoutMs: 75_000,
  connectTimeoutMs: 5_000,
  upstreamIdleTimeoutMs: 60_000,
  tunnelIdleTimeoutMs: 3_600_000,
  connections: 16_384,
  requestsPerConnection: 100_000,
  streamsPerConnection: 100,
  bufferBytes: 64 * 1024,
  connectionHeldBytes: 1024 * 1024,
  heldBytes: 128 * 1024 * 1024,
  attempts: 3,
};
