import { hostname } from 'node:os';
import { causeCode } from '../../http/cause-code.ts';
import { cookieValue } from '../../http/cookies.ts';
import type { LogTemplate, LogVariable, LogVariablePart } from '../../http/log-template.ts';
import { logEscape, textOfBytes } from '../../http/log-text.ts';
import { normalizePath } from '../../http/path.ts';
import { argumentOf, userOf } from '../../http/variables.ts';
import type { BackendKey } from '../../routing/table.ts';
import type { ExchangeRecord, UpstreamAttempt } from '../exchange-record.ts';
import { isoSecond, localTime } from './log-time.ts';
import { jsonOfStream, policyOf } from './json-line.ts';
import type { KeptField, LineContext, LineFormat } from './log-line.ts';
import { textOfStream } from './text-line.ts';

/** Null stands for what there is not, and is written in another way than what is empty. */
type Value = (exchange: ExchangeRecord, context: LineContext) => string | null;

/**
 * A line by a template. It is compiled once: what is left for a line is to look values up and to join them. What it needs of
 * fields is added to `kept`.
 */
export function templateFormat(
  { escape, parts }: LogTemplate,
  context: LineContext,
  kept: KeptField[],
): LineFormat {
  const escaped = logEscape(escape);
  const compiled = parts.map((part) => (typeof part === 'string' ? part : valueOfPart(part, kept, context)));
  return {
    ofExchange(exchange) {
      let line = '';
      for (const part of compiled) line += typeof part === 'string' ? part : escaped(part(exchange, context));
      return `${line}\n`;
    },
    // Lines that are no JSON would break a reader of JSON, and the other way around.
    ofStream: escape === 'json' ? jsonOfStream : textOfStream,
  };
}

/** What gives the value of a variable; a field that it needs is added to `kept`. */
function valueOfPart(
  { variable, name }: LogVariablePart,
  kept: KeptField[],
  { redaction }: LineContext,
): Value {
  switch (variable) {
    case 'unknown':
      return () => null;
    case 'http':
      if (name === 'host') return ({ host }) => bytes(host);
      if (name === 'referer')
        return keptValue(kept, { field: name, read: (value) => redaction.target(value) });
      return keptValue(kept, { field: name, read: (value) => redaction.shown(name, value) });
    case 'cookie':
      return keptValue(kept, {
        field: 'cookie',
        read(field) {
          const value = cookieValue(field, name);
          return value === undefined ? value : redaction.shown(name, value);
        },
      });
    case 'remote_user':
      return keptValue(kept, { field: 'authorization', read: (value) => userOf(value) || undefined });
    case 'arg':
      // A semicolon does not end its value, and may stand before another parameter.
      return ({ target }) => present(argumentOf(redaction.query(queryOf(target)), name));
    default:
      return VALUES[variable];
  }
}

function keptValue(kept: KeptField[], field: KeptField): Value {
  const index = kept.push(field) - 1;
  return ({ keptFields }) => {
    const value = keptFields.values[index];
    return value === undefined ? null : textOfBytes(value);
  };
}

