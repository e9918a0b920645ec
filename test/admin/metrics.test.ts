import { setTimeout as pause } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type Exposition, negotiateExposition } from '../../src/admin/exposition.ts';
import type { Compatibility } from '../../src/admin/ingress-nginx-metrics.ts';
import { type ReadMetric, otlpFaults, readMetrics } from '../support/otlp.ts';
import { nativeBuckets, readFamilies, type ReadFamily } from '../support/protobuf.ts';
import {
  type ControlFigures,
  type DataPlaneFigures,
  type EventTotals,
  type Metrics,
  type RequestTotals,
  type WatchFigures,
  createMetrics,
} from '../../src/admin/metrics.ts';

const BOUNDS = [0.1, 1];
const COUNTERS: RequestTotals = {
  source: 'shop/web',
  statusClasses: [0, 5, 0, 1, 0],
  canaryStatusClasses: [0, 2, 0, 0, 0],
  canaryLatencySumSeconds: 1.5,
  latency: {
    buckets: [3, 2, 1],
    sumSeconds: 4.5,
    native: {
      schema: 3,
      zeroThreshold: 2 ** -14,
      zeroCount: 1,
      numbers: [-27, -26, -4, 9],
      counts: [2, 1, 1, 1],
    },
  },
  upstream: {
    buckets: [4, 1, 0],
    sumSeconds: 2.5,
    native: { schema: 3, zeroThreshold: 2 ** -14, zeroCount: 0, numbers: [], counts: [] },
  },
  requestBytes: 10,
  responseBytes: 2_000,
  retries: 2,
  connectFailures: { EHOSTUNREACH: 2 },
  droppedFields: 1,
};

interface Figures {
  readonly counters?: readonly RequestTotals[];
  readonly events?: readonly EventTotals[];
  readonly dataPlane?: Partial<DataPlaneFigures>;
  readonly control?: Partial<ControlFigures>;
  readonly watch?: readonly WatchFigures[];
  readonly now?: number;
}

function metricsOf(figures: () => Figures, compatibility: Compatibility | null = null) {
  return createMetrics({
    compatibility,
    version: '1.2.3',
    latencyBoundsSeconds: BOUNDS,
    dataPlane: async () => ({
      counters: figures().counters ?? [COUNTERS],
      events: figures().events ?? [],
      since: () => undefined,
      handshakes: { done: { 'TLSv1.3 true': 3, 'TLSv1.2 false': 1 }, failed: { timeout: 2 } },
      gauges: {
        clientConnections: 7,
        upstreamConnections: 3,
        inFlight: 2,
        tunnels: 1,
        heldBytes: 0,
        evicted: 0,
        refused: 0,
        shed: 0,
        descriptorFailures: 0,
      },
      threads: 2,
      deaths: 1,
      faults: 2,
      droppedMirrors: 3,
      droppedSpans: 3,
      limitStoreMisses: 4,
      streams: [],
      memoryBytes: [30_000_000, 31_000_000],
      adoptedGeneration: 8,
      ...figures().dataPlane,
    }),
    watch: () => figures().watch ?? [],
    control: async () => ({
      generation: 9,
      hosts: 4,
      routes: 5,
      backends: 6,
      lastResort: 1,
      problems: { error: 1, warning: 2, info: 0 },
      problemReasons: new Map([
        ['error ServiceNotFound', 1],
        ['warning PathConflict', 2],
      ]),
      certificates: [
        { host: 'a.test', secret: 'shop/tls', notAfter: 216_000_000 },
        { host: '', secret: 'ops/default', notAfter: -86_400_000 },
      ],
      logDroppedBytes: 11,
      spans: { exported: 1, queueFull: 0, failed: 0 },
      logRecords: { exported: 1, queueFull: 0, failed: 0 },
      metricPoints: { exported: 1, queueFull: 0, failed: 0 },
      ...figures().control,
    }),
    now: () => figures().now ?? 0,
  });
}

