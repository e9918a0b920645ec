import { closestMatch } from '../model/closest-match.ts';

/** How values are written, as in `log_format` of nginx. */
export type LogEscape = 'default' | 'json' | 'none';

/** A line of the access log in the words of nginx: `$remote_addr "$request" $status`. Plain data. */
export interface LogTemplate {
  readonly escape: LogEscape;
  readonly parts: readonly LogPart[];
}

export type LogPart = string | LogVariablePart;

export interface LogVariablePart {
  readonly variable: LogVariable | 'http' | 'cookie' | 'arg' | 'unknown';
  /** Of the header field (in lower case, with hyphens), the cookie or the argument; otherwise empty. */
  readonly name: string;
}

/** The variables of nginx and of ingress-nginx that a line may have, beside `$http_…`, `$cookie_…` and `$arg_…`. */
export const LOG_VARIABLES = [
  'args',
  'body_bytes_sent',
  'bytes_sent',
  'document_uri',
  'host',
  'hostname',
  'https',
  'ingress_name',
  'is_args',
  'location_path',
  'msec',
  'namespace',
  'opentelemetry_trace_id',
  'pid',
  'portico_cause',
  'portico_detail',
  'portico_policy',
  'proxy_alternative_upstream_name',
  'proxy_protocol_addr',
  'proxy_upstream_name',
  'query_string',
  'realip_remote_addr',
  'remote_addr',
  'remote_user',
  'req_id',
  'request',
  'request_id',
  'request_length',
  'request_method',
  'request_time',
  'request_uri',
  'scheme',
  'server_name',
  'server_port',
  'server_protocol',
  'service_name',
  'service_port',
  'ssl_cipher',
  'ssl_client_i_dn',
  'ssl_client_s_dn',
  'ssl_client_verify',
  'ssl_protocol',
  'ssl_server_name',
  'status',
  'the_real_ip',
  'time_iso8601',
  'time_local',
  'upstream_addr',
  'upstream_connect_time',
  'upstream_header_time',
  'upstream_response_length',
  'upstream_response_time',
  'upstream_status',
  'uri',
] as const;
export type LogVariable = (typeof LOG_VARIABLES)[number];

/** What ingress-nginx writes unless it is told otherwise. */
export const INGRESS_NGINX_FORMAT =
  '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" ' +
  '$request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr ' +
  '$upstream_response_length $upstream_response_time $upstream_status $req_id';

export interface ReadLogTemplate {
  readonly template: LogTemplate;
  /** What is no variable here, as it is written: `$geoip_city`. Such a part is logged as if it were empty. */
  readonly unknown: readonly string[];
}

const MOST_CHARACTERS = 8 * 1024;
const MOST_PARTS = 256;
const PART = /\$(?:\{([a-z0-9_]+)\}|([a-z0-9_]+))|\$|[^$]+/gi;
const NAMED = /^(http|cookie|arg)_(.+)$/;

/** Reads a format; null for one that is too long. Line ends in it become blanks: one request is one line. */
export function readLogTemplate(text: string, escape: LogEscape): ReadLogTemplate | null {
  if (text.length > MOST_CHARACTERS) return null;
  const parts: LogPart[] = [];
  const unknown: string[] = [];
  for (const [part, braced, bare] of text.trim().matchAll(PART)) {
    if (parts.length === MOST_PARTS) return null;
    const written = braced ?? bare;
    if (written === undefined && part !== '$') {
      parts.push(part.replace(/\s*[\r\n]\s*/g, ' '));
      continue;
    }
    const variable = variableOf(written ?? '');
    if (variable.variable === 'unknown') unknown.push(part.slice(0, 60));
    parts.push(variable);
  }
  return { template: { escape, parts }, unknown };
}

function variableOf(written: string): LogVariablePart {
  const lower = written.toLowerCase();
  const known = LOG_VARIABLES.find((each) => each === lower);
  if (known !== undefined) return { variable: known, name: '' };
  const [, prefix, name = ''] = NAMED.exec(lower) ?? [];
  if (prefix === 'http') return { variable: prefix, name: name.replaceAll('_', '-') };
  // nginx compares these without case, and browsers send cookies as they were set: the spelling is kept.
  if (prefix === 'cookie' || prefix === 'arg')
    return { variable: prefix, name: written.slice(prefix.length + 1) };
  return { variable: 'unknown', name: '' };
}

/** The variable that was perhaps meant by one that is not known, with its `$`; null for none. */
export function closestVariable(unknown: string): string | null {
  const closest = closestMatch(unknown.replace(/[^a-z0-9_]/gi, '').toLowerCase(), LOG_VARIABLES);
  return closest === null ? null : `$${closest}`;
}
