import type { Compilation } from '../routing/compile/compile.ts';
import { asObject, asArray } from '../model/untyped.ts';
import type { Problem } from '../model/problem.ts';
import { type ShardedMap, difference, emptyMap, get, values } from '../model/sharded-map.ts';
import { type ApiResponse, apiPath } from '../kubernetes/api-request.ts';
import type { Clock } from '../kubernetes/clock.ts';
import type { LogOnce } from './log-once.ts';
import { type Due, EventAggregator } from './event-aggregator.ts';
import {
  type Report,
  type Reporter,
  eventBody,
  eventName,
  eventNamespace,
  reportsOf,
  seriesBody,
} from './events.ts';
import type { Leadership } from './leadership.ts';
import { type TokenBucket, tokenBucket } from './token-bucket.ts';
import { type Outcome, WorkQueue, outcomeOf } from './work-queue.ts';

export interface EventRecorderOptions {
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logOnce: LogOnce;
  readonly reporter: Reporter;
}

/** Reports problems as Events while this process is the leader. */
export interface EventRecorder {
  advance(compilation: Compilation): void;
}

const EVENTS_PER_SECOND = 5;
const EVENTS_AT_ONCE = 25;
/** As in client-go: an object that changes all the time does not crowd out the others. */
const OBJECT_EVENTS_PER_SECOND = 1 / 300;
const OBJECT_EVENTS_AT_ONCE = 25;
const SWEEP_EVERY_MS = 30_000;

export function startEventRecorder({
  leadership,
  clock,
  random,
  logOnce,
  reporter,
}: EventRecorderOptions): EventRecorder {
  const aggregator = new EventAggregator();
  const objectBuckets = new Map<string, TokenBucket>();
  let problems: ShardedMap<readonly Problem[]> = emptyMap();

  const send = async (report: Report, due: Due): Promise<Outcome> => {
    const { signal } = leadership;
    const collection = apiPath('events.k8s.io', 'events', eventNamespace(report));
    const create = (): Promise<ApiResponse> =>
      leadership.call({
        method: 'POST',
        path: collection,
        body: eventBody(report, reporter, clock.wallMs()),
        signal,
      });
    const repeat = (count: number): Promise<ApiResponse> =>
      leadership.call({
        method: 'PATCH',
        path: `${collection}/${encodeURIComponent(eventName(report, reporter))}`,
        contentType: 'application/merge-patch+json',
        body: seriesBody(count, clock.wallMs()),
        signal,
      });
    let response = due.kind === 'create' ? await create() : await repeat(due.count);
    // The Event has expired: create it again.
    if (due.kind === 'series' && response.status === 404) response = await create();
    // The previous leader reported it already, or the namespace is being deleted.
    const settled = response.status === 409 || isTerminating(response);
    const outcome: Outcome = settled ? { kind: 'done' } : outcomeOf(response);
    if (outcome.kind === 'done') aggregator.sent(report, due, clock.monotonicMs());
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

  const queue = new WorkQueue({
    clock,
    random,
    bucket: tokenBucket(clock, EVENTS_PER_SECOND, EVENTS_AT_ONCE),
    signal: leadership.signal,
    logOnce,
    topic: 'Events',
    namespaceOf: (key) => aggregator.namespaceOf(key),
    right:
      'problems are not reported as Events without the verbs "create" and "patch" on resource "events" ' +
      'in API group "events.k8s.io"',
    work(key) {
      const report = aggregator.report(key);
      const due = aggregator.due(key, clock.monotonicMs());
      if (!report || !due) return null;
      const bucket = bucketOf(report);
      // The next sweep tries again.
      if (bucket.waitMs() > 0) return null;
      return () => {
        bucket.take();
        return send(report, due);
      };
    },
  });

  const sweep = (): void => {
    const nowMs = clock.monotonicMs();
    for (const key of aggregator.sweep(nowMs)) queue.add(key);
    // Reports that did not fit before may fit now.
    if (aggregator.wasFull) {
      aggregator.wasFull = false;
      for (const found of values(problems)) {
        for (const report of reportsOf(found)) if (aggregator.has(report, nowMs)) queue.add(report.key);
      }
    }
    for (const [uid, bucket] of objectBuckets) if (bucket.full()) objectBuckets.delete(uid);
    cancelSweep = clock.setTimeout(sweep, SWEEP_EVERY_MS);
  };
  let cancelSweep = clock.setTimeout(sweep, SWEEP_EVERY_MS);
  leadership.signal.addEventListener('abort', () => cancelSweep(), { once: true });

  return {
    advance(compilation) {
      const before = problems;
      problems = compilation.problems;
      for (const [owner, after] of difference(before, problems)) {
        const reports = reportsOf(after ?? []);
        const keys = new Set(reports.map(({ key }) => key));
        for (const { key } of reportsOf(get(before, owner) ?? [])) if (!keys.has(key)) aggregator.lost(key);
        const nowMs = clock.monotonicMs();
        for (const report of reports) if (aggregator.has(report, nowMs)) queue.add(report.key);
      }
    },
  };
}

/** A namespace that is being deleted accepts no new objects: the API server answers 403. */
function isTerminating({ status, body }: ApiResponse): boolean {
  const causes = asArray(asObject(asObject(body)['details'])['causes']).map(asObject);
  return status === 403 && causes.some(({ reason }) => reason === 'NamespaceTerminating');
}
