/**
 * `node scripts/metrics.ts` writes docs/reference/metrics.md from what src/admin/metrics.ts answers a scrape; a test says
 * when that has been forgotten.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatted } from './formatted.ts';
import type { Durations } from '../src/admin/figures.ts';
import { createMetrics } from '../src/admin/metrics.ts';
import { REASON_CLASSES } from '../src/http/reason-class.ts';
import { HANDSHAKE_FAILURES } from '../src/proxy/tls/handshake-counters.ts';
import { LATENCY_BOUNDS_SECONDS } from '../src/proxy/latency-bounds.ts';
import { COUNTER_LIMITS } from '../src/proxy/request-metrics.ts';

export const METRICS_PAGE = join(import.meta.dirname, '../docs/reference/metrics.md');

export interface DocumentedFamily {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly labels: ReadonlySet<string>;
}

/** The page as it should be. */
export async function metricsPage(): Promise<string> {
  const families = await documentedFamilies();
  const ours = families.filter(({ name }) => name.startsWith('portico_'));
  const theirs = families.filter(({ name }) => name.startsWith('nginx_'));
  const classes = Object.entries(
    Object.groupBy(Object.entries(REASON_CLASSES), ([, each]) => each) as Record<string, [string, string][]>,
  )
    .map(([each, reasons]) => `\`${each}\` (${reasons.map(([reason]) => reason).join(', ')})`)
    .join('; ');
  const failures = HANDSHAKE_FAILURES.map((reason) => `\`${reason}\``).join(', ');
  const bounds = LATENCY_BOUNDS_SECONDS.join(', ');
  const [ofNamespace, all] = [COUNTER_LIMITS.ingressesOfNamespace, COUNTER_LIMITS.ingresses].map((limit) =>
    limit.toLocaleString('en'),
  );
  const page = [
    '# Metrics',
    '',
    '<!-- Written by `node scripts/metrics.ts` from src/admin/metrics.ts. -->',
    '',
    '`/metrics` on the status port (`--status-port`, 10254) answers in the text format of Prometheus, in OpenMetrics 1.0, or in',
    'protobuf with [native histograms](#native-histograms), whichever the client prefers by `Accept`. Everything is read when it is',
    'asked for, at most once a second. Counters are sums over all data-plane threads, those that died included. When an Ingress or route is',
    'deleted, its series are in one more scrape and end then: of two servers that scrape, one misses what the Ingress counted since its',
    'own last scrape.',
    '',
    '| Metric | Type | Labels | |',
    '| --- | --- | --- | --- |',
    ...ours.map(({ name, type, labels, help }) => {
      const names = [...labels].map((label) => `\`${label}\``).join(', ');
      return `| \`${name}\` | ${type} | ${names} | ${help} |`;
    }),
    '',
    '- `namespace` and `ingress` name the Ingress that took the request. A route of Gateway API has `namespace`, `kind` (such as',
    '  `HTTPRoute`) and `route` instead. `namespace` and `ingress` are empty for requests that neither took.',
    `- At most ${ofNamespace} Ingresses and routes of a namespace and ${all} of the cluster have series of their own. The others are counted`,
    '  together, as `ingress="_other"` of their namespace or of the namespace `_other`: a series with `_other` says that a limit is',
    '  reached. What was counted together stays together until the Ingress is deleted. The same numbers hold for the hosts of `portico_certificate_expiry_days`, where `host="_other"` is the earliest.',
    '- `status` is the class: `2xx`.',
    `- The buckets of \`portico_request_duration_seconds\` and \`portico_upstream_duration_seconds\` are ${bounds} and \`+Inf\`.`,
    '- `reason` of `portico_local_responses_total` is how `detail` in the access log begins. `class` says whose matter it is:',
    `  ${classes}.`,
    '- `verdict` is `allowed`, `denied`, or `failed` where there was no answer that says yes or no. `cached` says whether the answer',
    '  was known: an answer of `auth-url` that is remembered, or a password whose hash is remembered or cheap.',
    `- \`reason\` of \`portico_tls_handshake_failures_total\` is ${failures}.`,
    '  `certificate-not-trusted`: the client does not accept the certificate; `client-certificate`: it has none that is good; `no-room`: it gave way to another client.',
    '- `reason` of `portico_connect_failures_total` is what the system says (`ECONNREFUSED`, `ECONNRESET`, `EHOSTUNREACH`, `ENETUNREACH`, `ETIMEDOUT`), `timeout` for',
    '  `connect-timeout`, `endpoint-gone` for an endpoint that left while it was connected to, or `other`.',
    '- `thread` counts the data-plane threads from 0. `nodejs_heap_…` are of the control thread.',
    '- `kind` of `portico_watch_…` is a kind of Kubernetes that is watched. `severity` is `error`, `warning` or `info`.',
    '',
    '## Native histograms',
    '',
    'In protobuf `portico_request_duration_seconds`, `portico_upstream_duration_seconds` and the durations under the names of',
    'ingress-nginx are native histograms as well: buckets that grow by 2^(1/8), 9 %, from 61 µs to 36 hours (schema 3). An Ingress has only',
    'those that its requests fell into, at most 249 for each histogram. Prometheus asks for protobuf with `scrape_native_histograms: true`',
    '(before 3.8 with `--enable-feature=native-histograms`) and keeps only the native histogram then. The dashboard and the alerts',
    'of the chart read the buckets above: keep them, with `always_scrape_classic_histograms: true`. The chart has `nativeHistograms` for both.',
    '',
    '```yaml',
    'scrape_configs:',
    '  - job_name: portico',
    '    scrape_native_histograms: true',
    '    always_scrape_classic_histograms: true',
    '```',
    '',
    '```promql',
    'histogram_quantile(0.99, sum by (namespace, ingress) (rate(portico_request_duration_seconds[5m])))',
    '```',
    '',
    '## Sent to a collector',
    '',
    'With `OTEL_METRICS_EXPORTER=otlp` Portico also sends all of this to a collector of OpenTelemetry, as JSON over HTTP. Names and labels are',
    'those above, as if the collector scraped, so the same dashboards and alerts work. Sums and histograms are cumulative and have a start',
    'time. Portico sends them once more when it stops. The series of an Ingress or route that is deleted stay for an interval and a timeout',
    'longer, and for two minutes at least, so that one more export and one more scrape have them.',
    '',
    '```sh',
    'kubectl -n portico-system set env daemonset/portico OTEL_METRICS_EXPORTER=otlp \\',
    '  OTEL_EXPORTER_OTLP_ENDPOINT=http://otel-collector.observability:4318',
    '```',
    '',
    '| Variable | Default | Is |',
    '| --- | --- | --- |',
    '| `OTEL_METRICS_EXPORTER` | `none` | `otlp`, or `none`. `prometheus`, alone or as in `otlp,prometheus`, changes nothing: `/metrics` is there in any case |',
    '| `OTEL_EXPORTER_OTLP_ENDPOINT` | none | the collector; `/v1/metrics` is appended. `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` is used as it is. Spans go there, too, unless `OTEL_TRACES_EXPORTER` is `none` |',
    '| `OTEL_METRIC_EXPORT_INTERVAL` | `60000` ms | the time from one export to the next |',
    '| `OTEL_METRIC_EXPORT_TIMEOUT` | `30000` ms | the longest time for one export; what is not sent by then is dropped, and the next export has newer values |',
    '| `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` | `cumulative` | `delta` and `lowmemory` are not supported: Portico logs a warning and sends cumulative sums. The `cumulativetodelta` processor of the collector makes deltas of them |',
    '| `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION` | `explicit_bucket_histogram` | `base2_exponential_bucket_histogram` sends the [native histograms](#native-histograms) |',
    '',
    'Headers, timeout, compression, certificates and what the data comes from are set as for [traces](../tracing.md#turn-it-on); the form with `_METRICS_`',
    'wins. After 429, 502, 503 and 504, or no answer, a request is sent again as spans are, for as long as the export may take.',
    '`portico_metric_points_dropped_total` counts the data points that the collector did not get: `queue-full` when the time for the export',
    'was over, `collector` when the collector refused them or could not be reached.',
    '',
    '## Under the names of ingress-nginx',
    '',
    '`--metrics-compat ingress-nginx` adds these, which flagger and the dashboards of ingress-nginx ask for. `status` is the class,',
    '`canary` is `canary` for requests that went to a canary Ingress and empty for others; series never have a host, a path or a',
    'method. `controller_class` is `--controller-name`; Pod and namespace come from `POD_NAME` and `POD_NAMESPACE`. Sizes, and',
    '`response_duration_seconds` of an Ingress with a canary, have sum and count, and one bucket. Every panel of `nginx.json` has its',
    'figures. In `request-handling-performance.json` tables have one row for each Ingress, and panels that ask for the `status` of a',
    'duration, or for the distribution of sizes, stay empty.',
    '',
    '| Metric | Type | Labels | |',
    '| --- | --- | --- | --- |',
    ...theirs.map(({ name, type, labels, help }) => {
      const names = [...labels].filter((label) => !label.startsWith('controller_'));
      return `| \`${name}\` | ${type} | ${names.map((label) => `\`${label}\``).join(', ')} | ${help} |`;
    }),
    '',
    'Beside these there are the `process_…` and `nodejs_…` metrics that every program with prom-client has. The delays of',
    '`nodejs_eventloop_lag_{min,max,mean,stddev,p50,p90,p99}_seconds` are those of the control thread since the last scrape: how long each',
    'turn of its event loop kept waiting what came meanwhile. Every turn counts, so `max` is the longest block, however short.',
    '',
  ];
  return formatted('page.md', page.join('\n'));
}

/** Every metric, as a Portico answers that has one of everything. */
export async function documentedFamilies(): Promise<readonly DocumentedFamily[]> {
  return readFamilies(await scrape());
}

const DURATIONS: Durations = {
  buckets: LATENCY_BOUNDS_SECONDS.map(() => 1),
  sumSeconds: 1,
  native: { schema: 3, zeroThreshold: 0, zeroCount: 1, numbers: [], counts: [] },
};
const SOURCES = ['namespace/name', 'namespace/name HTTPRoute'];

/** What that Portico answers. */
async function scrape(): Promise<string> {
  const metrics = createMetrics({
    version: '',
    latencyBoundsSeconds: LATENCY_BOUNDS_SECONDS,
    dataPlane: async () => ({
      counters: SOURCES.map((source) => ({
        source,
        statusClasses: [1, 1, 1, 1, 1],
        canaryStatusClasses: [1, 1, 1, 1, 1],
        canaryLatencySumSeconds: 1,
        latency: DURATIONS,
        upstream: DURATIONS,
        requestBytes: 1,
        responseBytes: 1,
        retries: 1,
        connectFailures: { timeout: 1 },
        droppedFields: 1,
      })),
      events: [
        ...SOURCES.map(
          (source) => ({ kind: 'local-response', source, reason: 'rate-limited', count: 1 }) as const,
        ),
        ...SOURCES.map(
          (source) => ({ kind: 'auth', source, outcome: 'external-auth allowed cached', count: 1 }) as const,
        ),
      ],
      since: () => undefined,
      handshakes: { done: { 'TLSv1.3 true': 1 }, failed: { timeout: 1 } },
      gauges: {
        clientConnections: 1,
        upstreamConnections: 1,
        inFlight: 1,
        tunnels: 1,
        heldBytes: 0,
        evicted: 0,
        refused: 0,
        shed: 0,
        descriptorFailures: 0,
      },
      threads: 1,
      deaths: 1,
      faults: 1,
      droppedMirrors: 1,
      droppedSpans: 1,
      streams: [
        {
          ...{ protocol: 'udp', port: 53, open: 1, ends: { closed: 1 }, seconds: 1 },
          ...{ receivedBytes: 1, sentBytes: 1, receivedDatagrams: 1, sentDatagrams: 1 },
        },
      ],
      limitStoreMisses: 0,
      memoryBytes: [1],
      adoptedGeneration: 1,
    }),
    watch: () => [
      { kind: 'Ingress', synced: true, connected: true, objects: 1, lastEventAt: 0, relists: 1, errors: 1 },
    ],
    control: async () => ({
      generation: 1,
      hosts: 1,
      routes: 1,
      backends: 1,
      lastResort: 1,
      problems: { error: 1, warning: 1, info: 1 },
      problemReasons: new Map([['error ServiceNotFound', 1]]),
      certificates: [{ host: 'host', secret: 'namespace/name', notAfter: 0 }],
      logDroppedBytes: 1,
      spans: { exported: 1, queueFull: 0, failed: 0 },
      logRecords: { exported: 1, queueFull: 0, failed: 0 },
      metricPoints: { exported: 1, queueFull: 0, failed: 0 },
    }),
    compatibility: { version: '', controllerNamespace: '', controllerClass: '', controllerPod: '' },
    now: () => 0,
  });
  metrics.compiled(0);
  const { chunks } = await metrics.scrape('prometheus');
  return Buffer.concat(chunks).toString();
}

function readFamilies(text: string): readonly DocumentedFamily[] {
  const families = new Map<string, { name: string; help: string; type: string; labels: Set<string> }>();
  let family: { name: string; help: string; type: string; labels: Set<string> } | undefined;
  for (const line of text.split('\n')) {
    const [, word, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (word === 'HELP') {
      family = { name, help: rest, type: '', labels: new Set() };
      families.set(name, family);
    } else if (word === 'TYPE' && family) family.type = rest;
    else
      for (const [, label = ''] of line.matchAll(/[{,]([a-z_]+)="/g))
        if (label !== 'le') family?.labels.add(label);
  }
  return [...families.values()];
}

if (import.meta.main) await writeFile(METRICS_PAGE, await metricsPage());