async function textOf(metrics: Metrics, exposition: Exposition = 'prometheus'): Promise<string> {
  const { chunks, bytes } = await metrics.scrape(exposition);
  const text = Buffer.concat(chunks);
  expect(text.length).toBe(bytes);
  return text.toString();
}

/** The samples of our own families, in order. */
async function samples(figures: Figures = {}): Promise<string[]> {
  const text = await textOf(metricsOf(() => figures));
  return text.split('\n').filter((line) => line.startsWith('portico_'));
}

it('requests by Ingress and status class, without classes that were never answered', async () => {
  const all = await samples();
  expect(all.filter((line) => line.startsWith('portico_requests_total'))).toEqual([
    'portico_requests_total{namespace="shop",ingress="web",status="2xx"} 5',
    'portico_requests_total{namespace="shop",ingress="web",status="4xx"} 1',
  ]);
});

it('a cumulative latency histogram', async () => {
  const all = await samples();
  const labels = 'namespace="shop",ingress="web"';
  expect(all.filter((line) => line.startsWith('portico_request_duration'))).toEqual([
    `portico_request_duration_seconds_bucket{${labels},le="0.1"} 3`,
    `portico_request_duration_seconds_bucket{${labels},le="1"} 5`,
    `portico_request_duration_seconds_bucket{${labels},le="+Inf"} 6`,
    `portico_request_duration_seconds_sum{${labels}} 4.5`,
    `portico_request_duration_seconds_count{${labels}} 6`,
  ]);
});

it('the table, the threads, the connections and the log', async () => {
  expect(await samples()).toEqual(
    expect.arrayContaining([
      'portico_build_info{version="1.2.3"} 1',
      'portico_table_generation 9',
      'portico_table_adopted_generation 8',
      'portico_hosts 4',
      'portico_routes 5',
      'portico_backends 6',
      'portico_problems{severity="error"} 1',
      'portico_problems{severity="warning"} 2',
      'portico_problems{severity="info"} 0',
      'portico_problems_by_reason{severity="warning",reason="PathConflict"} 2',
      'portico_certificate_expiry_days{host="a.test",namespace="shop",secret="tls"} 2.5',
      'portico_certificate_expiry_days{host="",namespace="ops",secret="default"} -1',
      'portico_log_dropped_bytes_total 11',
      'portico_requests_in_flight 2',
      'portico_client_connections 7',
      'portico_upstream_connections 3',
      'portico_tunnels 1',
      'portico_data_plane_threads 2',
      'portico_data_plane_thread_deaths_total 1',
      'portico_internal_faults_total 2',
      'portico_rate_limit_store_misses_total 4',
      'portico_data_plane_memory_bytes{thread="0"} 30000000',
      'portico_data_plane_memory_bytes{thread="1"} 31000000',
      'portico_retries_total{namespace="shop",ingress="web"} 2',
      'portico_request_bytes_total{namespace="shop",ingress="web"} 10',
      'portico_response_bytes_total{namespace="shop",ingress="web"} 2000',
    ]),
  );
});

it('how each watch is doing; an age only once something was heard', async () => {
  const state = { synced: true, connected: true, objects: 3, relists: 2, errors: 1 };
  const watch = [
    { ...state, kind: 'Ingress', lastEventAt: 4_000 },
    { ...state, kind: 'Secret', lastEventAt: null, synced: false, connected: false },
    { ...state, kind: 'Service', lastEventAt: 99_000 },
  ];
  const all = await samples({ watch, now: 10_500 });
  expect(all.filter((line) => line.startsWith('portico_watch'))).toEqual([
    'portico_watch_synced{kind="Ingress"} 1',
    'portico_watch_synced{kind="Secret"} 0',
    'portico_watch_synced{kind="Service"} 1',
    'portico_watch_connected{kind="Ingress"} 1',
    'portico_watch_connected{kind="Secret"} 0',
    'portico_watch_connected{kind="Service"} 1',
    ...['Ingress', 'Secret', 'Service'].map((kind) => `portico_watch_objects{kind="${kind}"} 3`),
    'portico_watch_last_event_age_seconds{kind="Ingress"} 6.5',
    // A clock that was set back is no reason for a negative age.
    'portico_watch_last_event_age_seconds{kind="Service"} 0',
    ...['Ingress', 'Secret', 'Service'].map((kind) => `portico_watch_relists_total{kind="${kind}"} 2`),
    ...['Ingress', 'Secret', 'Service'].map((kind) => `portico_watch_errors_total{kind="${kind}"} 1`),
  ]);
});

