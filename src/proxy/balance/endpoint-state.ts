import type { NameAddresses } from './name-addresses.ts';
import type { Endpoint } from '../../routing/table.ts';

/** How one address, or one name, has fared for one backend. It outlives table generations. */
export interface EndpointState {
  /** `address:port`, IPv6 in brackets. */
  readonly key: string;
  readonly endpoint: Endpoint;
  /** Of an ExternalName, which `endpoint.address` is then. */
  readonly name: NameAddresses | undefined;
  inFlight: number;
  /** Peak-sensitive moving average of time to first byte; 0 until one was measured. */
  latencyMs: number;
  /** When `latencyMs` was last measured, in milliseconds since the epoch. */
  latencyAt: number;
  /** Connect failures in a row. */
  failures: number;
  /** Milliseconds since the epoch; chosen only if nothing else is left before that. */
  ejectedUntil: number;
}

export function endpointState(endpoint: Endpoint, name?: NameAddresses): EndpointState {
  return {
    key: endpointKey(endpoint),
    endpoint,
    name,
    inFlight: 0,
    latencyMs: 0,
    latencyAt: 0,
    failures: 0,
    ejectedUntil: 0,
  };
}

/** `address:port`, IPv6 in brackets. */
export function endpointKey(endpoint: Endpoint): string {
  const { address, port } = endpoint;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** An attempt at this endpoint begins. Each call is matched by one of `attemptEnded`. */
export function attemptStarted(state: EndpointState): void {
  state.inFlight++;
}

/** The attempt is over, however it went. */
export function attemptEnded(state: EndpointState): void {
  state.inFlight--;
}

/** A connection was made: the address is alive, whatever it was before. */
export function connectSucceeded(state: EndpointState): void {
  state.failures = 0;
  state.ejectedUntil = 0;
}

const FAILURES_TO_EJECT = 3;
const FIRST_EJECTION_MS = 1_000;
const LONGEST_EJECTION_MS = 30_000;

/**
 * A connection could not be made. The third time in a row the address is set aside for a second, and after each
 * further failure for twice as long as before. Attempts that were under way when it was set aside do not count:
 * a hundred of them failing at once say no more than one.
 */
export function connectFailed(state: EndpointState, now: number): void {
  if (now < state.ejectedUntil) return;
  state.failures++;
  if (state.failures < FAILURES_TO_EJECT) return;
  const doublings = Math.min(state.failures - FAILURES_TO_EJECT, 16);
  state.ejectedUntil = now + Math.min(FIRST_EJECTION_MS * 2 ** doublings, LONGEST_EJECTION_MS);
}

/** How fast an old measurement stops to count. */
const LATENCY_DECAY_MS = 10_000;

/** The first byte of a response came `latencyMs` after the request went out. A peak counts at once, a fall by and by. */
export function recordLatency(state: EndpointState, latencyMs: number, now: number): void {
  // A little above zero, which means "never measured".
  const measured = Math.max(latencyMs, 0.01);
  const weight = Math.exp(Math.min(0, state.latencyAt - now) / LATENCY_DECAY_MS);
  const average = state.latencyMs * weight + measured * (1 - weight);
  state.latencyMs = Math.max(measured, average);
  state.latencyAt = now;
}

/** The latency to choose by: a slow endpoint that is left alone is forgiven, so that it is tried again. */
export function latencyNow(state: EndpointState, now: number): number {
  if (state.latencyMs === 0) return 0;
  return state.latencyMs * Math.exp(Math.min(0, state.latencyAt - now) / LATENCY_DECAY_MS);
}
