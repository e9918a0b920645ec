import { type UntypedObject, asObject, isObject, asString } from '../model/untyped.ts';
import { type Instant, microTime } from '../kubernetes/clock.ts';

/**
 * Leader election by a `coordination.k8s.io/v1` Lease, as client-go does it: the pure part. Time comes in as an
 * argument, what to send goes out as a value, and no clock of another machine is ever compared with ours.
 */
export interface LeaseTimes {
  /** Written into the Lease: how long others leave it alone after they last saw it change. */
  readonly durationMs: number;
  /** How long after the last renewal we may still write. Well below `durationMs`. */
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
}

export const LEASE_TIMES: LeaseTimes = {
  durationMs: 15_000,
  renewDeadlineMs: 10_000,
  retryPeriodMs: 2_000,
};

export interface Election {
  readonly identity: string;
  readonly times: LeaseTimes;
  readonly observed: Observed | null;
  /** When we sent what last made or kept us leader; null when the Lease is not ours. */
  readonly renewed: Instant | null;
}

/** The Lease as we last saw it, null for none. */
interface Observed {
  readonly lease: UntypedObject | null;
  /** Since when it has said the same. */
  readonly sinceMs: number;
  /** Since when it has had the same holder. */
  readonly heldSinceMs: number;
}

export type NextRecord =
  | { readonly kind: 'create'; readonly lease: object }
  /** Carries the resourceVersion that was seen: the server refuses it when somebody was faster. */
  | { readonly kind: 'update'; readonly lease: object }
  /** Another process leads, as far as we can tell. */
  | { readonly kind: 'wait'; readonly holder: string };

export function newElection(identity: string, times: LeaseTimes): Election {
  return { identity, times, observed: null, renewed: null };
}

/** The state after a read of the Lease; `lease` is null when there is none. */
export function observe(election: Election, lease: UntypedObject | null, nowMs: number): Election {
  const { observed } = election;
  const same = observed !== null && specText(observed.lease) === specText(lease);
  const sameHolder = observed !== null && holderOf(observed.lease) === holderOf(lease);
  return {
    ...election,
    observed: {
      lease,
      // Only a changed spec counts as a renewal; a label that somebody adds does not.
      sinceMs: same ? observed.sinceMs : nowMs,
      heldSinceMs: sameHolder ? observed.heldSinceMs : nowMs,
    },
    renewed: holderOf(lease) === election.identity ? election.renewed : null,
  };
}

/** Our own write was accepted. `sent` is when it left: it took effect no earlier. */
export function acquired(election: Election, lease: UntypedObject, sent: Instant, nowMs: number): Election {
  return { ...observe(election, lease, nowMs), renewed: holderOf(lease) === election.identity ? sent : null };
}

/** What to send next to become or stay leader. The Lease must have been seen. */
export function nextRecord(election: Election, name: string, namespace: string, now: Instant): NextRecord {
  const { identity, observed, times } = election;
  const lease = observed?.lease ?? null;
  const holder = holderOf(lease);
  if (acquirableInMs(election, now.monotonicMs) > 0) return { kind: 'wait', holder };
  const before = asObject(lease?.['spec']);
  const renewTime = microTime(now.wallMs);
  const transitions = Number.isInteger(before['leaseTransitions']) ? Number(before['leaseTransitions']) : 0;
  const spec = {
    ...before,
    holderIdentity: identity,
    leaseDurationSeconds: Math.ceil(times.durationMs / 1000),
    acquireTime: holder === identity ? (asString(before['acquireTime']) ?? renewTime) : renewTime,
    renewTime,
    leaseTransitions: lease === null || holder === identity ? transitions : transitions + 1,
  };
  if (lease !== null) return { kind: 'update', lease: { ...lease, spec } };
  const head = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace } };
  return { kind: 'create', lease: { ...head, spec } };
}

/** The released Lease, so that another process need not wait; null when we do not hold it. */
export function released({ identity, observed }: Election, now: Instant): object | null {
  const lease = observed?.lease ?? null;
  if (lease === null || holderOf(lease) !== identity) return null;
  const at = microTime(now.wallMs);
  const spec = { holderIdentity: '', leaseDurationSeconds: 1, acquireTime: at, renewTime: at };
  return { ...lease, spec: { ...asObject(lease['spec']), ...spec } };
}

/** How much longer we may write; 0 when we may not. */
export function writableForMs({ renewed, times }: Election, now: Instant): number {
  if (renewed === null) return 0;
  // The clock that advanced further decides: one stops while the machine sleeps, the other may be set.
  const elapsed = Math.max(now.monotonicMs - renewed.monotonicMs, now.wallMs - renewed.wallMs);
  return Math.max(times.renewDeadlineMs - elapsed, 0);
}

export function holderOf(lease: UntypedObject | null): string {
  return asString(asObject(lease?.['spec'])['holderIdentity']) ?? '';
}

/** A Lease as the API server sends it; null when an update could not be guarded by its resourceVersion. */
export function readLease(body: unknown): UntypedObject | null {
  const version = asString(asObject(asObject(body)['metadata'])['resourceVersion']) ?? '';
  return isObject(body) && version !== '' ? body : null;
}

/**
 * When those who do not lead should look again. The longer one holder has led the longer they wait, up to when the Lease
 * could be taken if it said the same until then: thousands that look every retry period are a burden on the API server.
 */
export function nextCheckInMs(election: Election, nowMs: number): number {
  const { observed, times } = election;
  const familiarMs = Math.min((nowMs - (observed?.heldSinceMs ?? nowMs)) / 2, times.durationMs);
  return Math.max(times.retryPeriodMs, Math.min(familiarMs, acquirableInMs(election, nowMs)));
}

/** How much longer the Lease has to say the same, on our own clock, until it is nobody's; 0 when we may ask for it. */
function acquirableInMs({ identity, observed, times }: Election, nowMs: number): number {
  const holder = holderOf(observed?.lease ?? null);
  if (observed === null || holder === '' || holder === identity) return 0;
  const seconds = Number(asObject(observed.lease?.['spec'])['leaseDurationSeconds']);
  const durationMs = seconds >= 1 && seconds <= LONGEST_SECONDS ? seconds * 1000 : times.durationMs;
  return Math.max(observed.sinceMs + durationMs - nowMs, 0);
}

/** A longer duration in the Lease is ignored. */
const LONGEST_SECONDS = 3600;

function specText(lease: UntypedObject | null): string {
  return lease === null ? '' : JSON.stringify(lease['spec'] ?? null);
}
