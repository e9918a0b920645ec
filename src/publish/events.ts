import { createHash } from 'node:crypto';
import { type ObjectReference, type Problem, describeObject } from '../model/problem.ts';
import { microTime } from '../kubernetes/clock.ts';
import { GATEWAY_KINDS } from '../model/objects.ts';
import { GROUP } from '../routing/gateway/kinds.ts';

/** The content of one Event: all problems of one object that have the same reason. */
export interface Report {
  /** `Ingress shop/web ServiceNotFound` */
  readonly key: string;
  readonly object: ObjectReference & { readonly uid: string };
  readonly reason: string;
  readonly note: string;
}

/** Who reports, as Events name it. */
export interface Reporter {
  readonly controller: string;
  readonly instance: string;
}

/** What the API server accepts, in bytes; names leave room for a suffix. */
const NOTE_BYTES = 1024;
const INSTANCE_BYTES = 128;
const NAME_BYTES = 200;

const API_VERSIONS: Readonly<Record<string, string>> = {
  Ingress: 'networking.k8s.io/v1',
  IngressClass: 'networking.k8s.io/v1',
  EndpointSlice: 'discovery.k8s.io/v1',
  Service: 'v1',
  Secret: 'v1',
  ...Object.fromEntries(GATEWAY_KINDS.map((kind) => [kind, `${GROUP}/v1`])),
};

/** One report per object and reason. An object that does not exist has no Events to describe it with. */
export function reportsOf(problems: readonly Problem[]): readonly Report[] {
  const reports = new Map<string, { report: Report; more: number }>();
  for (const { code, severity, object, field, message } of problems) {
    const { uid } = object;
    if (severity === 'info' || uid === undefined || !(object.kind in API_VERSIONS)) continue;
    const key = `${describeObject(object)} ${code}`;
    const known = reports.get(key);
    if (known) known.more++;
    else {
      const note = field === '' ? message : `${field}: ${message}`;
      reports.set(key, { report: { key, object: { ...object, uid }, reason: code, note }, more: 0 });
    }
  }
  return [...reports.values()].map(({ report, more }) => {
    const suffix = more === 0 ? '' : ` (and ${more} more)`;
    return { ...report, note: cut(report.note, NOTE_BYTES - suffix.length) + suffix };
  });
}

/** Cluster-scoped objects have their Events in `default`. */
export function eventNamespace({ object }: Report): string {
  return object.namespace ?? 'default';
}

/** The same for the same words about the same object: the next leader finds what its predecessor reported. */
export function eventName({ object, reason, note }: Report, { controller }: Reporter): string {
  const words = JSON.stringify([controller, object.uid, reason, note]);
  return `${cut(object.name, NAME_BYTES)}.${createHash('sha256').update(words).digest('hex').slice(0, 16)}`;
}

/** The body of an `events.k8s.io/v1` Event. */
export function eventBody(report: Report, reporter: Reporter, wallMs: number): object {
  const { kind, namespace, name, uid } = report.object;
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: eventName(report, reporter), namespace: eventNamespace(report) },
    eventTime: microTime(wallMs),
    type: 'Warning',
    reason: cut(report.reason, 128),
    action: 'Compile',
    note: report.note,
    reportingController: reporter.controller,
    reportingInstance: cut(reporter.instance, INSTANCE_BYTES),
    regarding: { apiVersion: API_VERSIONS[kind], kind, ...(namespace && { namespace }), name, uid },
  };
}

/** The body of a merge patch that says the Event happened again. */
export function seriesBody(count: number, wallMs: number): object {
  return { series: { count, lastObservedTime: microTime(wallMs) } };
}

/** At most so many bytes, without half a character at the end. */
function cut(text: string, bytes: number): string {
  const encoded = Buffer.from(text);
  if (encoded.length <= bytes) return text;
  return new TextDecoder().decode(encoded.subarray(0, bytes - 3)).replace(/\uFFFD*$/, '') + '...';
}
