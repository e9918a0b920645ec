import {
  type ApiCall,
  type ApiResponse,
  apiPath,
  requestWithTimeout,
  responseText,
} from '../kubernetes/api-request.ts';
import type { Log } from '../kubernetes/log.ts';
import { type Clock, instant, sleep } from '../kubernetes/clock.ts';
import {
  type Election,
  type LeaseTimes,
  newElection,
  nextCheckInMs,
  nextRecord,
  readLease,
  released,
  observe,
  acquired,
  writableForMs,
} from './lease.ts';
import { type Leadership, startLeadership } from './leadership.ts';

export interface ElectorOptions {
  readonly call: ApiCall;
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly log: Log;
  /** Unique to this process, for ever. */
  readonly identity: string;
  readonly namespace: string;
  readonly leaseName: string;
  readonly times: LeaseTimes;
  /** Called when this process became the leader. The signal of the leadership says when that ends. */
  readonly onLead: (leadership: Leadership) => void;
}

export interface Elector {
  leading(): boolean;
  /** Ends the leadership, waits for writes under way, gives the Lease back. Takes at most twice the renew deadline. */
  stop(): Promise<void>;
}

/** client-go's jitter, in retry periods: candidates come back at different times. */
const JITTER_FACTOR = 1.2;
const FORBIDDEN_RETRY_MS = 30_000;

/** Takes part in the election until stopped. */
export function startElector(options: ElectorOptions): Elector {
  const { call, clock, random, log, identity, namespace, leaseName, times, onLead } = options;
  const collection = apiPath('coordination.k8s.io', 'leases', namespace);
  const path = apiPath('coordination.k8s.io', 'leases', namespace, leaseName);
  const stopping = new AbortController();
  let election: Election = newElection(identity, times);
  let leadership: Leadership | null = null;
  /** The last write got no response: the server may have accepted it. */
  let uncertain = false;
  let lastFailure = '';
  let lastHolder = '';

  const leftMs = (): number => writableForMs(election, instant(clock));
  const logFailure = (why: string): void => {
    if (why !== lastFailure && why !== '') log('warn', `leader election: ${why}`);
    if (why === '' && lastFailure !== '') log('info', 'leader election works again');
    lastFailure = why;
  };

  const ask = async (
    method: 'GET' | 'PUT' | 'POST',
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<ApiResponse> => {
    const where = method === 'POST' ? collection : path;
    const request = { method, path: where, ...(body && { body }), signal };
    if (method === 'GET') return requestWithTimeout(call, clock, times.renewDeadlineMs / 2, request);
    uncertain = true;
    const response = await requestWithTimeout(call, clock, times.renewDeadlineMs / 2, request);
    uncertain = false;
    return response;
  };

  /** Reads the Lease again. */
  const readAnew = async (signal: AbortSignal): Promise<ApiResponse | null> => {
    const response = await ask('GET', undefined, signal);
    const lease = response.status === 200 ? readLease(response.body) : null;
    if (lease === null && response.status !== 404) return response;
    election = observe(election, lease, clock.monotonicMs());
    uncertain = false;
    return null;
  };

  /** Sends the write that makes or keeps us leader. Null when there is no failure to log. */
  const campaign = async (signal: AbortSignal): Promise<ApiResponse | null> => {
    const sent = instant(clock);
    const next = nextRecord(election, leaseName, namespace, sent);
    if (next.kind === 'wait') {
      if (next.holder !== lastHolder) log('info', `${next.holder} publishes to the cluster`);
      lastHolder = next.holder;
      return null;
    }
    const response = await ask(next.kind === 'create' ? 'POST' : 'PUT', next.lease, signal);
    const lease = response.status === 200 || response.status === 201 ? readLease(response.body) : null;
    if (lease === null) return response;
    election = acquired(election, lease, sent, clock.monotonicMs());
    lastHolder = '';
    return null;
  };

  /** One try; how long to wait before the next. */
  const attempt = async (): Promise<number> => {
    const retryMs = times.retryPeriodMs;
    let afterFailureMs: number | null = null;
    if (leadership && leftMs() === 0) leadership.end();
    try {
      // A leader knows the content of the Lease and does not read it, until a write fails.
      let failure = leftMs() > 0 ? await campaign(stopping.signal) : await readAndCampaign(stopping.signal);
      if (failure?.status === 409 || failure?.status === 404)
        failure = await readAndCampaign(stopping.signal);
      if (failure === null || failure.status === 409) logFailure('');
      else logFailure(explain(failure));
      if (failure?.status === 403 && leftMs() === 0) return FORBIDDEN_RETRY_MS;
      if (failure) afterFailureMs = Math.max(retryMs, Math.min(failure.retryAfterMs, times.durationMs));
    } catch (error) {
      afterFailureMs = retryMs;
      if (!stopping.signal.aborted) logFailure(error instanceof Error ? error.message : String(error));
    }
    if (leftMs() > 0) return afterFailureMs ?? retryMs;
    const waitMs = afterFailureMs ?? nextCheckInMs(election, clock.monotonicMs());
    return waitMs + retryMs * JITTER_FACTOR * random();
  };
  const readAndCampaign = async (signal: AbortSignal): Promise<ApiResponse | null> =>
    (await readAnew(signal)) ?? (await campaign(signal));

  const explain = (response: ApiResponse): string => {
    if (response.status === 403) {
      return (
        `nothing is published to the cluster without the verbs "get", "create" and "update" on resource ` +
        `"leases" in API group "coordination.k8s.io" in namespace "${namespace}" (see deploy/rbac.yaml); ` +
        `serving continues. (${responseText(response)})`
      );
    }
    if (response.status === 404) {
      return (
        `the Lease ${namespace}/${leaseName} cannot be created: ${responseText(response)}; ` +
        'create the namespace or name another one with --publish-namespace'
      );
    }
    return responseText(response);
  };

  const updateLeadership = (): void => {
    if (leadership?.signal.aborted) leadership = null;
    const writable = leftMs() > 0;
    if (leadership && !writable) {
      leadership.end();
      leadership = null;
    }
    if (!leadership && writable && !stopping.signal.aborted) {
      log('info', `leader: this process publishes to the cluster as ${identity}`);
      leadership = startLeadership({
        call,
        clock,
        leftMs,
        callTimeoutMs: times.renewDeadlineMs / 2,
        onLost: () => log('warn', 'no longer the leader: publishing stops'),
      });
      onLead(leadership);
    }
  };

  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const delayMs = await attempt();
      updateLeadership();
      await sleep(clock, delayMs, stopping.signal);
    }
  };
  const ended = loop();

  const release = async (): Promise<void> => {
    const never = new AbortController().signal;
    if (uncertain && (await readAnew(never))) return;
    const lease = released(election, instant(clock));
    if (lease !== null) await ask('PUT', lease, never);
  };

  return {
    leading: () => leadership !== null && !leadership.signal.aborted && leftMs() > 0,
    async stop() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      const answered = (await leadership?.finish(times.renewDeadlineMs / 4)) ?? true;
      leadership = null;
      await ended;
      // A write without a response may still take effect: the Lease then protects it until it expires.
      if (answered) await release().catch(() => {});
    },
  };
}
