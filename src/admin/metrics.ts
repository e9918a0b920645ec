import { Gauge, Histogram, type Metric, Registry, collectDefaultMetrics } from 'prom-client';

/** The requests of one Ingress, as the data plane counts them. */
export interface RequestCounters {
  /** `namespace/name`; empty for requests that no Ingress took. */
  readonly ingress: string;
  readonly statusClasses: readonly number[];
  readonly latencyBuckets: readonly number[];
  readonly latencySumSeconds: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly retries: number;
  /** By the reason. */
  readonly connectFailures: Readonly<Record<string, number>>;
  readonly droppedFields: number;
}

export interface DataPlaneFigures {
  readonly counters: readonly RequestCounters[];
  readonly gauges: {
    readonly clientConnections: number;
    readonly upstreamConnections: number;
    readonly inFlight: number;
    readonly tunnels: number;
  };
  readonly threads: number;
  readonly deaths: number;
  /** Of each thread. */
  readonly memoryBytes: readonly number[];
  readonly adoptedGeneration: number;
}

export interface WatchFigures {
  readonly kind: string;
  readonly synced: boolean;
  readonly connected: boolean;
  readonly objects: number;
  readonly lastEventAt: number | null;
  readonly relists: number;
  readonly errors: number;
}

export interface ControlFigures {
  readonly generation: number;
  readonly hosts: number;
  readonly routes: number;
  readonly backends: number;
  readonly lastResort: number;
  readonly problems: { readonly error: number; readonly warning: number; readonly info: number };
  readonly logDroppedBytes: number;
  /** Of each TLS host with a certificate of its own; the empty host stands for the default certificate. */
  readonly certificates: readonly {
    readonly host: string;
    /** `namespace/name` */
    readonly secret: string;
    /** Milliseconds since the epoch. */
    readonly notAfter: number;
  }[];
}

export interface MetricsOptions {
  readonly version: string;
  readonly latencyBoundsSeconds: readonly number[];
  readonly dataPlane: () => Promise<DataPlaneFigures>;
  readonly watch: () => readonly WatchFigures[];
  readonly control: () => ControlFigures;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface Metrics {
  compiled(seconds: number): void;
  text(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** Everything is read when it is asked for; only the time of compiling is gathered on the way. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const compile = new Histogram({
    name: 'portico_compile_duration_seconds',
    help: 'Time to compile a change of the cluster into a route table.',
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

  return {
    compiled: (seconds) => compile.observe(seconds),
    async text() {
      const dataPlane = await options.dataPlane();
      const families = [
        ...controlSamples(options.control(), options.now()),
        ...watchSamples(options.watch(), options.now()),
        ...dataPlaneSamples(dataPlane, options.latencyBoundsSeconds),
      ];
      const scrape = new Registry();
      for (const family of families) scrape.registerMetric(asMetric(family));
      const body = await Registry.merge([registry, scrape]).metrics();
      return { contentType: registry.contentType, body };
    },
  };
}

/** A family that is already counted, as the library's registry takes and renders one. */
function asMetric({ name, help, type, samples }: Family): Metric {
  const values = samples.map(({ suffix = '', labels, value }) => ({
    metricName: name + suffix,
    labels,
    value,
  }));
  const metric = {
    name,
    help,
    type,
    aggregator: 'sum',
    get: async () => ({ name, help, type, aggregator: 'sum', values }),
  };
  // The registry calls nothing but `get`; its type asks for one of its own classes, which count by themselves.
  return metric as unknown as Metric;
}

interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly samples: readonly Sample[];
}
interface Sample {
  readonly suffix?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
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
      help: 'Things in the cluster that somebody should mend.',
      samples: Object.entries(control.problems).map(([severity, value]) => ({ labels: { severity }, value })),
    },
    {
      name: 'portico_certificate_expiry_days',
      type: 'gauge',
      help: 'Days until the certificate of a TLS host expires, negative afterwards; without host, the default one.',
      samples: control.certificates.map(({ host, secret, notAfter }) => {
        const [namespace = '', name = ''] = secret.split('/', 2);
        return { labels: { host, namespace, secret: name }, value: (notAfter - now) / DAY_MS };
      }),
    },
    counter(
      'portico_log_dropped_bytes_total',
      'Log bytes that nobody read in time.',
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
      return figure === null ? [] : [{ labels: { kind: state.kind }, value: figure }];
    }),
  });
  return [
    perKind('portico_watch_synced', 'gauge', 'Whether the kind has been listed.', (s) => Number(s.synced)),
    perKind(
      'portico_watch_connected',
      'gauge',
      'Whether the API server answers for the kind; otherwise what is known of it may be stale.',
      (s) => Number(s.connected),
    ),
    perKind('portico_watch_objects', 'gauge', 'Objects known of the kind.', (s) => s.objects),
    perKind(
      'portico_watch_last_event_age_seconds',
      'gauge',
      'Since the API server was last heard of.',
      (s) => (s.lastEventAt === null ? null : Math.max(0, now - s.lastEventAt) / 1000),
    ),
    perKind('portico_watch_relists_total', 'counter', 'Times the kind was listed anew.', (s) => s.relists),
    perKind('portico_watch_errors_total', 'counter', 'Failed lists and watches.', (s) => s.errors),
  ];
}

