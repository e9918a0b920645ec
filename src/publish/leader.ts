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
import { Leadership } from './leadership.ts';

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

/** client-go's jitter, in retry periods: candidates come back at different times. */
const JITTER_FACTOR = 1.2;
const FORBIDDEN_RETRY_MS = 30_000;

/** Takes part in the election until stopped. */
export class Elector {
  readonly #options: ElectorOptions;
  readonly #collection: string;
  readonly #path: string;
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;
  #election: Election;
  #leadership: Leadership | null = null;
  /** The last write got no response: the server may have accepted it. */
  #uncertain = false;
  #lastFailure = '';
  #lastHolder = '';

  constructor(options: ElectorOptions) {
    const { namespace, leaseName, identity, times } = options;
    this.#options = options;
    this.#collection = apiPath('coordination.k8s.io', 'leases', namespace);
    this.#path = apiPath('coordination.k8s.io', 'leases', namespace, leaseName);
    this.#election = newElection(identity, times);
    this.#ended = this.#run();
  }

  leading(): boolean {
    return this.#leadership !== null && !this.#leadership.signal.aborted && this.#leftMs() > 0;
  }

  /** Ends the leadership, waits for writes under way, gives the Lease back. Takes at most twice the renew deadline. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    const answered = (await this.#leadership?.finish(this.#options.times.renewDeadlineMs / 4)) ?? true;
    this.#leadership = null;
    await this.#ended;
    // A write without a response may still take effect: the Lease then protects it until it expires.
    if (answered) await this.#release().catch(() => {});
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const delayMs = await this.#attempt();
      this.#updateLeadership();
      await sleep(this.#options.clock, delayMs, signal);
    }
  }

  /** One try; how long to wait before the next. */
  async #attempt(): Promise<number> {
    const { clock, random, times } = this.#options;
    const { signal } = this.#stopping;
    const retryMs = times.retryPeriodMs;
    let afterFailureMs: number | null = null;
    if (this.#leftMs() === 0) this.#leadership?.end();
    try {
      // A leader knows the content of the Lease and does not read it, until a write fails.
      let failure = this.#leftMs() > 0 ? await this.#campaign(signal) : await this.#readAndCampaign(signal);
      if (failure?.status === 409 || failure?.status === 404) failure = await this.#readAndCampaign(signal);
      this.#logFailure(failure === null || failure.status === 409 ? '' : this.#explain(failure));
      if (failure?.status === 403 && this.#leftMs() === 0) return FORBIDDEN_RETRY_MS;
      if (failure) afterFailureMs = Math.max(retryMs, Math.min(failure.retryAfterMs, times.durationMs));
    } catch (error) {
      afterFailureMs = retryMs;
      if (!signal.aborted) this.#logFailure(error instanceof Error ? error.message : String(error));
    }
    if (this.#leftMs() > 0) return afterFailureMs ?? retryMs;
    const waitMs = afterFailureMs ?? nextCheckInMs(this.#election, clock.monotonicMs());
    return waitMs + retryMs * JITTER_FACTOR * random();
  }

  async #readAndCampaign(signal: AbortSignal): Promise<ApiResponse | null> {
    return (await this.#read(signal)) ?? (await this.#campaign(signal));
  }

  /** Reads the Lease. Null when there is no failure to log. */
  async #read(signal: AbortSignal): Promise<ApiResponse | null> {
    const response = await this.#request('GET', undefined, signal);
    const lease = response.status === 200 ? readLease(response.body) : null;
    if (lease === null && response.status !== 404) return response;
    this.#election = observe(this.#election, lease, this.#options.clock.monotonicMs());
    this.#uncertain = false;
    return null;
  }

  /** Sends the write that makes or keeps us leader. Null when there is no failure to log. */
  async #campaign(signal: AbortSignal): Promise<ApiResponse | null> {
    const { clock, leaseName, namespace, log } = this.#options;
    const sent = instant(clock);
    const next = nextRecord(this.#election, leaseName, namespace, sent);
    if (next.kind === 'wait') {
      if (next.holder !== this.#lastHolder) log('info', `${next.holder} publishes to the cluster`);
      this.#lastHolder = next.holder;
      return null;
    }
    const response = await this.#request(next.kind === 'create' ? 'POST' : 'PUT', next.lease, signal);
    const lease = response.status === 200 || response.status === 201 ? readLease(response.body) : null;
    if (lease === null) return response;
    this.#election = acquired(this.#election, lease, sent, clock.monotonicMs());
    this.#lastHolder = '';
    return null;
  }

  async #request(
    method: 'GET' | 'PUT' | 'POST',
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<ApiResponse> {
    const { call, clock, times } = this.#options;
    const path = method === 'POST' ? this.#collection : this.#path;
    const request = { method, path, ...(body && { body }), signal };
    if (method !== 'GET') this.#uncertain = true;
    const response = await requestWithTimeout(call, clock, times.renewDeadlineMs / 2, request);
    if (method !== 'GET') this.#uncertain = false;
    return response;
  }

  #updateLeadership(): void {
    const { call, clock, times, log, identity, onLead } = this.#options;
    if (this.#leadership?.signal.aborted) this.#leadership = null;
    const writable = this.#leftMs() > 0;
    if (!writable) {
      this.#leadership?.end();
      this.#leadership = null;
    } else if (!this.#leadership && !this.#stopping.signal.aborted) {
      log('info', `leader: this process publishes to the cluster as ${identity}`);
      this.#leadership = new Leadership({
        call,
        clock,
        leftMs: () => this.#leftMs(),
        callTimeoutMs: times.renewDeadlineMs / 2,
        onLost: () => log('warn', 'no longer the leader: publishing stops'),
      });
      onLead(this.#leadership);
    }
  }

  async #release(): Promise<void> {
    const never = new AbortController().signal;
    if (this.#uncertain && (await this.#read(never))) return;
    const lease = released(this.#election, instant(this.#options.clock));
    if (lease !== null) await this.#request('PUT', lease, never);
  }

  #leftMs(): number {
    return writableForMs(this.#election, instant(this.#options.clock));
  }

  #logFailure(why: string): void {
    const { log } = this.#options;
    if (why !== this.#lastFailure && why !== '') log('warn', `leader election: ${why}`);
    if (why === '' && this.#lastFailure !== '') log('info', 'leader election works again');
    this.#lastFailure = why;
  }

  #explain(response: ApiResponse): string {
    const { namespace, leaseName } = this.#options;
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
  }
}
