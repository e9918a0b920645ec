import {
  type ApiCall,
  type ApiReply,
  type Say,
  apiPath,
  askWithin,
  replyText,
} from '../kubernetes/api-request.ts';
import { type Clock, instant, sleep } from '../kubernetes/clock.ts';
import {
  type Election,
  type LeaseTimes,
  newElection,
  nextLookInMs,
  propose,
  readLease,
  released,
  saw,
  won,
  writableForMs,
} from './lease.ts';
import { type Term, startTerm } from './leadership.ts';

export interface ElectorOptions {
  readonly call: ApiCall;
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly say: Say;
  /** Of this process and no other, ever. */
  readonly identity: string;
  readonly namespace: string;
  readonly leaseName: string;
  readonly times: LeaseTimes;
  /** Called when this process became the leader. The term ends by its signal. */
  readonly onLead: (term: Term) => void;
}

export interface Elector {
  leading(): boolean;
  /** Ends the term, waits for what is being written, gives the Lease back. Bounded by twice the renew deadline. */
  stop(): Promise<void>;
}

/** client-go's jitter, in retry periods: candidates come back at different times. */
const JITTER_FACTOR = 1.2;
const FORBIDDEN_RETRY_MS = 30_000;

/** Stands for election until stopped. */
export function startElector(options: ElectorOptions): Elector {
  const { call, clock, random, say, identity, namespace, leaseName, times, onLead } = options;
  const collection = apiPath('coordination.k8s.io', 'leases', namespace);
  const path = apiPath('coordination.k8s.io', 'leases', namespace, leaseName);
  const stopping = new AbortController();
  let election: Election = newElection(identity, times);
  let term: Term | null = null;
  /** The last write had no answer: it may have been accepted. */
  let uncertain = false;
  let complaint = '';
  let rival = '';

  const leftMs = (): number => writableForMs(election, instant(clock));
  const complain = (why: string): void => {
    if (why !== complaint && why !== '') say('warn', `leader election: ${why}`);
    if (why === '' && complaint !== '') say('info', 'leader election works again');
    complaint = why;
  };

  const ask = async (
    method: 'GET' | 'PUT' | 'POST',
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<ApiReply> => {
    const where = method === 'POST' ? collection : path;
    const question = { method, path: where, ...(body && { body }), signal };
    if (method === 'GET') return askWithin(call, clock, times.renewDeadlineMs / 2, question);
    uncertain = true;
    const reply = await askWithin(call, clock, times.renewDeadlineMs / 2, question);
    uncertain = false;
    return reply;
  };

  /** Reads the Lease anew. */
  const look = async (signal: AbortSignal): Promise<ApiReply | null> => {
    const reply = await ask('GET', undefined, signal);
    const lease = reply.status === 200 ? readLease(reply.body) : null;
    if (lease === null && reply.status !== 404) return reply;
    election = saw(election, lease, clock.monotonicMs());
    uncertain = false;
    return null;
  };

  /** Sends what makes or keeps us leader. Null when there is nothing to complain about. */
  const campaign = async (signal: AbortSignal): Promise<ApiReply | null> => {
    const sent = instant(clock);
    const proposal = propose(election, leaseName, namespace, sent);
    if (proposal.kind === 'wait') {
      if (proposal.holder !== rival) say('info', `${proposal.holder} publishes to the cluster`);
      rival = proposal.holder;
      return null;
    }
    const reply = await ask(proposal.kind === 'create' ? 'POST' : 'PUT', proposal.lease, signal);
    const lease = reply.status === 200 || reply.status === 201 ? readLease(reply.body) : null;
    if (lease === null) return reply;
    election = won(election, lease, sent, clock.monotonicMs());
    rival = '';
    return null;
  };

  /** One try; how long to wait before the next. */
  const attempt = async (): Promise<number> => {
    const retryMs = times.retryPeriodMs;
    let afterFailureMs: number | null = null;
    if (term && leftMs() === 0) term.end();
    try {
      // A leader knows what the Lease says and saves the read, until it learns better.
      let failure = leftMs() > 0 ? await campaign(stopping.signal) : await lookAndCampaign(stopping.signal);
      if (failure?.status === 409 || failure?.status === 404)
        failure = await lookAndCampaign(stopping.signal);
      if (failure === null || failure.status === 409) complain('');
      else complain(explain(failure));
      if (failure?.status === 403 && leftMs() === 0) return FORBIDDEN_RETRY_MS;
      if (failure) afterFailureMs = Math.max(retryMs, Math.min(failure.retryAfterMs, times.durationMs));
    } catch (error) {
      afterFailureMs = retryMs;
      if (!stopping.signal.aborted) complain(error instanceof Error ? error.message : String(error));
    }
    if (leftMs() > 0) return afterFailureMs ?? retryMs;
    const waitMs = afterFailureMs ?? nextLookInMs(election, clock.monotonicMs());
    return waitMs + retryMs * JITTER_FACTOR * random();
  };
  const lookAndCampaign = async (signal: AbortSignal): Promise<ApiReply | null> =>
    (await look(signal)) ?? (await campaign(signal));

  const explain = (reply: ApiReply): string => {
    if (reply.status === 403) {
      return (
        `nothing is published to the cluster without the verbs "get", "create" and "update" on resource ` +
        `"leases" in API group "coordination.k8s.io" in namespace "${namespace}" (see deploy/rbac.yaml); ` +
        `serving goes on. (${replyText(reply)})`
      );
    }
    if (reply.status === 404) {
      return (
        `the Lease ${namespace}/${leaseName} cannot be made: ${replyText(reply)}; ` +
        'create the namespace or name another one with --publish-namespace'
      );
    }
    return replyText(reply);
  };

  const settleTerm = (): void => {
    if (term?.signal.aborted) term = null;
    const writable = leftMs() > 0;
    if (term && !writable) {
      term.end();
      term = null;
    }
    if (!term && writable && !stopping.signal.aborted) {
      say('info', `leader: this process publishes to the cluster as ${identity}`);
      term = startTerm({
        call,
        clock,
        leftMs,
        callTimeoutMs: times.renewDeadlineMs / 2,
        onLost: () => say('warn', 'no longer the leader: publishing stops'),
      });
      onLead(term);
    }
  };

  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const delayMs = await attempt();
      settleTerm();
      await sleep(clock, delayMs, stopping.signal);
    }
  };
  const ended = loop();

  const release = async (): Promise<void> => {
    const never = new AbortController().signal;
    if (uncertain && (await look(never))) return;
    const lease = released(election, instant(clock));
    if (lease !== null) await ask('PUT', lease, never);
  };

  return {
    leading: () => term !== null && !term.signal.aborted && leftMs() > 0,
    async stop() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      const answered = (await term?.finish(times.renewDeadlineMs / 4)) ?? true;
      term = null;
      await ended;
      // A write without an answer may still happen: then the Lease protects it until it expires.
      if (answered) await release().catch(() => {});
    },
  };
}
