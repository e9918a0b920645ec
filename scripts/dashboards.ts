/**
 * `node scripts/dashboards.ts` writes the Grafana dashboard deploy/helm/portico/dashboards/portico.json from the panels below; a test
 * says when that has been forgotten. `exported_namespace` is what Prometheus calls the label `namespace` of a metric where
 * the Pod that is scraped has one of its own.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatted } from './formatted.ts';

export const DASHBOARD = join(import.meta.dirname, '../deploy/helm/portico/dashboards/portico.json');

interface Panel {
  readonly title: string;
  readonly description: string;
  readonly unit: string;
  /** Each with what its lines are called. */
  readonly queries: readonly (readonly [expr: string, legend: string])[];
  readonly kind?: 'timeseries' | 'stat' | 'table';
}

/** Of what is chosen above the panels. */
const CHOSEN = 'exported_namespace=~"$namespace", pod=~"$pod"';
const POD = 'pod=~"$pod"';
const SOURCE = 'exported_namespace, ingress, kind, route';
const SOURCE_NAME = '{{exported_namespace}}/{{ingress}}{{route}}';

const rate = (metric: string, matchers = CHOSEN): string => `rate(${metric}{${matchers}}[$__rate_interval])`;
const quantile = (part: number, metric: string): string =>
  `histogram_quantile(${part}, sum by (le) (${rate(`${metric}_bucket`)}))`;
const top = (expr: string): string => `topk(10, ${expr})`;

