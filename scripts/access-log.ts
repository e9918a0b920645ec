/**
 * `node scripts/access-log.ts` writes docs/reference/access-log.md from what src/proxy/access-log and src/http say of lines;
 * a test says when that has been forgotten.
 */
import type { CheckFault } from '../src/policies/auth/check-response.ts';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatted } from './formatted.ts';
import { CAUSE_CODES, LOCAL_REASONS, causeCode } from '../src/http/cause-code.ts';
import { type LocalReason, statusOf } from '../src/http/local-response.ts';
import { INGRESS_NGINX_FORMAT, LOG_VARIABLES, type LogVariable } from '../src/http/log-template.ts';
import { CREDENTIAL_NAMES } from '../src/http/redact-target.ts';
import { LOG_FIELDS, STREAM_FIELDS } from '../src/proxy/access-log/json-line.ts';
import type { ReaderFault } from '../src/proxy/native-record.ts';
import type { StreamOutcome } from '../src/proxy/stream/stream-record.ts';

export const ACCESS_LOG_PAGE = join(import.meta.dirname, '../docs/reference/access-log.md');

/** Why it happens, and what to do. */
const REASONS: Readonly<Record<LocalReason, readonly [cause: string, fix: string]>> = {
  healthy: ['A health check of a load balancer; it is never a line.', ''],
  draining: [
    'Portico shuts down: a health check is told so, or a request was still under way when `--drain-timeout` was over.',
    'Raise `--drain-timeout` if responses take longer, and `terminationGracePeriodSeconds` with it.',
  ],
  'https-only': [
    'The host has TLS and the client came by http: it is redirected.',
    'Nothing; or `portico.dev/ssl-redirect: "false"`, `--ssl-redirect=false`.',
  ],
  'no-route': [
    'No rule has this host and path.',
    '`portico explain URL` lists what was tried, and names an Ingress that has the host and is not served.',
  ],
  'backend-invalid': [
    'A route of a Gateway names a backend that there is not, or that it may not use.',
    'Look at `ResolvedRefs` of the route; correct the `backendRef`, or add a ReferenceGrant.',
  ],
  'backend-unavailable': [
    'The Service is missing, lacks the port, or has no ready endpoint.',
    '`portico check` says which: fix the Service, its selector, or the readiness of its Pods.',
  ],
  'no-endpoint': [
    'Every endpoint of the Service was tried, or has just left.',
    'Look at the Pods, and at `portico_connect_failures_total`.',
  ],
  'upstream-refused': [
    'The Pod refused the connection, or reset it while it was made.',
    'Does it listen on `targetPort`, on all its addresses? Is it ready before it listens?',
  ],
  'upstream-unreachable': [
    'The network has no route to the Pod.',
    'Is its node gone? Does a NetworkPolicy or the CNI reject the connection?',
  ],
  'upstream-handshake-failed': [
    'The Pod accepted the connection, and TLS or HTTP/2 could not be agreed on.',
    'Check `backend-protocol` or `appProtocol`, and the certificate of the Pod.',
  ],
  'upstream-connect-timed-out': [
    'No connection within `connect-timeout`.',
    'Is the node gone, or does a firewall or NetworkPolicy drop packets? Otherwise `portico.dev/connect-timeout`.',
  ],
  'upstream-reset': [
    'The Pod closed the connection before its response was complete.',
    'Look at the log of the Pod: it may have crashed, run out of memory, or closed an idle connection too early. With a status below 300 the response was cut off.',
  ],
  'upstream-protocol-error': [
    'The Pod sent something that is not a valid HTTP response.',
    'What stands behind the colon says what; `--bare-lf-in-responses` accepts line ends without CR.',
  ],
  'upstream-timed-out': [
    'No byte of the response within the read timeout, or the Pod accepted no byte of the request.',
    'Make the Pod faster, or set `portico.dev/read-timeout`, for all `--limit upstream-idle-timeout=…`.',
  ],
  'deadline-exceeded': [
    'The request took longer than `grpc-timeout` of the client, or the time limit of its route, allows.',
    'Raise the limit, or make the Pod faster.',
  ],
  'client-gone': [
    'The client closed the connection before it had the response (status 499).',
    'Nothing, if clients cancel; otherwise compare `durationMs` with the time limits of clients and load balancers.',
  ],
  'request-timed-out': [
    'The head or the body of the request came too slowly.',
    '`--limit client-head-timeout`, `body-idle-timeout`, `body-min-rate`.',
  ],
  'bad-message': ['The request is not HTTP as RFC 9112 spells it.', 'Fix the client.'],
  'bad-framing': [
    'Two readers could disagree on where the request ends: an attempt to smuggle a request, or a broken client.',
    'Fix the client.',
  ],
  'bad-host': ['The Host field is missing, there are several, or it is no host.', 'Fix the client.'],
  'bad-target': ['The path is malformed, or leads above the root.', 'Fix the client.'],
  'host-disagrees': ['The request target and the Host field name different hosts.', 'Fix the client.'],
  'tls-expected': ['Plain HTTP was sent to the HTTPS port.', 'Use https, or the HTTP port.'],
  'loop-detected': [
    'The request has been through Portico ten times: its endpoint leads back here.',
    'Look at the endpoints or the ExternalName of the Service.',
  ],
  'method-not-allowed': ['CONNECT or TRACE.', 'Nothing: they are not served.'],
  'method-unknown': ['A method that the engine cannot pass on.', 'Use the engine `relay`.'],
  'expectation-unknown': ['The Expect field asks for something other than 100-continue.', 'Fix the client.'],
  'transfer-coding-unknown': ['A transfer coding other than chunked.', 'Fix the client.'],
  'version-not-supported': ['Neither HTTP/1.0, HTTP/1.1 nor HTTP/2.', 'Fix the client.'],
  'body-too-large': [
    'The body is larger than the route allows.',
    '`portico.dev/max-request-body` (`proxy-body-size`).',
  ],
  'head-too-large': [
    'The head has too many bytes or fields: often cookies.',
    '`--limit head-bytes=65536`, `--limit field-count=…`.',
  ],
  'target-too-long': ['The request line is too long.', '`--limit request-line-bytes=…`.'],
  'path-too-costly': [
    'The regular expressions of the host take too long for this path.',
    'Make the paths of the Ingress simpler.',
  ],
  'rate-limited': [
    'The client is over a limit of the route.',
    '`portico explain URL` shows the limit. If all clients have one address, name the proxy before Portico in `--trusted-proxies`.',
  ],
  unauthenticated: [
    'No user name and password, or other proof of who the client is, or it is wrong.',
    'Nothing, at the first request of a browser; otherwise check the password, and the Secret of `basic-auth-secret`.',
  ],
  unauthorized: [
    'The server of `auth-url` or `ExternalAuth` refused the request.',
    'Look at the log of that server.',
  ],
  'auth-failed': [
    'The server of `auth-url` answered neither 2xx, 401 nor 403, or may not be asked.',
    'Look at the log of that server, and at `portico check`.',
  ],
  'auth-unavailable': [
    'The server of `auth-url` or `ExternalAuth` did not answer in time; or that of `ExternalAuth` said neither yes nor no.',
    'What is after the colon, [below](#authentication), says what to look for.',
  ],
  'passwords-busy': [
    'Too many new passwords wait to be hashed.',
    'Somebody may be guessing passwords; bcrypt of a lower cost is faster.',
  ],
  'passwords-unavailable': [
    'The Secret with the passwords is missing or cannot be used.',
    '`portico check` names it.',
  ],
  'address-denied': [
    'The address of the client is denied, or not among those that are allowed.',
    'Compare `client` with `allow-from` and `deny-from`; behind a load balancer set `--trusted-proxies`.',
  ],
  blocked: [
    'The request is on a list of `block-cidrs`, `block-user-agents` or `block-referers`.',
    'Nothing.',
  ],
  'client-name-denied': [
    'The client certificate is good, and its name is not one that may come.',
    'Compare it with `client-certificate-name`.',
  ],
  'certificate-missing': [
    'The host requires a client certificate, and none was sent.',
    'Give the client one.',
  ],
  'certificate-refused': [
    'The client certificate could not be verified.',
    'Is it expired, for clients, and signed by `ca.crt`?',
  ],
  'client-certificate-not-available': [
    'The host asks for client certificates, and the request came in clear text.',
    'Let TLS end at Portico.',
  ],
  misdirected: [
    'The connection was opened for a host with other rules for client certificates.',
    'Nothing: clients open another connection.',
  ],
  'closed-by-policy': [
    'The Ingress asks for an access rule that cannot be enforced; `policy` names it.',
    '`portico check` says what is wrong with it.',
  ],
  'clients-unverifiable': [
    'The client certificates that the route requires cannot be verified.',
    '`portico check` says why: `ClientCaMissing`, `ClientCertificateConflict`, `AnnotationInvalid`.',
  ],
  overloaded: [
    'A limit of connections or memory is reached, or no file descriptor is left.',
    'Look at the metrics of connections and held bytes; raise `--limit connections`, `held-bytes`, or `ulimit -n`.',
  ],
  'protocol-not-supported': [
    'The engine http-proxy does not speak the protocol of this backend.',
    'Use the engine `relay`.',
  ],
  'internal-fault': [
    'A fault in Portico; it ended this request and no other.',
    'Please report it with the stack that the log has at level `error`.',
  ],
};

