import {
  type Family,
  type HistogramValue,
  type Label,
  type Sample,
  byStatus,
  histogramOf,
  isIngress,
  labelsOf,
  once,
  sourceLabels,
  total,
} from './families.ts';
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
const CANARY: readonly Label[] = [['canary', 'canary']];
const MAIN: readonly Label[] = [['canary', '']];

/**
 * The figures of Ingresses under the names of ingress-nginx, with the labels that flagger and its dashboards ask for. By Ingress, status
 * class and canary: never by host, path or method, of which clients could make any number.
 */
export function ingressNginxFamilies(
  compatibility: Compatibility,
  { counters, gauges, since }: DataPlaneFigures,
  { generation, certificates }: ControlFigures,
  tables: Tables,
  bounds: readonly number[],
): readonly Family[] {
  const { controllerNamespace, controllerClass, controllerPod, version } = compatibility;
  const controller = {
    controller_namespace: controllerNamespace,
    controller_class: controllerClass,
    controller_pod: controllerPod,
  };
  const own = labelsOf(controller);
  const ofIngress = once((source: string) =>
    labelsOf({ ...controller, ...sourceLabels(source) }, since(source)),
  );
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
      perIngress((each) => [
        {
          labels: ofIngress(each.source),
          more: MAIN,
          value: summed(bytesOf(each), total(each.statusClasses)),
        },
      ]),
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
        ...byStatus(withoutCanary(each), ofIngress(each.source), MAIN),
        ...byStatus(each.canaryStatusClasses, ofIngress(each.source), CANARY),
      ]),
    ),
    family(
      'request_duration_seconds',
      'histogram',
      'Time from the first byte of a request to the last byte of its response.',
      perIngress(({ source, latency }) => [
        { labels: ofIngress(source), more: MAIN, value: histogramOf(latency, bounds) },
      ]),
    ),
    family(
      'response_duration_seconds',
      'histogram',
      'The same; with canaries only sum and count, of the main backend and of canaries.',
      perIngress(function* (each) {
        const labels = ofIngress(each.source);
        const canaries = total(each.canaryStatusClasses);
        if (canaries === 0) {
          yield { labels, more: MAIN, value: histogramOf(each.latency, bounds) };
          return;
        }
        const main = each.latency.sumSeconds - each.canaryLatencySumSeconds;
        yield { labels, more: MAIN, value: summed(main, total(withoutCanary(each))) };
        yield { labels, more: CANARY, value: summed(each.canaryLatencySumSeconds, canaries) };
      }),
    ),
    sizes('request_size', 'Bytes of request bodies.', ({ requestBytes }) => requestBytes),
    sizes('response_size', 'Bytes of response bodies.', ({ responseBytes }) => responseBytes),
    sizes('bytes_sent', 'Bytes of response bodies.', ({ responseBytes }) => responseBytes),
    family(
      'nginx_process_connections',
      'gauge',
      'Connections of clients, by state.',
      Object.entries(states).map(([state, value]) => ({ labels: own, more: [['state', state]], value })),
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
      { labels: labelsOf({ ...controller, release: version, repository: 'portico' }), value: 1 },
    ]),
    family(
      'ssl_expire_time_seconds',
      'gauge',
      'When the certificate of a TLS host expires, in seconds since the epoch.',
      certificates.map(({ host, secret, notAfter }) => {
        const [namespace = '', name = ''] = secret.split('/', 2);
        const place = { namespace, class: controllerClass, host: host || '_', secret_name: name };
        return { labels: labelsOf({ ...controller, ...place }), value: Math.floor(notAfter / 1000) };
      }),
    ),
  ];
}

/** A histogram with one bucket: what asks for the sum and the count gets them. */
function summed(sum: number, count: number): HistogramValue {
  return { bounds: [], buckets: [count], sum };
}

function withoutCanary({ statusClasses, canaryStatusClasses }: RequestTotals): number[] {
  return Array.from(statusClasses, (all, index) => all - (canaryStatusClasses[index] ?? 0));
}
