import { type Family, type Sample, byStatus, histogram, isIngress, labelsOf, withLabel } from './families.ts';
import type { ControlFigures, DataPlaneFigures, RequestTotals } from './figures.ts';

/** What ingress-nginx says of itself in every series. */
export interface Compatibility {
  readonly version: string;
  readonly controllerNamespace: string;
  /** The `spec.controller` of its IngressClass: `k8s.io/ingress-nginx`. */
  readonly controllerClass: string;
  readonly controllerPod: string;
}

/** The tables that were distributed: what a reload is to ingress-nginx. */
export interface Tables {
  readonly count: number;
  /** Milliseconds since the epoch. */
  readonly lastAt: number;
}

const PREFIX = 'nginx_ingress_controller_';
/** Of requests that went to a canary; flagger asks for any that is not empty. */
const CANARY = 'canary';

/**
 * The figures of Ingresses under the names of ingress-nginx, with the labels that flagger and its dashboards ask for. By Ingress, status
 * class and canary: never by host, path or method, of which clients could make any number.
 */
export function ingressNginxFamilies(
  compatibility: Compatibility,
  { counters, gauges }: DataPlaneFigures,
  { generation, certificates }: ControlFigures,
  tables: Tables,
  bounds: readonly number[],
): readonly Family[] {
  const { controllerNamespace, controllerClass, controllerPod, version } = compatibility;
  const own = labelsOf({
    controller_namespace: controllerNamespace,
    controller_class: controllerClass,
    controller_pod: controllerPod,
  });
  const ofIngress = ({ source }: RequestTotals, canary: string): string => {
    const [namespace = '', name = ''] = source.split('/', 2);
    return `${own.slice(0, -1)},${labelsOf({ namespace, ingress: name, canary }).slice(1)}`;
  };
  const perIngress = (samplesOf: (counters: RequestTotals) => Iterable<Sample>): Iterable<Sample | null> => ({
    *[Symbol.iterator]() {
      for (const each of counters) {
        yield null;
        if (isIngress(each.source)) yield* samplesOf(each);
      }
    },
  });
  const family = (
    name: string,
    type: Family['type'],
    help: string,
    samples: Iterable<Sample | null>,
  ): Family => ({
    ...{ name: `${PREFIX}${name}`, type, help, samples },
  });
  const one = (name: string, type: Family['type'], help: string, value: number): Family =>
    family(name, type, help, [{ labels: own, value }]);
  const sizes = (name: string, help: string, bytesOf: (counters: RequestTotals) => number): Family =>
    family(
      name,
      'histogram',
      help,
      perIngress((each) => summed(ofIngress(each, ''), bytesOf(each), total(each.statusClasses))),
    );
  const { rss } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const { clientConnections: active, inFlight } = gauges;
  const states = { active, reading: 0, writing: inFlight, waiting: Math.max(active - inFlight, 0) };

  return [
    family(
      'requests',
      'counter',
      'Requests, by Ingress, status class and canary.',
      perIngress((each) => [
        ...byStatus(withoutCanary(each), ofIngress(each, '')),
        ...byStatus(each.canaryStatusClasses, ofIngress(each, CANARY)),
      ]),
    ),
    family(
      'request_duration_seconds',
      'histogram',
      'Time from the first byte of a request to the last byte of its response.',
      perIngress((each) =>
        histogram(each.latencyBuckets, each.latencySumSeconds, ofIngress(each, ''), bounds),
      ),
    ),
    family(
      'response_duration_seconds',
      'histogram',
      'The same for the main backend and for canaries, each by its sum.',
      perIngress(function* (each) {
        const { latencySumSeconds, canaryLatencySumSeconds } = each;
        const main = latencySumSeconds - canaryLatencySumSeconds;
        yield* summed(ofIngress(each, ''), main, total(withoutCanary(each)));
        const canaries = total(each.canaryStatusClasses);
        if (canaries > 0) yield* summed(ofIngress(each, CANARY), canaryLatencySumSeconds, canaries);
      }),
    ),
    sizes('request_size', 'Bytes of request bodies.', ({ requestBytes }) => requestBytes),
    sizes('response_size', 'Bytes of response bodies.', ({ responseBytes }) => responseBytes),
    sizes('bytes_sent', 'Bytes of response bodies.', ({ responseBytes }) => responseBytes),
    family(
      'nginx_process_connections',
      'gauge',
      'Connections of clients, by state.',
      Object.entries(states).map(([state, value]) => ({ labels: withLabel(own, 'state', state), value })),
    ),
    one('nginx_process_resident_memory_bytes', 'gauge', 'Memory of the process.', rss),
    one('nginx_process_cpu_seconds_total', 'counter', 'CPU time of the process.', (user + system) / 1e6),
    one('config_hash', 'gauge', 'Generation of the newest route table.', generation),
    one('config_last_reload_successful', 'gauge', 'Always 1: nothing is reloaded.', 1),
    one(
      'config_last_reload_successful_timestamp_seconds',
      'gauge',
      'When the newest route table was distributed.',
      Math.floor(tables.lastAt / 1000),
    ),
    one('success', 'counter', 'Route tables that were distributed.', tables.count),
    one('errors', 'counter', 'Always 0: a table that cannot be compiled is not distributed.', 0),
    family('build_info', 'gauge', 'Always 1; the version is in the label.', [
      { labels: withLabel(withLabel(own, 'release', version), 'repository', 'portico'), value: 1 },
    ]),
    family(
      'ssl_expire_time_seconds',
      'gauge',
      'When the certificate of a TLS host expires, in seconds since the epoch.',
      certificates.map(({ host, secret, notAfter }) => {
        const [namespace = '', name = ''] = secret.split('/', 2);
        const labels = labelsOf({ namespace, class: controllerClass, host: host || '_', secret_name: name });
        return { labels: `${own.slice(0, -1)},${labels.slice(1)}`, value: Math.floor(notAfter / 1000) };
      }),
    ),
  ];
}

/** A histogram with one bucket: what asks for the sum and the count gets them. */
function* summed(labels: string, sum: number, count: number): Generator<Sample> {
  yield { suffix: '_bucket', labels, le: Number.POSITIVE_INFINITY, value: count };
  yield { suffix: '_sum', labels, value: sum };
  yield { suffix: '_count', labels, value: count };
}

function withoutCanary({ statusClasses, canaryStatusClasses }: RequestTotals): number[] {
  return Array.from(statusClasses, (all, index) => all - (canaryStatusClasses[index] ?? 0));
}

function total(statusClasses: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < statusClasses.length; index++) sum += statusClasses[index] ?? 0;
  return sum;
}