/** What was unclear in the answer of a server that a filter `ExternalAuth` asks. */
const AUTH_FAULTS: Readonly<
  Record<Exclude<CheckFault, `${string}-status-${number}`> | 'http-status-503' | 'grpc-status-12', string>
> = {
  'host-refused': 'Portico asks no such host',
  'host-unresolved': 'the name of the host has no address',
  'no-endpoint': 'the Service has no endpoint',
  unreachable: 'no connection could be made',
  'timed-out': 'no whole answer within 30 s',
  'protocol-error': 'the answer is not valid HTTP, or has more than 64 KiB',
  'too-many': 'too many requests to such servers are under way',
  behind: 'the server does not read the body',
  cancelled: 'the client has left',
  'http-status-503': 'another status of HTTP than 200',
  'not-grpc': 'the Content-Type is not `application/grpc`: is this the port for gRPC?',
  'grpc-status-12': 'the call failed with this status; 12: the server does not implement ext_authz',
  'bad-grpc-status': 'there is no status after the message, or several',
  'bad-grpc-message': 'not one whole message without compression',
  'bad-check-response': 'the message is no `CheckResponse`',
  'error-response': 'the message has an `error_response`',
  'both-allowed-and-denied': '`status` and the response contradict each other',
  'neither-allowed-nor-denied': 'the message says nothing',
  'query-change': 'it changes query parameters',
  'bad-header': 'it changes a field that it may not change, such as `Host`, or more than 128',
};