const ROWS: readonly (readonly [title: string, panels: readonly Panel[]])[] = [
  [
    'Traffic',
    [
      {
        title: 'Requests',
        description: 'By status class.',
        unit: 'reqps',
        queries: [[`sum by (status) (${rate('portico_requests_total')})`, '{{status}}']],
      },
      {
        title: 'Busiest Ingresses and routes',
        description: 'The ten with most requests.',
        unit: 'reqps',
        queries: [[top(`sum by (${SOURCE}) (${rate('portico_requests_total')})`), SOURCE_NAME]],
      },
      {
        title: 'Server errors',
        description: 'The part of requests that end with a 5xx, of the ten with the largest.',
        unit: 'percentunit',
        queries: [
          [
            top(
              `sum by (${SOURCE}) (${rate('portico_requests_total', `status="5xx", ${CHOSEN}`)}) / sum by (${SOURCE}) (${rate('portico_requests_total')})`,
            ),
            SOURCE_NAME,
          ],
        ],
      },
      {
        title: 'Bytes',
        description: 'Of bodies.',
        unit: 'Bps',
        queries: [
          [`sum(${rate('portico_request_bytes_total')})`, 'from clients'],
          [`sum(${rate('portico_response_bytes_total')})`, 'to clients'],
        ],
      },
    ],
  ],
  [
    'Latency',
    [
      {
        title: 'Requests',
        description: 'From the first byte of a request to the last byte of its response.',
        unit: 's',
        queries: [0.5, 0.95, 0.99].map((part) => [
          quantile(part, 'portico_request_duration_seconds'),
          `p${part * 100}`,
        ]),
      },
      {
        title: 'Pods',
        description: 'From the start of an attempt to the head of the response of the Pod.',
        unit: 's',
        queries: [0.5, 0.95, 0.99].map((part) => [
          quantile(part, 'portico_upstream_duration_seconds'),
          `p${part * 100}`,
        ]),
      },
      {
        title: 'Slowest Pods',
        description: 'Mean time until the Pods of an Ingress or route respond, of the ten slowest.',
        unit: 's',
        queries: [
          [
            top(
              `sum by (${SOURCE}) (${rate('portico_upstream_duration_seconds_sum')}) / sum by (${SOURCE}) (${rate('portico_upstream_duration_seconds_count')})`,
            ),
            SOURCE_NAME,
          ],
        ],
      },
    ],
  ],
  [
    'What Portico answers itself, and Pods it cannot reach',
    [
      {
        title: 'Own responses by reason',
        description: 'The reason is that of detail in the access log.',
        unit: 'reqps',
        queries: [
          [`sum by (class, reason) (${rate('portico_local_responses_total')})`, '{{class}}: {{reason}}'],
        ],
      },
      {
        title: 'Connections to Pods that failed',
        description: 'By reason.',
        unit: 'reqps',
        queries: [[`sum by (reason) (${rate('portico_connect_failures_total')})`, '{{reason}}']],
      },
      {
        title: 'Retries',
        description: 'Attempts after the first one of a request, of the ten with most.',
        unit: 'reqps',
        queries: [[top(`sum by (${SOURCE}) (${rate('portico_retries_total')})`), SOURCE_NAME]],
      },
      {
        title: 'Backends of last resort',
        description: 'Service ports without a ready endpoint, served by endpoints that were ready before.',
        unit: 'short',
        queries: [[`max(portico_backends_last_resort{${POD}})`, 'Service ports']],
      },
    ],
  ],
  [
    'Access, TLS and certificates',
    [
      {
        title: 'Verdicts of authentication',
        description: 'By policy; failed means that there was no answer that says yes or no.',
        unit: 'reqps',
        queries: [
          [`sum by (policy, verdict) (${rate('portico_auth_requests_total')})`, '{{policy}}: {{verdict}}'],
        ],
      },
      {
        title: 'Verdicts that were remembered',
        description: 'The part of verdicts for which nobody had to be asked.',
        unit: 'percentunit',
        queries: [
          [
            `sum by (policy) (${rate('portico_auth_requests_total', `cached="true", ${CHOSEN}`)}) / sum by (policy) (${rate('portico_auth_requests_total')})`,
            '{{policy}}',
          ],
        ],
      },
      {
        title: 'TLS handshakes',
        description: 'By version and whether a session was resumed.',
        unit: 'ops',
        queries: [
          [
            `sum by (version, resumed) (${rate('portico_tls_handshakes_total', POD)})`,
            '{{version}} resumed={{resumed}}',
          ],
        ],
      },
      {
        title: 'TLS handshakes that failed',
        description: 'By reason.',
        unit: 'ops',
        queries: [[`sum by (reason) (${rate('portico_tls_handshake_failures_total', POD)})`, '{{reason}}']],
      },
      {
        title: 'Certificates that expire next',
        description: 'Days until the certificate of a TLS host expires.',
        unit: 'd',
        kind: 'table',
        queries: [
          [
            `bottomk(20, min by (host, exported_namespace, secret) (portico_certificate_expiry_days{${CHOSEN}}))`,
            '{{host}}',
          ],
        ],
      },
    ],
  ],
  [
    'Connections and limits',
    [
      {
        title: 'Connections',
        description: 'Open ones, requests under way, and upgraded connections.',
        unit: 'short',
        queries: [
          [`sum(portico_client_connections{${POD}})`, 'of clients'],
          [`sum(portico_upstream_connections{${POD}})`, 'to Pods'],
          [`sum(portico_requests_in_flight{${POD}})`, 'requests under way'],
          [`sum(portico_tunnels{${POD}})`, 'WebSockets and other tunnels'],
        ],
      },
      {
        title: 'Clients turned away',
        description: 'Connections that were closed because a limit was reached.',
        unit: 'ops',
        queries: [
          [`sum(${rate('portico_client_connections_refused_total', POD)})`, 'refused'],
          [`sum(${rate('portico_client_connections_evicted_total', POD)})`, 'idle, for new ones'],
          [`sum(${rate('portico_client_connections_shed_total', POD)})`, 'for their memory'],
          [`sum(${rate('portico_descriptor_failures_total', POD)})`, 'no file descriptor left'],
        ],
      },
      {
        title: 'Streams',
        description: 'TCP connections and UDP clients by how they ended.',
        unit: 'ops',
        queries: [
          [`sum by (protocol, end) (${rate('portico_streams_total', POD)})`, '{{protocol}}: {{end}}'],
        ],
      },
    ],
  ],
  [
    'Configuration',
    [
      {
        title: 'Problems of objects',
        description: 'By reason; docs/troubleshoot.md says what to do about each.',
        unit: 'short',
        kind: 'table',
        queries: [[`max by (severity, reason) (portico_problems_by_reason{${POD}})`, '{{reason}}']],
      },
      {
        title: 'Routes',
        description: 'What the newest table holds.',
        unit: 'short',
        queries: [
          [`max(portico_hosts{${POD}})`, 'hosts'],
          [`max(portico_routes{${POD}})`, 'routes'],
          [`max(portico_backends{${POD}})`, 'Service ports'],
        ],
      },
      {
        title: 'Changes behind',
        description: 'Route tables that some thread does not use yet.',
        unit: 'short',
        queries: [[`portico_table_generation{${POD}} - portico_table_adopted_generation{${POD}}`, '{{pod}}']],
      },
      {
        title: 'Time to compile a change',
        description: 'p99.',
        unit: 's',
        queries: [
          [
            `histogram_quantile(0.99, sum by (le) (${rate('portico_compile_duration_seconds_bucket', POD)}))`,
            'p99',
          ],
        ],
      },
      {
        title: 'Watches',
        description: 'Whether changes of a kind are received: 0 where they are not.',
        unit: 'short',
        queries: [[`min by (kind) (portico_watch_connected{${POD}})`, '{{kind}}']],
      },
    ],
  ],
  [
    'Process',
    [
      {
        title: 'CPU',
        description: 'Of each Pod, in cores.',
        unit: 'short',
        queries: [[`${rate('process_cpu_seconds_total', POD)} and on (pod) portico_build_info`, '{{pod}}']],
      },
      {
        title: 'Memory',
        description: 'Resident memory of each Pod, and what clients and Pods make it hold.',
        unit: 'bytes',
        queries: [
          [`process_resident_memory_bytes{${POD}} and on (pod) portico_build_info`, '{{pod}}'],
          [`portico_held_bytes{${POD}}`, '{{pod}} held'],
        ],
      },
      {
        title: 'Threads that died, and faults',
        description: 'Both should be 0; the log has the reason.',
        unit: 'short',
        queries: [
          [`sum by (pod) (increase(portico_data_plane_thread_deaths_total{${POD}}[1h]))`, '{{pod}} threads'],
          [`sum by (pod) (increase(portico_internal_faults_total{${POD}}[1h]))`, '{{pod}} faults'],
        ],
      },
      {
        title: 'Version',
        description: 'Pods by version.',
        unit: 'short',
        kind: 'stat',
        queries: [[`count by (version) (portico_build_info{${POD}})`, '{{version}}']],
      },
    ],
  ],
];

