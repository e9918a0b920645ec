import { type AnnotationSpec } from '../annotation-spec.ts';
import { POLICIES } from '../registry.ts';
import { judgeSnippet } from './snippet-verdict.ts';
import { type Judgement, isImplemented } from './verdict.ts';

/** An option of the ConfigMap of ingress-nginx 1.15.1, and what becomes of it here. */
export interface GlobalOption {
  readonly name: string;
  readonly group: string;
  readonly outcome: Outcome;
  /** In one sentence. */
  readonly reason: string;
}

/**
 * - `served`: read from the ConfigMap, and a change is served at once;
 * - `flag`: not read; a flag sets it at the start, with the value that makes of its own;
 * - `no effect`: not needed here;
 * - `missed`: not read, and done in another way;
 * - `restricts`: it decides who gets in and cannot be honoured, so that everything closes while it is set;
 * - `snippet`: raw configuration, judged by what it says.
 */
type Outcome =
  | { readonly kind: 'served' }
  | { readonly kind: 'flag'; readonly flag: (value: string) => string }
  | { readonly kind: 'no effect' | 'missed' | 'restricts' | 'snippet' };

type Row = readonly [names: string, outcome: Outcome, reason: string];

const SERVED = { kind: 'served' } as const;
const NO_EFFECT = { kind: 'no effect' } as const;
const MISSED = { kind: 'missed' } as const;
const RESTRICTS = { kind: 'restricts' } as const;

/** `--limit keep-alive-idle-timeout=75s`: options in seconds have no unit. */
function seconds(limit: string): Outcome {
  return { kind: 'flag', flag: (value) => `--limit ${limit}=${/^\d+$/.test(value) ? `${value}s` : value}` };
}

function flag(name: string, of: (value: string) => string = (value) => value): Outcome {
  return {
    kind: 'flag',
    flag(value) {
      const given = of(value);
      return given === '' ? name : `${name} ${given}`;
    },
  };
}

const AT_START = 'A flag sets it when Portico starts.';
const NO_TLS_CHOICE =
  'Sessions are resumed by tickets whose keys change twice a day; nothing is sent before the handshake.';
const STREAMED = 'Bodies are passed on as they arrive and are never written to disk.';
const CONNECTIONS_KEPT = 'Connections to Pods are kept open, and closed when an endpoint leaves.';
const LOG_FORMAT =
  'Lines are written by it, in the escaping that it asks for. Variables that Portico does not know are reported and empty.';
const LIVE_TIME =
  'A change counts at once, also for clients that wait already; no connection with a request under way is closed for it.';
const NO_SNIPPETS = 'Snippets are never executed.';

