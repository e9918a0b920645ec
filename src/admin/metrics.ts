import { Gauge, Histogram } from 'prom-client';
import { CONTENT_TYPES, type Exposition, exposed } from './exposition.ts';
import { type Family, counter, gauge, labelsOf } from './families.ts';
import type {
  CollectorFigures,
  ControlFigures,
  DataPlaneFigures,
  EventTotals,
  RequestTotals,
  WatchFigures,
} from './figures.ts';
import { EventLoopDelays } from './event-loop-delays.ts';
import { handshakeFamilies } from './handshake-metrics.ts';
import { type Compatibility, ingressNginxFamilies } from './ingress-nginx-metrics.ts';
import { type HistogramForm, type OtlpMetrics, otlpMetrics } from './otlp-metrics.ts';
import { familiesOf, processRegistry } from './process-metrics.ts';
import { requestFamilies } from './request-families.ts';
import type { Scrape } from './scrapes.ts';
import { streamFamilies } from './stream-metrics.ts';
import { chunksInSlices, itemsInSlices } from './slices.ts';

export interface MetricsOptions {
  readonly version: string;
  readonly latencyBoundsSeconds: readonly number[];
  readonly dataPlane: () => Promise<DataPlaneFigures>;
  readonly watch: () => readonly WatchFigures[];
  readonly control: () => Promise<ControlFigures>;
  /** Whose names the figures also have; ours alone when absent. */
  readonly compatibility?: Compatibility | null;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export type { ControlFigures, DataPlaneFigures, EventTotals, RequestTotals, WatchFigures };

export interface Metrics {
  compiled(seconds: number): void;
  /** How things are now, in a format. Made in slices. */
  scrape(exposition: Exposition): Promise<Scrape>;
  /** The same for a collector of OpenTelemetry, part by part: the next one is made when it is asked for. */
  otlp(histograms: HistogramForm): AsyncIterable<OtlpMetrics>;
}

/** Everything is read when it is asked for; only the time of compiling is gathered on the way. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = processRegistry();
  const eventLoopDelays = new EventLoopDelays();
  const compile = new Histogram({
    name: 'portico_compile_duration_seconds',
    help: 'Time to compile a cluster change into a route table.',
    buckets: [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
    registers: [registry],
  });
  const info = new Gauge({
    name: 'portico_build_info',
    help: 'Always 1; the version is in the label.',
    labelNames: ['version'],
    registers: [registry],
  });
  info.set({ version: options.version }, 1);

  const tables = { count: 0, lastAt: 0 };
  const startedAt = options.now() - process.uptime() * 1_000;

  const families = async (): Promise<readonly Family[]> => {
    const [dataPlane, control] = await Promise.all([options.dataPlane(), options.control()]);
    const { spans, logRecords, metricPoints } = control;
    const allSpans = { ...spans, queueFull: spans.queueFull + dataPlane.droppedSpans };
    const { compatibility, latencyBoundsSeconds: bounds } = options;
    return [
      ...(await familiesOf(registry)),
      ...eventLoopDelays.families(),
      ...controlSamples(control, options.now()),
      ...watchSamples(options.watch(), options.now()),
      ...dataPlaneSamples(dataPlane, bounds),
      ...collectorFamilies('portico_trace_spans', 'Spans of requests', allSpans),
      ...collectorFamilies('portico_log_records', 'Log records of requests', logRecords),
      ...collectorFamilies('portico_metric_points', 'Data points of metrics', metricPoints),
      ...(compatibility ? ingressNginxFamilies(compatibility, dataPlane, control, tables, bounds) : []),
    ];
  };

  return {
    compiled(seconds) {
      compile.observe(seconds);
      tables.count++;
      tables.lastAt = options.now();
    },
    async scrape(exposition) {
      const chunks: Buffer[] = [];
      for await (const chunk of chunksInSlices(exposed(await families(), exposition))) chunks.push(chunk);
      const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      return { contentType: CONTENT_TYPES[exposition], chunks, bytes };
    },
    async *otlp(histograms) {
      const all = await families();
      yield* itemsInSlices(otlpMetrics(all, { histograms, startedAt, now: options.now() }));
    },
  };
}

/** What became of what is sent to a collector; `what` begins a sentence. */
function collectorFamilies(
  prefix: string,
  what: string,
  { exported, queueFull, failed }: CollectorFigures,
): Family[] {
  return [
    counter(`${prefix}_exported_total`, `${what} that the collector accepted.`, exported),
    {
      name: `${prefix}_dropped_total`,
      type: 'counter',
      help: `${what} that were dropped: the queue was full, or the collector could not be reached or refused them.`,
      samples: [
        { labels: labelsOf({ reason: 'queue-full' }), value: queueFull },
        { labels: labelsOf({ reason: 'collector' }), value: failed },
      ],
    },
  ];
}

const DAY_MS = 24 * 60 * 60 * 1000;

function controlSamples(control: ControlFigures, now: number): Family[] {
  return [
    gauge('portico_table_generation', 'Generation of the newest route table.', control.generation),
    gauge('portico_hosts', 'Hosts in the route table.', control.hosts),
    gauge('portico_routes', 'Routes in the route table.', control.routes),
    gauge('portico_backends', 'Service ports in the route table.', control.backends),
    gauge(
      'portico_backends_last_resort',
      'Service ports without a ready endpoint, served by endpoints that were ready before.',
      control.lastResort,
    ),
    {
      name: 'portico_problems',
      type: 'gauge',
      help: 'Problems with objects in the cluster, by severity.',
      samples: Object.entries(control.problems).map(([severity, value]) => ({
        labels: labelsOf({ severity }),
        value,
      })),
    },
    {
      name: 'portico_problems_by_reason',
      type: 'gauge',
      help: 'The same by severity and reason; docs/troubleshoot.md has what to do about each reason.',
      samples: Array.from(control.problemReasons, ([key, value]) => {
        const [severity = '', reason = ''] = key.split(' ', 2);
        return { labels: labelsOf({ severity, reason }), value };
      }),
    },
    {
      name: 'portico_certificate_expiry_days',
      type: 'gauge',
      help: 'Days until the certificate of a TLS host expires; negative after that. An empty host is the default certificate.',
      samples: control.certificates.map(({ host, secret, notAfter }) => {
        const [namespace = '', name = ''] = secret.split('/', 2);
        return { labels: labelsOf({ host, namespace, secret: name }), value: (notAfter - now) / DAY_MS };
      }),
    },
    counter(
      'portico_log_dropped_bytes_total',
      'Log bytes dropped because the reader was too slow.',
      control.logDroppedBytes,
    ),
  ];
}

function watchSamples(states: readonly WatchFigures[], now: number): Family[] {
  const perKind = (
    name: string,
    type: Family['type'],
    help: string,
    value: (state: WatchFigures) => number | null,
  ): Family => ({
    name,
    type,
    help,
    samples: states.flatMap((state) => {
      const figure = value(state);
      return figure === null ? [] : [{ labels: labelsOf({ kind: state.kind }), value: figure }];
    }),
  });
  return [
    perKind('portico_watch_synced', 'gauge', 'Whether the kind has been listed.', (s) => Number(s.synced)),
    perKind(
      'portico_watch_connected',
      'gauge',
      'Whether the watch of the kind works; if not, its objects may be stale.',
      (s) => Number(s.connected),
    ),
    perKind('portico_watch_objects', 'gauge', 'Objects known of the kind.', (s) => s.objects),
    perKind(
      'portico_watch_last_event_age_seconds',
      'gauge',
      'Seconds since the API server last sent something.',
      (s) => (s.lastEventAt === null ? null : Math.max(0, now - s.lastEventAt) / 1000),
    ),
    perKind('portico_watch_relists_total', 'counter', 'Repeated lists of the kind.', (s) => s.relists),
    perKind('portico_watch_errors_total', 'counter', 'Failed lists and watches.', (s) => s.errors),
  ];
}

function dataPlaneSamples(figures: DataPlaneFigures, bounds: readonly number[]): Family[] {
  const { gauges } = figures;
  return [
    ...requestFamilies(figures, bounds),
    gauge('portico_requests_in_flight', 'Requests whose response is not complete.', gauges.inFlight),
    gauge('portico_client_connections', 'Open connections from clients.', gauges.clientConnections),
    gauge(
      'portico_upstream_connections',
      'Open connections to Pods, including idle ones.',
      gauges.upstreamConnections,
    ),
    gauge('portico_tunnels', 'Open WebSockets and other upgraded connections.', gauges.tunnels),
    gauge(
      'portico_held_bytes',
      'Bytes held in memory: heads of requests in flight, and data that clients or Pods have not read yet.',
      gauges.heldBytes,
    ),
    counter(
      'portico_client_connections_evicted_total',
      'Idle client connections closed to make room for new ones.',
      gauges.evicted,
    ),
    counter(
      'portico_client_connections_refused_total',
      'Client connections closed at once because the limit was reached and no connection was idle.',
      gauges.refused,
    ),
    counter(
      'portico_client_connections_shed_total',
      'Client connections closed because a thread reached its memory limit and they held the most.',
      gauges.shed,
    ),
    counter(
      'portico_descriptor_failures_total',
      'Connections that failed because no file descriptor was left.',
      gauges.descriptorFailures,
    ),
    ...handshakeFamilies(figures.handshakes),
    ...streamFamilies(figures.streams),
    gauge('portico_data_plane_threads', 'Data-plane threads.', figures.threads),
    counter('portico_data_plane_thread_deaths_total', 'Threads that died and were replaced.', figures.deaths),
    counter(
      'portico_mirror_requests_dropped_total',
      'Copies of requests for a mirror-target that were left out or broken off because it is behind.',
      figures.droppedMirrors,
    ),
    counter(
      'portico_internal_faults_total',
      'Faults in Portico that ended one request or connection; the log has the stack of each once a minute.',
      figures.faults,
    ),
    counter(
      'portico_rate_limit_store_misses_total',
      'Requests for which --rate-limit-store could not be asked in time, so that the limit of the replica alone held.',
      figures.limitStoreMisses,
    ),
    {
      name: 'portico_data_plane_memory_bytes',
      type: 'gauge',
      help: 'JavaScript heap and external buffers of each data-plane thread.',
      samples: figures.memoryBytes.map((value, thread) => ({
        labels: labelsOf({ thread: `${thread}` }),
        value,
      })),
    },
    gauge(
      'portico_table_adopted_generation',
      'Generation of the route table that every thread uses.',
      figures.adoptedGeneration,
    ),
  ];
}