const COLUMNS = 24;
const WIDTH = 8;
const HEIGHT = 8;
const DATA_SOURCE = { type: 'prometheus', uid: '${datasource}' };

function panelJson(panel: Panel, id: number, x: number, y: number): object {
  const { title, description, unit, queries, kind = 'timeseries' } = panel;
  const isTable = kind === 'table';
  return {
    id,
    type: kind,
    title,
    description,
    datasource: DATA_SOURCE,
    gridPos: { x, y, w: WIDTH, h: HEIGHT },
    fieldConfig: { defaults: { unit, ...(unit === 'percentunit' && { min: 0 }) }, overrides: [] },
    options:
      kind === 'timeseries'
        ? {
            legend: { displayMode: 'table', placement: 'bottom', calcs: ['mean', 'max'] },
            tooltip: { mode: 'multi', sort: 'desc' },
          }
        : {},
    ...(isTable && {
      transformations: [
        {
          id: 'organize',
          options: { excludeByName: { Time: true }, renameByName: { exported_namespace: 'namespace' } },
        },
        { id: 'sortBy', options: { sort: [{ field: 'Value', desc: unit !== 'd' }] } },
      ],
    }),
    targets: queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCodePoint(0x41 + index),
      datasource: DATA_SOURCE,
      expr,
      legendFormat,
      ...(isTable && { format: 'table', instant: true }),
    })),
  };
}

function variable(name: string, label: string, metric: string, of: string): object {
  const query = `label_values(${metric}, ${of})`;
  return {
    ...{ name, label, type: 'query', datasource: DATA_SOURCE, definition: query },
    query: { query, refId: name },
    ...{ includeAll: true, allValue: '.*', multi: true, refresh: 2, sort: 1 },
    current: { text: 'All', value: '$__all' },
  };
}

/** The dashboard as it should be, as JSON text. */
export function dashboard(): Promise<string> {
  const panels: object[] = [];
  let y = 0;
  let id = 1;
  for (const [title, row] of ROWS) {
    panels.push({
      id: id++,
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: COLUMNS, h: 1 },
    });
    y++;
    for (const [index, panel] of row.entries()) {
      const x = (index * WIDTH) % COLUMNS;
      panels.push(panelJson(panel, id++, x, y + Math.floor((index * WIDTH) / COLUMNS) * HEIGHT));
    }
    y += Math.ceil((row.length * WIDTH) / COLUMNS) * HEIGHT;
  }
  const json = {
    uid: 'portico',
    title: 'Portico',
    description: 'Traffic, latency, errors, certificates and configuration of Portico.',
    tags: ['portico', 'ingress'],
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    schemaVersion: 39,
    time: { from: 'now-1h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: {} },
        variable('namespace', 'Namespace', 'portico_requests_total', 'exported_namespace'),
        variable('pod', 'Pod', 'portico_build_info', 'pod'),
      ],
    },
    panels,
  };
  return formatted('dashboard.json', JSON.stringify(json));
}

if (import.meta.main) await writeFile(DASHBOARD, await dashboard());