const GROUPS: Readonly<Record<string, readonly Row[]>> = {
  'Addresses of clients': [
    [
      'use-forwarded-headers',
      SERVED,
      'Proxies of `proxy-real-ip-cidr` are trusted, as with `--trusted-proxies`.',
    ],
    ['proxy-real-ip-cidr', SERVED, 'The networks of trusted proxies; all of IPv4 when it is not set.'],
    [
      'forwarded-for-header',
      SERVED,
      'With another value than `X-Forwarded-For`, proxies are not trusted: they might pass that one on unread.',
    ],
    ['enable-real-ip', flag('--trusted-proxies', () => 'NETWORK'), 'Name the networks of the proxies.'],
    [
      'forwarded-host-header',
      MISSED,
      'The host that clients asked for is read from `X-Forwarded-Host` of a trusted proxy.',
    ],
    [
      'compute-full-forwarded-for',
      NO_EFFECT,
      'The whole list of a trusted proxy is passed on, with its address appended.',
    ],
    [
      'use-proxy-protocol',
      flag('--proxy-protocol-from', () => 'NETWORK'),
      'Name the networks it comes from.',
    ],
    ['proxy-protocol-header-timeout', seconds('handshake-timeout'), AT_START],
    [
      'forwarded-for-proxy-protocol-header',
      NO_EFFECT,
      'The address of the PROXY header is that of the client.',
    ],
  ],
  'Fields of requests': [
    ['proxy-set-headers', SERVED, 'The ConfigMap that it names has fields for requests to Pods.'],
    [
      'proxy-add-original-uri-header',
      SERVED,
      'Pods get the target as the client wrote it in `X-Original-Uri`.',
    ],
    ['enable-underscores-in-headers', SERVED, 'A change counts for requests that come after it.'],
    ['ignore-invalid-headers', NO_EFFECT, 'A request with a malformed field gets 400.'],
    [
      'generate-request-id',
      NO_EFFECT,
      'Every request has an X-Request-ID: that of the client, or a new one.',
    ],
  ],
  'Fields of responses': [
    ['add-headers', SERVED, 'The ConfigMap that it names has fields for responses.'],
    ['hide-headers', SERVED, 'Fields that Pods send and clients do not get.'],
    [
      'allow-backend-server-header server-tokens',
      NO_EFFECT,
      'The Server field of Pods is passed on, and Portico has none of its own.',
    ],
    ['global-allowed-response-headers', MISSED, 'Every field may be set that does not frame the response.'],
  ],
  TLS: [
    [
      'hsts hsts-max-age hsts-include-subdomains hsts-preload',
      SERVED,
      'Strict-Transport-Security of all hosts; if any of them is set, `--hsts` does not count.',
    ],
    ['ssl-redirect force-ssl-redirect', SERVED, 'Whether clients are sent to https.'],
    ['http-redirect-code', SERVED, 'The status with which clients are sent to https.'],
    [
      'no-tls-redirect-locations',
      SERVED,
      'Rules whose path begins like one of these are not redirected. Rules below /.well-known/acme-challenge never are.',
    ],
    [
      'ssl-protocols',
      SERVED,
      'Versions before TLS 1.2 are left out. A change counts for connections that begin after it.',
    ],
    [
      'ssl-ciphers',
      SERVED,
      'The suites of TLS 1.2, without operators that begin with `@`; the flags count where OpenSSL knows none of them.',
    ],
    [
      'ssl-session-cache ssl-session-cache-size ssl-session-tickets ssl-session-ticket-key ssl-session-timeout ' +
        'ssl-early-data ssl-buffer-size ssl-dh-param ssl-ecdh-curve',
      NO_EFFECT,
      NO_TLS_CHOICE,
    ],
    [
      'ssl-reject-handshake',
      SERVED,
      'A handshake ends with `unrecognized_name` where neither a rule nor a certificate is for the host.',
    ],
  ],
  Limits: [
    ['proxy-body-size', MISSED, 'Request bodies may have any size.'],
    ['limit-req-status-code limit-conn-status-code', MISSED, 'Limits of Portico answer 429.'],
    ['limit-rate limit-rate-after', MISSED, 'Responses are as fast as the client takes them.'],
    ['client-header-timeout', SERVED, LIVE_TIME],
    ['client-body-timeout', SERVED, LIVE_TIME],
    ['keep-alive', SERVED, LIVE_TIME],
    [
      'keep-alive-requests',
      SERVED,
      'A change counts at the next request of a connection, and cuts none off.',
    ],
    ['http2-max-concurrent-streams', SERVED, 'A change counts for connections that begin after it.'],
    [
      'max-worker-connections',
      SERVED,
      'It is the number of clients for each data-plane thread; connections to Pods do not count. A change counts for clients that come after it.',
    ],
    [
      'large-client-header-buffers',
      SERVED,
      'A request line may take one buffer, and a head all of them, at most 1 MiB. Connections of HTTP/2 keep what held when they began.',
    ],
    [
      'client-header-buffer-size http2-max-field-size http2-max-header-size',
      NO_EFFECT,
      '`large-client-header-buffers` says how large a head may be, in HTTP/2 too.',
    ],
    ['client-body-buffer-size', NO_EFFECT, STREAMED],
    ['use-http2', NO_EFFECT, 'HTTP/2 is spoken with clients that offer it.'],
  ],
  Pods: [
    [
      'proxy-connect-timeout proxy-read-timeout proxy-send-timeout',
      MISSED,
      'Every route has the timeouts of `--limit`.',
    ],
    [
      'proxy-next-upstream proxy-next-upstream-tries proxy-next-upstream-timeout',
      MISSED,
      'A request is tried at another endpoint when that is safe.',
    ],
    ['retry-non-idempotent', SERVED, 'Whether requests with POST, LOCK or PATCH are repeated, too.'],
    [
      'proxy-ssl-location-only',
      SERVED,
      '`proxy-ssl-*` always count for the paths of their Ingress only, as with `true`.',
    ],
    ['service-upstream', MISSED, 'Requests are sent to Pods directly, not to the ClusterIP.'],
    [
      'proxy-redirect-from proxy-redirect-to proxy-cookie-domain proxy-cookie-path',
      SERVED,
      'Fields of responses are rewritten where an Ingress says nothing.',
    ],
    [
      'proxy-buffering proxy-buffers-number proxy-buffer-size proxy-busy-buffers-size proxy-request-buffering ' +
        'proxy-max-temp-file-size',
      NO_EFFECT,
      STREAMED,
    ],
    [
      'upstream-keepalive-connections upstream-keepalive-time upstream-keepalive-timeout upstream-keepalive-requests',
      NO_EFFECT,
      CONNECTIONS_KEPT,
    ],
  ],
  'Errors and access': [
    [
      'custom-http-errors disable-proxy-intercept-errors',
      MISSED,
      'Responses of Pods reach the client as they are.',
    ],
    [
      'whitelist-source-range denylist-source-range block-cidrs block-user-agents block-referers',
      RESTRICTS,
      'Portico cannot tell these clients from others.',
    ],
    ['global-auth-snippet', RESTRICTS, 'Snippets are never executed.'],
    [
      'enable-modsecurity enable-owasp-modsecurity-crs modsecurity-snippet',
      RESTRICTS,
      'Portico has no web application firewall.',
    ],
  ],
  Compression: [
    ['use-gzip gzip-level gzip-min-length gzip-types', MISSED, 'Responses are compressed by Pods.'],
    [
      'enable-brotli brotli-level brotli-min-length brotli-types',
      MISSED,
      'Responses are compressed by Pods.',
    ],
  ],
  Logs: [
    ['disable-access-log', SERVED, 'A change counts at once.'],
    ['log-format-upstream log-format-escape-json log-format-escape-none', SERVED, LOG_FORMAT],
    [
      'skip-access-log-urls',
      SERVED,
      'Paths are skipped with any query, too; regular expressions behind `~` are found anywhere in path and query.',
    ],
    ['log-format-stream', NO_EFFECT, 'Lines of TCP and UDP services have fixed fields.'],
    [
      'access-log-path access-log-params http-access-log-path stream-access-log-path',
      NO_EFFECT,
      'The log goes to standard output, and never waits for a reader.',
    ],
    ['enable-access-log-for-default-backend', NO_EFFECT, 'Requests that no rule takes are logged, too.'],
    ['error-log-path error-log-level', flag('--log-level', () => 'info'), 'The log goes to standard output.'],
  ],
  Annotations: [
    ['allow-cross-namespace-resources', SERVED, 'Whether annotations may name objects of other namespaces.'],
    [
      'allow-snippet-annotations annotations-risk-level annotation-value-word-blocklist',
      NO_EFFECT,
      `${NO_SNIPPETS} Every value is held against what it may be.`,
    ],
    [
      'strict-validate-path-type',
      SERVED,
      'With `false` paths of type Exact and Prefix may be regular expressions where `use-regex` or `rewrite-target` is set. Other paths may have any character.',
    ],
  ],
  'Raw configuration': [
    [
      'main-snippet http-snippet server-snippet location-snippet stream-snippet',
      { kind: 'snippet' },
      NO_SNIPPETS,
    ],
  ],
  Tracing: [
    [
      'enable-opentelemetry opentelemetry-operation-name opentelemetry-trust-incoming-span',
      SERVED,
      'Which requests are traced, and how; see [tracing](../tracing.md).',
    ],
    [
      'otlp-collector-host otlp-collector-port',
      SERVED,
      'Spans go there over HTTP, in JSON: to port 4318 where 4317 is written, which speaks gRPC. Variables such as `OTEL_EXPORTER_OTLP_ENDPOINT` win.',
    ],
    [
      'otel-service-name otel-sampler otel-sampler-ratio otel-sampler-parent-based otel-max-queuesize ' +
        'otel-schedule-delay-millis otel-max-export-batch-size',
      SERVED,
      'As they are; the variables of OpenTelemetry win.',
    ],
  ],
  Process: [
    ['worker-processes', flag('--workers'), AT_START],
    [
      'worker-shutdown-timeout',
      flag('--drain-timeout', (value) => (/^\d+$/.test(value) ? `${value}s` : value)),
      AT_START,
    ],
    [
      'reuse-port worker-cpu-affinity max-worker-open-files disable-ipv6',
      NO_EFFECT,
      'All threads share the port.',
    ],
  ],
};