/** What a reader found, which stands behind the reason. */
const FAULTS: Readonly<Record<Exclude<ReaderFault, ''>, string>> = {
  'bad-request-line': 'the first line is not `METHOD target HTTP/1.1`',
  'bad-status-line': 'the first line is not `HTTP/1.1 200 reason`',
  'bare-lf': 'a line ends with LF alone',
  'obs-fold': 'a field goes on in a second line',
  'bad-field-name': 'the name of a field has a character that it may not have',
  'bad-field-value': 'the value of a field has a control character',
  'too-many-fields': 'more fields than `--limit field-count`',
  'head-too-large': 'more bytes than `--limit head-bytes`',
  'target-too-long': 'more bytes than `--limit request-line-bytes`',
  'version-not-supported': 'a version other than HTTP/1.0 and HTTP/1.1',
  'missing-host': 'no Host field',
  'duplicate-host': 'several Host fields',
  'bad-content-length': 'Content-Length is not a number',
  'several-content-lengths': 'several Content-Length fields',
  'length-and-transfer-encoding': 'Content-Length beside Transfer-Encoding',
  'bad-transfer-encoding': 'Transfer-Encoding does not end with `chunked`, or is malformed',
  'unknown-transfer-coding': 'a coding beside `chunked`',
  'transfer-encoding-in-http-1.0': 'HTTP/1.0 has no Transfer-Encoding',
  'unknown-expectation': 'an expectation other than `100-continue`',
  'unasked-switch': '101 without an Upgrade field in the request',
  'bad-chunk-size': 'the size of a chunk is not a hexadecimal number',
  'chunk-extension-too-long': 'too many bytes of chunk extensions',
  'bad-chunk-end': 'a chunk does not end with CRLF',
  'too-many-interims': 'too many 1xx responses before the final one',
  ECONNREFUSED: 'nothing listens on the port',
  ECONNRESET: 'the connection was reset while it was made',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ETIMEDOUT: 'the system gave up connecting',
};

/** What is said of variables that are not obvious to somebody who knows nginx. */
const VARIABLES: Partial<Readonly<Record<LogVariable, string>>> = {
  bytes_sent: 'the same as `$body_bytes_sent`: without the head',
  host: 'without the port, in lower case',
  server_name: 'the same as `$host`',
  portico_cause: '`cause`',
  portico_detail: '`detail`',
  portico_policy: '`policy`',
  opentelemetry_trace_id: '`traceId`',
  request_length: 'request line, fields and body; in HTTP/2 as HTTP/1.1 would write them',
  remote_user: 'of basic authentication, whether the password is right or not',
  upstream_response_length: 'bytes of the body as the client got them; 0 for attempts before the last',
  upstream_status: '502 or 504 for an attempt that failed',
  uri: 'normalized and percent-encoded',
  document_uri: 'the same as `$uri`',
};