function dataPlaneSamples(figures: DataPlaneFigures, bounds: readonly number[]): Family[] {
  const { counters, gauges } = figures;
  const perIngress = (value: (counters: RequestCounters) => number): Sample[] =>
    counters.map((each) => ({ labels: ingressLabels(each.ingress), value: value(each) }));
  return [
    {
      name: 'portico_requests_total',
      type: 'counter',
      help: 'Requests, by Ingress and status class.',
      samples: counters.flatMap((each) =>
        each.statusClasses.flatMap((value, index) =>
          value === 0
            ? []
            : [{ labels: { ...ingressLabels(each.ingress), status: `${index + 1}xx` }, value }],
        ),
      ),
    },
    {
      name: 'portico_request_duration_seconds',
      type: 'histogram',
      help: 'From the first byte of a request to the last of its response.',
      samples: counters.flatMap((each) => histogram(each, bounds)),
    },
    {
      name: 'portico_request_bytes_total',
      type: 'counter',
      help: 'Bytes of request bodies.',
      samples: perIngress((each) => each.requestBytes),
    },
    {
      name: 'portico_response_bytes_total',
      type: 'counter',
      help: 'Bytes of response bodies.',
      samples: perIngress((each) => each.responseBytes),
    },
    {
      name: 'portico_retries_total',
      type: 'counter',
      help: 'Attempts beyond the first.',
      samples: perIngress((each) => each.retries),
    },
    {
      name: 'portico_connect_failures_total',
      type: 'counter',
      help: 'Attempts that could not connect to a Pod, by Ingress and reason.',
      samples: counters.flatMap((each) =>
        Object.entries(each.connectFailures).map(([reason, value]) => ({
          labels: { ...ingressLabels(each.ingress), reason },
          value,
        })),
      ),
    },
    {
      name: 'portico_dropped_request_fields_total',
      type: 'counter',
      help: 'Request fields that were not passed on because their names have underscores.',
      samples: perIngress((each) => each.droppedFields),
    },
    gauge('portico_requests_in_flight', 'Requests without their whole response yet.', gauges.inFlight),
    gauge('portico_client_connections', 'Open connections from clients.', gauges.clientConnections),
    gauge(
      'portico_upstream_connections',
      'Open connections to Pods, idle ones included.',
      gauges.upstreamConnections,
    ),
    gauge('portico_tunnels', 'Open WebSockets and other upgraded connections.', gauges.tunnels),
    gauge('portico_data_plane_threads', 'Threads that serve.', figures.threads),
    counter('portico_data_plane_thread_deaths_total', 'Threads that died and were replaced.', figures.deaths),
    {
      name: 'portico_data_plane_memory_bytes',
      type: 'gauge',
      help: 'The JavaScript heap of each thread that serves, and the buffers beside it.',
      samples: figures.memoryBytes.map((value, thread) => ({ labels: { thread: `${thread}` }, value })),
    },
    gauge(
      'portico_table_adopted_generation',
      'Generation that every thread serves by.',
      figures.adoptedGeneration,
    ),
  ];
}

function histogram(counters: RequestCounters, bounds: readonly number[]): Sample[] {
  const labels = ingressLabels(counters.ingress);
  let count = 0;
  const buckets = counters.latencyBuckets.map((inBucket, index) => {
    count += inBucket;
    return { suffix: '_bucket', labels: { ...labels, le: `${bounds[index] ?? '+Inf'}` }, value: count };
  });
  return [
    ...buckets,
    { suffix: '_sum', labels, value: counters.latencySumSeconds },
    { suffix: '_count', labels, value: count },
  ];
}

function ingressLabels(ingress: string): Record<string, string> {
  const [namespace = '', name = ''] = ingress.split('/', 2);
  return { namespace, ingress: name };
}

function gauge(name: string, help: string, value: number): Family {
  return { name, type: 'gauge', help, samples: [{ labels: {}, value }] };
}

function counter(name: string, help: string, value: number): Family {
  return { name, type: 'counter', help, samples: [{ labels: {}, value }] };
}