export const GLOBAL_OPTIONS: readonly GlobalOption[] = Object.entries(GROUPS).flatMap(([group, rows]) =>
  rows.flatMap(([names, outcome, reason]) =>
    names.split(' ').map((name) => ({ name, group, outcome, reason })),
  ),
);

const BY_NAME = new Map(GLOBAL_OPTIONS.map((option) => [option.name, option]));
/** What policies read, which then say themselves what is wrong with a value. */
const READ_BY_POLICIES: ReadonlyMap<string, AnnotationSpec> = new Map(
  POLICIES.flatMap(({ annotations }) => annotations as readonly AnnotationSpec[]).flatMap((spec) =>
    spec.global === undefined ? [] : [[spec.global, spec] as const],
  ),
);
/** Values with which an option that restricts restricts nothing. */
const OPEN = new Set(['', 'false']);

/** What becomes of an option whatever its value; null when ingress-nginx has no such option. */
export function judgeOption(name: string, value = ''): Judgement | null {
  const option = BY_NAME.get(name);
  const spec = READ_BY_POLICIES.get(name);
  const none = { instead: [], risk: 'low' } as const;
  if (spec !== undefined) {
    if (spec.difference === undefined) return { verdict: 'same', reason: 'As in ingress-nginx.', ...none };
    const reason = spec.difference.charAt(0).toUpperCase() + spec.difference.slice(1);
    return { verdict: 'reported difference', reason, ...none };
  }
  if (option === undefined) return null;
  const { outcome, reason } = option;
  switch (outcome.kind) {
    case 'served':
      return { verdict: 'reported difference', reason, ...none };
    case 'flag':
      return { verdict: 'reported difference', reason, instead: [outcome.flag(value)], risk: 'low' };
    case 'no effect':
      return { verdict: 'no effect', reason, ...none };
    case 'missed':
      return { verdict: 'reported difference', reason, instead: [], risk: 'medium' };
    case 'restricts':
      return { verdict: 'refused', reason, instead: [], risk: 'critical' };
    case 'snippet':
      return { verdict: 'refused', reason, instead: [], risk: 'critical' };
    default:
      return outcome satisfies never;
  }
}

/** The same with the value that it has, which may restrict nothing. */
export function judgeOptionValue(name: string, value: string): Judgement | null {
  const judgement = judgeOption(name, value);
  if (judgement?.verdict !== 'refused') return judgement;
  if (OPEN.has(value.trim()))
    return { ...judgement, verdict: 'same', reason: 'With this value it restricts nothing.' };
  if (BY_NAME.get(name)?.outcome.kind !== 'snippet') return judgement;
  const { closesBecause, instead } = judgeSnippet(value, isImplemented);
  if (closesBecause !== null)
    return { ...judgement, reason: `Snippets are never executed, and ${closesBecause}.`, instead };
  return { ...judgement, verdict: 'reported difference', reason: NO_SNIPPETS, instead, risk: 'medium' };
}

/** Whether an option that is set is not read, so that it counts for nothing beyond what `judgeOption` says. */
export function isUnread(name: string): boolean {
  const kind = BY_NAME.get(name)?.outcome.kind;
  return !READ_BY_POLICIES.has(name) && (kind === 'flag' || kind === 'missed' || kind === 'snippet');
}

/** Whether a policy reads an option, as the default of an annotation. */
export function isReadByPolicy(name: string): boolean {
  return READ_BY_POLICIES.has(name);
}