const ENDS: Readonly<Record<Exclude<StreamOutcome, 'closed'>, string>> = {
  'client-reset': 'the client reset the connection',
  'upstream-reset': 'the Pod reset the connection',
  idle: 'no byte came for too long',
  'no-endpoint': 'the Service has no endpoint',
  'connect-failed': 'no endpoint accepted the connection',
  'out-of-descriptors': 'no file descriptor was left',
  'loop-detected': 'it has been through this Portico ten times: the endpoint leads back here',
  'too-many': 'its namespace has its share of the streams, and none of these could give way',
  evicted: 'it had been silent longest when there was no room for another one',
  'service-changed': 'the Service sends to another backend, or its endpoint is gone',
  draining: 'Portico shut down',
  fault: 'a fault in Portico: please report it',
};

/** The page as it should be. */
export async function accessLogPage(): Promise<string> {
  const page = [
    '# Access log',
    '',
    '<!-- Written by `node scripts/access-log.ts` from src/proxy/access-log and src/http. -->',
    '',
    'Each request is one line on standard output when it is over. `--access-log` says how lines are written: `json`, `text` for a',
    'person, `ingress-nginx`, or a [template](#templates); `auto`, the default, is `text` at a terminal and otherwise `json`, and with',
    '`--drop-in ingress-nginx` the default is `ingress-nginx`. `off` turns it off. Metrics count all requests.',
    '',
    '## Fields of JSON lines',
    '',
    'A field that does not apply is left out. Times with `Ms` are in milliseconds, to the microsecond.',
    '',
    ...table(
      ['Field', ''],
      [
        ['`level`, `stream`', '`info` and `access`: other lines of the log have `"stream":"control"`.'],
        ...LOG_FIELDS.map(({ name, about }) => [`\`${name}\``, about]),
      ],
    ),
    '',
    '## Detail',
    '',
    '`detail` says why Portico itself responded, or cut a response off: a word of this table, and after a colon what exactly was wrong,',
    'where that is known. These words do not change within a major version.',
    '',
    ...table(
      ['`detail`', 'Status', '`cause`', 'Cause', 'What to do'],
      [
        ...LOCAL_REASONS.toSorted().flatMap((reason) => {
          const [cause, fix] = REASONS[reason];
          if (reason === 'healthy') return [];
          return [[`\`${reason}\``, String(statusOf(reason)), `\`${causeCode(reason)}\``, cause, fix]];
        }),
      ],
    ),
    '',
    'The status may differ: `limit-rps` and `limit-connections` of ingress-nginx get 503, and another backend may answer in place of an',
    'error. If a response has begun, it is cut off, and `status` is what its head said.',
    '',
    'After the colon:',
    '',
    ...table(
      ['', ''],
      Object.entries(FAULTS).map(([fault, about]) => [`\`${fault}\``, about]),
    ),
    '',
    '### Authentication',
    '',
    'After the colon of `auth-unavailable`, for the filter `ExternalAuth`:',
    '',
    ...table(
      ['', ''],
      Object.entries(AUTH_FAULTS).map(([fault, about]) => [`\`${fault}\``, about]),
    ),
    '',
    '## Cause',
    '',
    '`cause` is the same as a short code. Those that Envoy has as response flags mean the same here.',
    '',
    ...table(
      ['Code', ''],
      Object.entries(CAUSE_CODES).map(([code, about]) => [`\`${code}\``, about]),
    ),
    '',
    '## Templates',
    '',
    'A template is a line in the words of nginx:',
    '',
    '```sh',
    `portico run --access-log '$remote_addr "$request" $status $request_time $upstream_addr'`,
    `portico run --access-log 'escape=json {"at":"$time_iso8601","uri":"$request_uri","status":$status}'`,
    '```',
    '',
    '`escape=` in front is that of `log_format`: with `default` a value that there is not is `-`, and quotes, backslashes, control',
    'characters and what is not ASCII are `\\xHH`; with `json` it is empty, and values are escaped for JSON strings; with `none` they are',
    'not escaped, but a control character never comes through. Line ends in a template become blanks. Portico does not start with a',
    'variable that it does not know.',
    '',
    '`--access-log ingress-nginx` is the line that ingress-nginx writes by default:',
    '',
    '```text',
    INGRESS_NGINX_FORMAT,
    '```',
    '',
    'With `--ingress-nginx-configmap`, `log-format-upstream`, `log-format-escape-json`, `log-format-escape-none`, `disable-access-log` and',
    '`skip-access-log-urls` of the ConfigMap win over the flags, and a change counts at once. There an unknown variable is a problem of',
    'the ConfigMap (`GlobalOptionInvalid`), and is logged as if it were empty.',
    '',
    'The variables are `$http_NAME` (a field of the request), `$cookie_NAME`, `$arg_NAME` and these. Of one value of a field at most 1,024',
    'bytes are logged, of all of a request 4,096. Several attempts are joined by `, `. Times are in seconds.',
    '',
    LOG_VARIABLES.map((name) => `\`$${name}\``).join(', '),
    '',
    'Of these,',
    '',
    ...Object.entries(VARIABLES).map(([name, about]) => `- \`$${name}\`: ${about}`),
    '',
    '## Which requests are logged',
    '',
    '| Flag | |',
    '| --- | --- |',
    '| `--access-log-status 5xx 404` | only these statuses; a response that was cut off counts as 502 |',
    '| `--access-log-min-duration 1s` | only requests that took that long; with `--access-log-status` one of both is enough |',
    '| `--access-log-sample 0.01` | one in a hundred of all others, too; without `--access-log-status` all with 5xx beside it |',
    '| `--access-log-skip /ready` | never these paths; `~^/static/` is a regular expression (RE2), found in path and query |',
    '',
    '`portico.dev/access-log: "false"` (`enable-access-log`) turns the log off for the paths of an Ingress. Health checks of load balancers',
    'are never logged. What is not logged is not formatted.',
    '',
    '## What is left out',
    '',
    'Values of query parameters, in `target` and Referer, of cookies and of header fields are `REDACTED` if their name is one of these;',
    '`*` stands for anything. `user[password]` counts as `password`. `--access-log-redact` sets other names, `off` none. A user and',
    'password in front of the host of a Referer are always left out. A URL that is the value of another parameter is logged as it is.',
    '',
    CREDENTIAL_NAMES.map((name) => `\`${name}\``).join(', '),
    '',
    'The recent requests of the admin API have the same values left out.',
    '',
    '## TCP and UDP services',
    '',
    'A connection, or the datagrams of one client, is one line when it is over: JSON, or text if the lines of requests are no JSON.',
    '',
    ...table(
      ['Field', ''],
      STREAM_FIELDS.map(({ name, about }) => [`\`${name}\``, about]),
    ),
    '',
    ...table(
      ['`detail`', ''],
      Object.entries(ENDS).map(([end, about]) => [`\`${end}\``, about]),
    ),
    '',
    '## Log records for a collector',
    '',
    'With `OTEL_LOGS_EXPORTER=otlp` each request that is logged is also a log record of OpenTelemetry, sent as JSON over HTTP to the collector',
    'of `OTEL_EXPORTER_OTLP_ENDPOINT`, to which `/v1/logs` is appended. `--access-log off` leaves the records alone. The variables are those of',
    '[tracing](../tracing.md): those with `OTEL_EXPORTER_OTLP_LOGS_` win, and `OTEL_BLRP_` stands for `OTEL_BSP_`; records are gathered for',
    'one second. Unlike in OpenTelemetry the default of `OTEL_LOGS_EXPORTER` is `none`: the log is on standard output already.',
    '',
    'Attributes have the names of the semantic conventions (`http.request.method`, `url.path`, `http.response.status_code`,',
    '`user_agent.original`, …); `error.type` is `detail`. What these have no name for is `portico.cause`, `portico.policy`,',
    '`portico.ingress`, `portico.backend`, `portico.endpoint`, `portico.attempts`, `portico.request_id`, and in seconds `portico.duration`',
    'and `portico.upstream.duration`. A status of 5xx has the severity `ERROR`. What a collector does costs records and nothing else;',
    '`portico_log_records_dropped_total` counts them.',
    '',
    '## When nobody reads it',
    '',
    'The log never makes a request wait, and takes at most 1 MiB of memory and 1 MiB for each data-plane thread. If standard output takes',
    'no more (a pipe that nobody reads, a full disk), lines are dropped whole; `portico_log_dropped_bytes_total` counts them.',
    '',
    '## The other lines',
    '',
    'Lines with `"stream":"control"` tell what the process does; `--log-level` and `--log-format` are theirs. They have `level` (`debug`,',
    '`info`, `warn`, `error`), `time` in UTC, and `msg`, which is a whole sentence. A fault in Portico has `err` with `type`, `message` and',
    '`stack`. What starts with `resolved:` takes an earlier line back. [Every problem by its reason](../troubleshoot.md#every-problem-by-its-reason)',
    'says what they mean.',
    '',
  ];
  return formatted('page.md', page.join('\n'));
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  return [head, head.map(() => '---'), ...rows].map(
    (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`,
  );
}

if (import.meta.main) await writeFile(ACCESS_LOG_PAGE, await accessLogPage());