it('every scrape tells how things are then, and times of compiling gather', async () => {
  let requests = 1;
  const metrics = metricsOf(() => ({ counters: [{ ...COUNTERS, statusClasses: [0, requests, 0, 0, 0] }] }));
  const read = async (sample: string): Promise<string | undefined> => {
    const text = await textOf(metrics);
    return text.split('\n').find((line) => line.startsWith(sample));
  };
  expect(await read('portico_requests_total')).toMatch(/ 1$/);
  requests = 2;
  metrics.compiled(0.002);
  metrics.compiled(0.2);
  expect(await read('portico_requests_total')).toMatch(/ 2$/);
  expect(await read('portico_compile_duration_seconds_count')).toMatch(/ 2$/);
  expect(await read('portico_compile_duration_seconds_bucket{le="0.005"}')).toMatch(/ 1$/);
});

it('requests that no Ingress took have empty labels; hostile names cannot break a line', async () => {
  const counters = ['', 'shop/a"b\\c\nd'].map((source) => ({ ...COUNTERS, source }));
  const all = (await samples({ counters })).filter((line) => line.startsWith('portico_retries'));
  expect(all).toEqual([
    'portico_retries_total{namespace="",ingress=""} 2',
    'portico_retries_total{namespace="shop",ingress="a\\"b\\\\c\\nd"} 2',
  ]);
});

it('the text is of the version of the format that it is written in', async () => {
  const metrics = metricsOf(() => ({}));
  expect((await metrics.scrape('prometheus')).contentType).toMatch(/^text\/plain; version=0\.0\.4/);
  expect((await metrics.scrape('openmetrics')).contentType).toMatch(
    /^application\/openmetrics-text; version=1\.0\.0/,
  );
});