/** As nginx and ingress-nginx have them, as far as there is the same here. */
const VALUES: Readonly<Record<Exclude<LogVariable, 'remote_user'>, Value>> = {
  args: queryValue,
  query_string: queryValue,
  is_args: ({ target }) => (queryOf(target) === '' ? '' : '?'),
  body_bytes_sent: ({ responseBytes }) => String(responseBytes),
  bytes_sent: ({ responseBytes }) => String(responseBytes),
  document_uri: pathValue,
  uri: pathValue,
  host: hostValue,
  server_name: hostValue,
  hostname: () => HOSTNAME,
  https: ({ scheme }) => (scheme === 'https' ? 'on' : ''),
  namespace: ({ route }) => present(route?.ingress.split('/')[0]),
  ingress_name: ({ route }) => present(route?.ingress.split('/')[1]),
  location_path: ({ route }) => present(route?.path),
  service_name: (exchange) => present(/\/(.*):/.exec(exchange.route?.backend ?? '')?.[1]),
  service_port: (exchange) => present(/:([^:]*)$/.exec(exchange.route?.backend ?? '')?.[1]),
  msec: (exchange) => (endOf(exchange) / 1000).toFixed(3),
  opentelemetry_trace_id: ({ traceId }) => present(traceId),
  pid: () => String(process.pid),
  portico_cause: ({ detail }) => present(causeCode(detail)),
  portico_detail: ({ detail }) => present(detail),
  portico_policy: (exchange) => present(policyOf(exchange)),
  proxy_protocol_addr: ({ connectionInfo: { clientAddress, peer } }) =>
    clientAddress === peer ? null : present(clientAddress),
  // The canary's is the alternative of the main one.
  proxy_upstream_name: ({ backend, canary, route }) =>
    upstreamName(canary === '' ? backend || (route?.backend ?? '') : (route?.backend ?? '')),
  proxy_alternative_upstream_name: ({ backend, canary }) => (canary === '' ? null : upstreamName(backend)),
  realip_remote_addr: ({ connectionInfo }) => present(connectionInfo.peer),
  remote_addr: clientValue,
  the_real_ip: clientValue,
  req_id: requestIdValue,
  request_id: requestIdValue,
  request: ({ method, target, httpVersion }, { redaction }) =>
    method === '' ? null : bytes(`${method} ${redaction.target(target)} ${protocolOf(httpVersion)}`),
  request_length: ({ headBytes, requestBytes }) => String(headBytes + requestBytes),
  request_method: ({ method }) => bytes(method),
  request_time: ({ durationMs }) => seconds(durationMs),
  request_uri: ({ target }, { redaction }) => bytes(redaction.target(target)),
  scheme: ({ scheme }) => scheme,
  server_port: ({ connectionInfo }) => String(connectionInfo.port),
  server_protocol: ({ httpVersion }) => present(httpVersion && protocolOf(httpVersion)),
  ssl_cipher: ({ connectionInfo }) => present(connectionInfo.handshake?.cipher),
  ssl_client_i_dn: certificateField('ssl-client-issuer-dn'),
  ssl_client_s_dn: certificateField('ssl-client-subject-dn'),
  ssl_client_verify: certificateField('ssl-client-verify'),
  ssl_protocol: ({ connectionInfo }) => present(connectionInfo.handshake?.version),
  ssl_server_name: ({ connectionInfo }) => present(connectionInfo.handshake?.serverName),
  status: ({ status }) => String(status),
  time_iso8601: (exchange) => `${isoSecond(endOf(exchange))}+00:00`,
  time_local: (exchange) => localTime(endOf(exchange)),
  upstream_addr: ofAttempts(({ endpoint }) => endpoint),
  upstream_connect_time: ofAttempts(({ connectMs }) => seconds(connectMs)),
  upstream_header_time: ofAttempts(({ headMs }) => seconds(headMs)),
  upstream_response_time: ofAttempts(({ durationMs }) => seconds(durationMs)),
  // What other attempts responded is not passed on.
  upstream_response_length: ofAttempts((attempt, { upstreams, responseBytes }) =>
    attempt === upstreams.at(-1) && attempt.status !== 0 ? String(responseBytes) : '0',
  ),
  upstream_status: ofAttempts(({ status, failure }) => {
    if (status !== 0 || failure === '') return present(status === 0 ? '' : String(status));
    return failure === 'timed-out' || failure === 'connect-timed-out' ? '504' : '502';
  }),
};

const HOSTNAME = hostname();

/** One value for each attempt, with commas between them; `-` for an attempt that has none. */
function ofAttempts(value: (attempt: UpstreamAttempt, exchange: ExchangeRecord) => string | null): Value {
  return (exchange) => {
    const { upstreams } = exchange;
    const [only] = upstreams;
    if (only === undefined) return null;
    if (upstreams.length === 1) return value(only, exchange);
    return upstreams.map((attempt) => value(attempt, exchange) ?? '-').join(', ');
  };
}

function certificateField(name: string): Value {
  return ({ connectionInfo }) => present(connectionInfo.certificate?.fields[name]);
}

function clientValue({ clientAddress }: ExchangeRecord): string | null {
  return present(clientAddress);
}

function requestIdValue({ requestId }: ExchangeRecord): string | null {
  return bytes(requestId);
}

function hostValue({ host }: ExchangeRecord): string | null {
  return bytes(host.replace(/:\d*$/, '').toLowerCase());
}

function pathValue({ target }: ExchangeRecord): string | null {
  return present(normalizePath(target) ?? '');
}

function queryValue({ target }: ExchangeRecord, { redaction }: LineContext): string | null {
  return present(redaction.query(queryOf(target)));
}

function queryOf(target: string): string {
  const mark = target.indexOf('?');
  return mark < 0 ? '' : target.slice(mark + 1);
}

function protocolOf(httpVersion: string): string {
  return httpVersion === '2' ? 'HTTP/2.0' : `HTTP/${httpVersion}`;
}

/** `shop-web-80`, as ingress-nginx names an upstream. */
function upstreamName(backend: BackendKey): string | null {
  return present(backend.replace('/', '-').replace(/:([^:]*)$/, '-$1'));
}

/** nginx writes a line when a request is over. */
function endOf({ startedAt, durationMs }: ExchangeRecord): number {
  return startedAt + durationMs;
}

function seconds(ms: number | null): string | null {
  return ms === null ? null : (ms / 1000).toFixed(3);
}

function present(value: string | undefined): string | null {
  return value === undefined || value === '' ? null : value;
}

/** The same of what a client sent. */
function bytes(latin1: string): string | null {
  return present(textOfBytes(latin1));
}
