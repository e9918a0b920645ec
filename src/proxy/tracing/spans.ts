import { CREDENTIALS, type Redaction } from '../../http/redact-target.ts';
import { routeId } from '../../routing/route-source.ts';
import type { ExchangeRecord, UpstreamAttempt } from '../exchange-record.ts';
import type { SampledTrace, TracedAttempt } from './request-trace.ts';
import { CLIENT, SERVER, spanText, text, whole } from './span-text.ts';

const NO_SPANS: readonly string[] = [];

/**
 * The spans of an exchange that is over: one of the kind SERVER, and one of the kind CLIENT for each attempt at an endpoint,
 * as the semantic conventions of OpenTelemetry for HTTP have them. None for one that is not recorded, or a health check.
 * `redaction` says what of targets is left out.
 */
export function spansOf(exchange: ExchangeRecord, redaction: Redaction = CREDENTIALS): readonly string[] {
  const { trace } = exchange;
  if (trace === null || !trace.isSampled || exchange.detail === 'healthy') return NO_SPANS;
  const spans = [serverSpan(exchange, trace, redaction)];
  for (const [index, attempt] of exchange.upstreams.entries()) {
    const traced = trace.attempts[index];
    if (traced) spans.push(clientSpan(exchange, trace, attempt, traced, index, redaction));
  }
  return spans;
}

function serverSpan(exchange: ExchangeRecord, trace: SampledTrace, redaction: Redaction): string {
  const { method, route, status, detail, startedAt } = exchange;
  const { traceId, parentId, state } = trace;
  const { spanId, spanName, userAgent } = trace.server;
  const [path, query] = pathAndQuery(exchange.target, redaction);
  const { host, port } = hostAndPort(exchange.host, exchange.scheme === 'https' ? 443 : 80);
  let attributes =
    `${methodOf(method)},${text('url.scheme', exchange.scheme)},${text('url.path', path)},` +
    `${whole('http.response.status_code', status)},${text('network.protocol.version', exchange.httpVersion)},` +
    `${text('server.address', host)},${whole('server.port', port)},` +
    `${text('client.address', exchange.clientAddress)},${text('network.peer.address', exchange.connectionInfo.peer)},` +
    `${text('portico.request_id', exchange.requestId)},${whole('portico.attempts', exchange.attempts)}`;
  if (query !== '') attributes += `,${text('url.query', query)}`;
  if (userAgent !== '') attributes += `,${text('user_agent.original', userAgent)}`;
  if (route !== null)
    attributes += `,${text('http.route', route.path)},${text('portico.route', routeId(route))}`;
  if (exchange.backend !== '') attributes += `,${text('portico.backend', exchange.backend)}`;
  if (exchange.canary !== '') attributes += `,${text('portico.canary', exchange.canary)}`;
  if (exchange.policy !== '') attributes += `,${text('portico.policy', exchange.policy)}`;
  if (detail !== '') attributes += `,${text('portico.detail', detail)}`;
  const error =
    status >= 500 ? `${status}` : status < 400 && CUT_OFF.has(reasonOf(detail)) ? reasonOf(detail) : '';
  if (error !== '') attributes += `,${text('error.type', error)}`;
  const name = METHODS.has(method) ? method : 'HTTP';
  return spanText(
    {
      ...{ traceId, parentId, state, startedAt, spanId, kind: SERVER },
      name: spanName ?? (route === null ? name : `${name} ${route.path}`),
      endedAt: startedAt + exchange.durationMs,
      isError: error !== '',
      hasRemoteParent: parentId !== '',
    },
    attributes,
  );
}

function clientSpan(
  { method, startedAt, detail }: ExchangeRecord,
  { traceId, server, state }: SampledTrace,
  attempt: UpstreamAttempt,
  { spanId, transport, target }: TracedAttempt,
  index: number,
  redaction: Redaction,
): string {
  const { endpoint, status, failure } = attempt;
  const { host, port } = hostAndPort(endpoint, 80);
  const scheme = transport.tls ? 'https' : 'http';
  // Where it was answered, the status says more than that it was not good enough.
  const cause = failure === 'answered' ? '' : failure;
  const error = cause || (status >= 400 ? `${status}` : status === 0 ? reasonOf(detail) : '');
  let attributes =
    `${methodOf(method)},${text('server.address', host)},${whole('server.port', port)},` +
    `${text('url.full', `${scheme}://${endpoint}${redaction.target(target)}`)},` +
    `${text('network.peer.address', host)},${whole('network.peer.port', port)},` +
    `${text('network.protocol.version', transport.http2 ? '2' : '1.1')}`;
  if (status !== 0) attributes += `,${whole('http.response.status_code', status)}`;
  if (index > 0) attributes += `,${whole('http.request.resend_count', index)}`;
  if (error !== '') attributes += `,${text('error.type', error)}`;
  const start = startedAt + attempt.startMs;
  return spanText(
    {
      ...{ traceId, spanId, parentId: server.spanId, state, kind: CLIENT },
      name: METHODS.has(method) ? method : 'HTTP',
      startedAt: start,
      endedAt: start + attempt.durationMs,
      isError: error !== '',
      hasRemoteParent: false,
    },
    attributes,
  );
}

/** Those of RFC 9110 and PATCH; a client may write any other. */
const METHODS: ReadonlySet<string> = new Set([
  ...['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'],
]);

function methodOf(method: string): string {
  if (METHODS.has(method)) return text('http.request.method', method);
  return `${text('http.request.method', '_OTHER')},${text('http.request.method_original', method)}`;
}

/** Why a response that had begun was not complete, where its client is not the reason. */
const CUT_OFF: ReadonlySet<string> = new Set([
  ...['upstream-reset', 'upstream-protocol-error', 'upstream-timed-out', 'deadline-exceeded'],
  ...['overloaded', 'draining', 'internal-fault'],
]);

/** Without what exactly was wrong: an attribute with few values. */
function reasonOf(detail: string): string {
  return detail.split(':', 1)[0] || '_OTHER';
}

/** Path and query of a request target, without an authority and what is redacted. */
function pathAndQuery(target: string, redaction: Redaction): readonly [path: string, query: string] {
  const redacted = redaction.target(
    /^[a-z][a-z0-9+.-]*:\/\//i.test(target) ? withoutAuthority(target) : target,
  );
  const mark = redacted.indexOf('?');
  return mark < 0 ? [redacted, ''] : [redacted.slice(0, mark), redacted.slice(mark + 1)];
}

function withoutAuthority(target: string): string {
  const from = target.indexOf('://') + 3;
  const path = target.slice(from).search(/[/?]/);
  return path < 0 ? '/' : target.slice(from + path);
}

function hostAndPort(authority: string, usualPort: number): { readonly host: string; readonly port: number } {
  const [, bracketed, plain = '', port = usualPort] =
    /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(authority) ?? [];
  return { host: bracketed ?? plain, port: Number(port) };
}