it('the text of ten thousand Ingresses is made in slices: the event loop has many turns meanwhile', async () => {
  const counters = Array.from({ length: 10_000 }, (_, index) => ({
    ...COUNTERS,
    source: `shop/web-${index}`,
  }));
  let turns = 0;
  let done = false;
  const turn = (): void => {
    turns++;
    if (!done) setImmediate(turn);
  };
  setImmediate(turn);
  const text = await textOf(metricsOf(() => ({ counters })));
  done = true;
  expect(turns).toBeGreaterThan(5);
  expect(text.match(/^portico_requests_total\{/gm)).toHaveLength(20_000);
});

it('has the figures under the names of ingress-nginx, canaries apart', async () => {
  const compatibility = {
    ...{ version: '1.2.3', controllerNamespace: 'edge' },
    ...{ controllerClass: 'k8s.io/ingress-nginx', controllerPod: 'portico-1' },
  };
  const certificates = [{ host: 'shop.test', secret: 'shop/tls', notAfter: 1_800_000_000_000 }];
  const text = await textOf(metricsOf(() => ({ control: { certificates } }), compatibility));
  const own =
    'controller_namespace="edge",controller_class="k8s.io/ingress-nginx",controller_pod="portico-1"';
  const web = `${own},namespace="shop",ingress="web"`;
  const lines = text
    .split('\n')
    .filter((line) => line.startsWith('nginx_') && !/memory|cpu/.test(line))
    .map((line) => line.slice('nginx_ingress_controller_'.length));
  expect(lines.filter((line) => !/_bucket|^bytes_sent|^response_size/.test(line))).toEqual([
    `requests{${web},canary="",status="2xx"} 3`,
    `requests{${web},canary="",status="4xx"} 1`,
    `requests{${web},canary="canary",status="2xx"} 2`,
    `request_duration_seconds_sum{${web},canary=""} 4.5`,
    `request_duration_seconds_count{${web},canary=""} 6`,
    `response_duration_seconds_sum{${web},canary=""} 3`,
    `response_duration_seconds_count{${web},canary=""} 4`,
    `response_duration_seconds_sum{${web},canary="canary"} 1.5`,
    `response_duration_seconds_count{${web},canary="canary"} 2`,
    `request_size_sum{${web},canary=""} 10`,
    `request_size_count{${web},canary=""} 6`,
    `nginx_process_connections{${own},state="active"} 7`,
    `nginx_process_connections{${own},state="reading"} 0`,
    `nginx_process_connections{${own},state="writing"} 2`,
    `nginx_process_connections{${own},state="waiting"} 5`,
    `config_hash{${own}} 9`,
    `config_last_reload_successful{${own}} 1`,
    `config_last_reload_successful_timestamp_seconds{${own}} 0`,
    `success{${own}} 0`,
    `errors{${own}} 0`,
    `build_info{${own},release="1.2.3",repository="portico"} 1`,
    `ssl_expire_time_seconds{${own},namespace="shop",class="k8s.io/ingress-nginx",host="shop.test",secret_name="tls"} 1800000000`,
  ]);
  expect((await textOf(metricsOf(() => ({})))).includes('nginx_')).toBe(false);
});

/** What the dashboards of ingress-nginx ask for, by metric. Prometheus adds the labels of the target. */
const ASKED_BY_DASHBOARDS: Readonly<Record<string, readonly string[]>> = {
  requests: ['controller_pod', 'controller_class', 'controller_namespace', 'namespace', 'ingress', 'status'],
  request_duration_seconds_bucket: ['controller_pod', 'controller_class', 'namespace', 'ingress', 'le'],
  request_duration_seconds_count: ['ingress'],
  response_duration_seconds_bucket: ['ingress', 'le'],
  response_duration_seconds_sum: ['ingress'],
  request_size_sum: ['controller_pod', 'controller_class', 'controller_namespace', 'namespace', 'ingress'],
  response_size_sum: ['controller_pod', 'controller_class', 'controller_namespace', 'namespace', 'ingress'],
  response_size_count: ['ingress'],
  nginx_process_connections: ['controller_pod', 'controller_class', 'controller_namespace', 'state'],
  nginx_process_resident_memory_bytes: ['controller_pod', 'controller_class', 'controller_namespace'],
  nginx_process_cpu_seconds_total: ['controller_pod', 'controller_class', 'controller_namespace'],
  config_hash: ['controller_namespace', 'controller_class', 'controller_pod'],
  config_last_reload_successful: ['controller_pod', 'controller_namespace'],
  config_last_reload_successful_timestamp_seconds: ['controller_class'],
  success: ['controller_pod', 'controller_class', 'controller_namespace'],
  ssl_expire_time_seconds: ['host', 'namespace'],
};

it('has what the dashboards of ingress-nginx ask for', async () => {
  const compatibility = {
    ...{ version: '', controllerNamespace: 'edge', controllerClass: 'c', controllerPod: 'p' },
  };
  const certificates = [{ host: 'shop.test', secret: 'shop/tls', notAfter: 0 }];
  const counters = [{ ...COUNTERS, canaryStatusClasses: [0, 0, 0, 0, 0], canaryLatencySumSeconds: 0 }];
  const text = await textOf(metricsOf(() => ({ counters, control: { certificates } }), compatibility));
  for (const [metric, labels] of Object.entries(ASKED_BY_DASHBOARDS)) {
    const [, found = ''] = new RegExp(`^nginx_ingress_controller_${metric}\\{(.*)\\} `, 'm').exec(text) ?? [];
    const names = [...found.matchAll(/(\w+)="/g)].map(([, name]) => name);
    expect(names, metric).toEqual(expect.arrayContaining([...labels]));
  }
  // Quantiles need more than the bucket of everything.
  for (const name of ['request', 'response'])
    expect(text).toMatch(
      new RegExp(`^nginx_ingress_controller_${name}_duration_seconds_bucket\\{.*le="\\d`, 'm'),
    );
});

it('routes of Gateway API have labels of their own, and no series under the names of ingress-nginx', async () => {
  const counters = ['shop/web', 'shop/web HTTPRoute'].map((source) => ({ ...COUNTERS, source }));
  const all = (await samples({ counters })).filter((line) => line.startsWith('portico_retries'));
  expect(all).toEqual([
    'portico_retries_total{namespace="shop",ingress="web"} 2',
    'portico_retries_total{namespace="shop",kind="HTTPRoute",route="web"} 2',
  ]);
  const compatibility = {
    ...{ version: '', controllerNamespace: '', controllerClass: '', controllerPod: '' },
  };
  const theirs = await textOf(metricsOf(() => ({ counters }), compatibility));
  expect(theirs.match(/^nginx_ingress_controller_requests\{/gm)).toHaveLength(3);
});

it('what happens to few: own responses, verdicts of authentication, handshakes', async () => {
  const source = 'shop/web';
  const all = await samples({
    events: [
      { kind: 'local-response', source, reason: 'rate-limited', count: 7 },
      { kind: 'auth', source, outcome: 'external-auth allowed cached', count: 5 },
      { kind: 'local-response', source: '', reason: 'no-route', count: 2 },
    ],
  });
  expect(all.filter((line) => /^portico_(local|auth|tls)/.test(line))).toEqual([
    'portico_local_responses_total{namespace="shop",ingress="web",class="limit",reason="rate-limited"} 7',
    'portico_local_responses_total{namespace="",ingress="",class="client",reason="no-route"} 2',
    'portico_auth_requests_total{namespace="shop",ingress="web",policy="external-auth",verdict="allowed",cached="true"} 5',
    'portico_tls_handshakes_total{version="TLSv1.3",resumed="true"} 3',
    'portico_tls_handshakes_total{version="TLSv1.2",resumed="false"} 1',
    'portico_tls_handshake_failures_total{reason="timeout"} 2',
  ]);
});

it('OpenMetrics names counters without _total, writes bounds as floats, and ends with # EOF', async () => {
  const compatibility = {
    ...{ version: '', controllerNamespace: '', controllerClass: '', controllerPod: '' },
  };
  const text = await textOf(
    metricsOf(() => ({}), compatibility),
    'openmetrics',
  );
  const lines = text.split('\n');
  expect(lines).toEqual(
    expect.arrayContaining([
      '# TYPE portico_requests counter',
      '# HELP portico_requests Requests, by status class.',
      'portico_requests_total{namespace="shop",ingress="web",status="2xx"} 5',
      'portico_request_duration_seconds_bucket{namespace="shop",ingress="web",le="1.0"} 5',
      'portico_request_duration_seconds_bucket{namespace="shop",ingress="web",le="+Inf"} 6',
      '# TYPE nginx_ingress_controller_requests unknown',
      '# TYPE process_cpu_seconds counter',
    ]),
  );
  expect(text).toMatch(/^process_open_fds \d+$/m);
  expect(text.endsWith('\n# EOF\n')).toBe(true);
  expect(lines.slice(0, -1).every((line) => line !== '')).toBe(true);
});

it('says how long a turn of the event loop took, however short, and leaves an event loop that rests alone', async () => {
  const metrics = metricsOf(() => ({}));
  const end = performance.now() + 20;
  while (performance.now() < end);
  const text = await textOf(metrics);
  const [, max = ''] = /^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(text) ?? [];
  expect(Number(max)).toBeGreaterThanOrEqual(0.02);
  expect(text.match(/^# TYPE nodejs_eventloop_lag_\w*seconds gauge$/gm)).toHaveLength(8);
  const { loopCount } = performance.nodeTiming.uvMetricsInfo;
  await pause(20);
  expect(performance.nodeTiming.uvMetricsInfo.loopCount - loopCount).toBeLessThan(1_000);
});

/** What text says of families in protobuf. */
function* textLines({ name, metric = [] }: ReadFamily): Generator<string> {
  for (const { label = [], counter, gauge, histogram } of metric) {
    const pairs = label.map((pair) => `${pair.name}="${pair.value}"`);
    const line = (suffix: string, value: number, ...more: readonly string[]): string => {
      const all = [...pairs, ...more];
      return `${name}${suffix}${all.length === 0 ? '' : `{${all.join(',')}}`} ${value}`;
    };
    if (!histogram) {
      yield line('', (counter ?? gauge)?.value ?? Number.NaN);
      continue;
    }
    for (const { cumulativeCount, upperBound } of histogram.bucket)
      yield line('_bucket', cumulativeCount, `le="${upperBound === Infinity ? '+Inf' : upperBound}"`);
    yield line('_sum', histogram.sampleSum);
    yield line('_count', histogram.sampleCount);
  }
}

it('protobuf has all that text has, and native histograms', async () => {
  const compatibility = {
    ...{ version: '1', controllerNamespace: 'é', controllerClass: '', controllerPod: '' },
  };
  const counters = [COUNTERS, { ...COUNTERS, source: 'shop/large', responseBytes: 2 ** 53 - 1 }];
  const metrics = metricsOf(() => ({ counters }), compatibility);
  metrics.compiled(0.002);
  const isOurs = (line: string): boolean => /^(?:portico|nginx)_(?!.*(?:memory|cpu))/.test(line);
  const text = (await textOf(metrics)).split('\n').filter(isOurs);
  const { chunks, contentType } = await metrics.scrape('protobuf');
  expect(contentType).toBe(
    'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited',
  );
  const families = readFamilies(Buffer.concat(chunks));
  expect(families.flatMap((family) => [...textLines(family)]).filter(isOurs)).toEqual(text);
  const histogramsOf = (name: string) =>
    families.find((family) => family.name === name)?.metric?.map(({ histogram }) => histogram!) ?? [];
  const [latency] = histogramsOf('portico_request_duration_seconds');
  expect(latency).toMatchObject({ schema: 3, zeroThreshold: 2 ** -14, zeroCount: 1 });
  expect([...nativeBuckets(latency!)]).toEqual([
    [-27, 2],
    [-26, 1],
    [-4, 1],
    [9, 1],
  ]);
  const [upstream] = histogramsOf('portico_upstream_duration_seconds');
  expect([upstream?.schema, upstream?.positiveSpan, nativeBuckets(upstream!).size]).toEqual([
    3,
    undefined,
    0,
  ]);
  expect(histogramsOf('portico_compile_duration_seconds')[0]?.schema).toBeUndefined();
});

/** What text says of metrics of OTLP. */
function* textOfMetric({ name, points }: ReadMetric): Generator<string> {
  for (const { labels, value, count = 0, sum, buckets = [], bounds = [] } of points) {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${text}"`);
    const braced = pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
    if (value !== undefined) {
      yield `${name}${braced} ${value}`;
      continue;
    }
    let below = 0;
    for (const [index, each] of buckets.entries())
      yield `${name}_bucket{${[...pairs, `le="${bounds[index] ?? '+Inf'}"`].join(',')}} ${(below += each)}`;
    yield `${name}_sum${braced} ${sum}`;
    yield `${name}_count${braced} ${count}`;
  }
}

/** The parts of an export as requests to a collector have them. */
async function exportOf(metrics: Metrics, histograms: 'explicit' | 'exponential'): Promise<string[]> {
  const bodies: string[] = [];
  for await (const { json, count } of metrics.otlp(histograms)) {
    const body = `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[${json}]}]}]}`;
    expect(otlpFaults(JSON.parse(body)).slice(0, 3)).toEqual([]);
    expect(readMetrics(body).reduce((sum, { points }) => sum + points.length, 0)).toBe(count);
    bodies.push(body);
  }
  return bodies;
}

it('a collector gets all that text has: sums and histograms since they are counted, and gauges', async () => {
  const sources = ['shop/web', 'shop/later', 'shop/web HTTPRoute'];
  const counters = sources.map((source) => ({ ...COUNTERS, source }));
  const events = [
    { kind: 'auth', source: 'shop/later', outcome: 'external-auth allowed asked', count: 1 },
  ] as const;
  const since = (source: string): number | undefined => (source === 'shop/later' ? 5_000 : undefined);
  const now = 10_000_000_000;
  const metrics = metricsOf(() => ({ counters, events, dataPlane: { since }, now }));
  metrics.compiled(0.002);
  const isOurs = (line: string): boolean => line.startsWith('portico_');
  const text = (await textOf(metrics)).split('\n').filter(isOurs);
  const all = (await exportOf(metrics, 'explicit')).flatMap(readMetrics);
  expect(all.flatMap((metric) => [...textOfMetric(metric)]).filter(isOurs)).toEqual(text);
  for (const { name, kind, points } of all) {
    if (kind === 'gauge') expect(points[0]?.startMs).toBeNull();
    else
      for (const { labels, startMs } of points) {
        if (labels['ingress'] === 'later') expect(startMs, name).toBe(5_000);
        else expect(startMs, name).toBeGreaterThan(now - 1_000_000_000);
      }
  }
  const exponential = (await exportOf(metrics, 'exponential')).flatMap(readMetrics);
  const [latency] = exponential.find(({ name }) => name === 'portico_request_duration_seconds')?.points ?? [];
  // Their numbers are by one lower than those of Prometheus.
  expect([latency?.scale, latency?.positive?.offset]).toEqual([3, -28]);
  expect(
    latency?.positive?.bucketCounts.flatMap((count, index) => (count === '0' ? [] : [index - 28])),
  ).toEqual([-28, -27, -5, 8]);
});

it('thousands of Ingresses are several requests to a collector, each with no metric twice', async () => {
  const counters = Array.from({ length: 2_500 }, (_, index) => ({
    ...COUNTERS,
    source: `shop/web-${index}`,
  }));
  const bodies = await exportOf(
    metricsOf(() => ({ counters, now: 10_000_000_000 })),
    'explicit',
  );
  const seen = new Set<string>();
  for (const body of bodies) {
    const metrics = readMetrics(body);
    const points = metrics.flatMap(({ points: some }) => some);
    expect(points.length).toBeLessThanOrEqual(1_000);
    expect(new Set(metrics.map(({ name }) => name)).size).toBe(metrics.length);
    const durations = metrics.filter(({ name }) => name === 'portico_request_duration_seconds');
    for (const { labels } of durations.flatMap((metric) => metric.points)) seen.add(`${labels['ingress']}`);
  }
  expect(seen.size).toBe(2_500);
});

it.each([
  ['prometheus', undefined],
  ['prometheus', '*/*'],
  ['prometheus', 'text/plain;version=0.0.4'],
  ['prometheus', 'application/openmetrics-text;version=0.0.1'],
  ['prometheus', 'application/openmetrics-text;q=0.2,text/plain;q=0.3'],
  ['prometheus', 'application/openmetrics-text;q=x'],
  ['prometheus', 'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text'],
  ['prometheus', 'application/vnd.google.protobuf;proto=other.Family;encoding=delimited'],
  [
    'prometheus',
    'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.3,text/plain;q=0.4',
  ],
  [
    'protobuf',
    'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1',
  ],
  ['openmetrics', 'application/openmetrics-text'],
  [
    'openmetrics',
    'application/openmetrics-text;version="1.0.0";escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
  ],
] as const)('the format is %s for Accept: %s', (exposition, accept) => {
  expect(negotiateExposition(accept)).toBe(exposition);
});
