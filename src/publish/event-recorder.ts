import type { Compilation } from '../routing/compile/compile.ts';
import { asObject, asArray } from '../model/untyped.ts';
import type { Problem } from '../model/problem.ts';
import { type ShardedMap, difference, emptyMap, get, values } from '../model/sharded-map.ts';
import { type ApiReply, apiPath } from '../kubernetes/api-request.ts';
import type { Clock } from '../kubernetes/clock.ts';
import type { Complaints } from './log-once.ts';
import { type Due, EventLedger } from './event-aggregator.ts';
import {
  type Report,
  type Reporter,
  eventBody,
  eventName,
  eventNamespace,
  reportsOf,
  seriesBody,
} from './events.ts';
import type { Term } from './leadership.ts';
import { type TokenBucket, tokenBucket } from './token-bucket.ts';
import { type Outcome, outcomeOf, startWorkQueue } from './work-queue.ts';

export interface EventDeskOptions {
  readonly term: Term;
  readonly clock: Clock;
  readonly random: () => number;
  readonly complaints: Complaints;
  readonly reporter: Reporter;
}

/** Reports problems as Events, for one term. */
export interface EventDesk {
  advance(compilation: Compilation): void;
}

const EVENTS_PER_SECOND = 5;
const EVENTS_AT_ONCE = 25;
/** As client-go has it: an object that changes its mind all the time does not drown the others. */
const OBJECT_EVENTS_PER_SECOND = 1 / 300;
const OBJECT_EVENTS_AT_ONCE = 25;
const SWEEP_EVERY_MS = 30_000;

export function openEventDesk({ term, clock, random, complaints, reporter }: EventDeskOptions): EventDesk {
  const ledger = new EventLedger();
  const objectBuckets = new Map<string, TokenBucket>();
  let problems: ShardedMap<readonly Problem[]> = emptyMap();

  const send = async (report: Report, due: Due): Promise<Outcome> => {
    const { signal } = term;
    const collection = apiPath('events.k8s.io', 'events', eventNamespace(report));
    const create = (): Promise<ApiReply> =>
      term.call({
        method: 'POST',
        path: collection,
        body: eventBody(report, reporter, clock.wallMs()),
        signal,
      });
    const repeat = (count: number): Promise<ApiReply> =>
      term.call({
        method: 'PATCH',
        path: `${collection}/${encodeURIComponent(eventName(report, reporter))}`,
        contentType: 'application/merge-patch+json',
        body: seriesBody(count, clock.wallMs()),
        signal,
      });
    let reply = due.kind === 'create' ? await create() : await repeat(due.count);
    // An Event that expired begins anew.
    if (due.kind === 'series' && reply.status === 404) reply = await create();
    // Our predecessor said so already; or nobody will ever read it.
    const settled = reply.status === 409 || isTerminating(reply);
    const outcome: Outcome = settled ? { kind: 'done' } : outcomeOf(reply);
    if (outcome.kind === 'done') ledger.sent(report, due, clock.monotonicMs());
    return outcome;
  };

  const bucketOf = (report: Report): TokenBucket => {
    const { uid } = report.object;
    let bucket = objectBuckets.get(uid);
    if (!bucket) {
      bucket = tokenBucket(clock, OBJECT_EVENTS_PER_SECOND, OBJECT_EVENTS_AT_ONCE);
      objectBuckets.set(uid, bucket);
    }
    return bucket;
  };

  const queue = startWorkQueue({
    clock,
    random,
    bucket: tokenBucket(clock, EVENTS_PER_SECOND, EVENTS_AT_ONCE),
    signal: term.signal,
    complaints,
    topic: 'Events',
    namespaceOf: (key) => ledger.namespaceOf(key),
    right:
      'problems are not reported as Events without the verbs "create" and "patch" on resource "events" ' +
      'in API group "events.k8s.io"',
    work(key) {
      const report = ledger.report(key);
      const due = ledger.due(key, clock.monotonicMs());
      if (!report || !due) return null;
      const bucket = bucketOf(report);
      // The next sweep asks again.
      if (bucket.waitMs() > 0) return null;
      return () => {
        bucket.take();
        return send(report, due);
      };
    },
  });

  const sweep = (): void => {
    const nowMs = clock.monotonicMs();
    for (const key of ledger.sweep(nowMs)) queue.add(key);
    // Those for which there was no room may have some now.
    if (ledger.wasFull) {
      ledger.wasFull = false;
      for (const found of values(problems)) {
        for (const report of reportsOf(found)) if (ledger.has(report, nowMs)) queue.add(report.key);
      }
    }
    for (const [uid, bucket] of objectBuckets) if (bucket.full()) objectBuckets.delete(uid);
    cancelSweep = clock.setTimeout(sweep, SWEEP_EVERY_MS);
  };
  let cancelSweep = clock.setTimeout(sweep, SWEEP_EVERY_MS);
  term.signal.addEventListener('abort', () => cancelSweep(), { once: true });

  return {
    advance(compilation) {
      const before = problems;
      problems = compilation.problems;
      for (const [owner, after] of difference(before, problems)) {
        const reports = reportsOf(after ?? []);
        const keys = new Set(reports.map(({ key }) => key));
        for (const { key } of reportsOf(get(before, owner) ?? [])) if (!keys.has(key)) ledger.lost(key);
        const nowMs = clock.monotonicMs();
        for (const report of reports) if (ledger.has(report, nowMs)) queue.add(report.key);
      }
    },
  };
}

/** A namespace on its way out takes nothing new, and says so with a 403. */
function isTerminating({ status, body }: ApiReply): boolean {
  const causes = asArray(asObject(asObject(body)['details'])['causes']).map(asObject);
  return status === 403 && causes.some(({ reason }) => reason === 'NamespaceTerminating');
}
