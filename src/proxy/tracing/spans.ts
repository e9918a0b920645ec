import { inOnePiece } from '../../http/one-piece.ts';
import { CREDENTIALS, type Redaction } from '../../http/redact-target.ts';
import { newSpanId } from '../../http/trace-ids.ts';
import { routeId } from '../../routing/route-source.ts';
import type { Route } from '../../routing/table.ts';
import type { ExchangeRecord, UpstreamAttempt } from '../exchange-record.ts';
import { KnownTexts } from './known-texts.ts';
import type { SpanAttempt, SpanParts } from './request-trace.ts';
import { CLIENT, SERVER, type SpanIds, quoted, spanText, text, whole } from './span-text.ts';

const NO_SPANS: readonly string[] = [];

/**
 * The spans of an exchange that is over: one of the kind SERVER, and one of the kind CLIENT for each attempt at an endpoint,
 * as the semantic conventions of OpenTelemetry for HTTP have them. None for one that is not recorded, or a health check.
 * `redaction` says what of targets is left out.
 */
export function spansOf(exchange: ExchangeRecord, redaction: Redaction = CREDENTIALS): readonly string[] {
  const { trace } = exchange;
  if (trace === null || trace.parts === null || exchange.detail === 'healthy') return NO_SPANS;
  const { traceId, context, parts } = trace;
  const spanId = newSpanId();
  const state = context?.state ?? '';
  const spans = [
    serverSpan(exchange, { traceId, spanId, parentId: context?.parentId ?? '', state }, parts, redaction),
  ];
  for (const [index, attempt] of exchange.upstreams.entries()) {
    const traced = parts.attempts[index];
    if (traced === undefined) continue;
    const ids = { traceId, spanId: traced.spanId, parentId: spanId, state };
    spans.push(clientSpan(exchange, ids, attempt, traced, index, redaction));
  }
  return spans;
}

function serverSpan(
  exchange: ExchangeRecord,
  ids: SpanIds,
  { userAgent }: SpanParts,
  redaction: Redaction,
): string {
  const { method, route, status, detail, startedAt } = exchange;
  const target = redaction.target(originForm(exchange.target));
  const mark = target.indexOf('?');
  const error = status >= 500 ? `${status}` : status < 400 ? cutOffBy(detail) : '';
  let attributes =
    `${METHOD_TEXTS.of(method)}${SCHEME_TEXTS[exchange.scheme].of(exchange.host)}${CLIENT_TEXTS.of(exchange.clientAddress)}` +
    `${PEER_TEXTS.of(exchange.connectionInfo.peer)}${VERSION_TEXTS.of(exchange.httpVersion)}` +
    `{"key":"http.response.status_code","value":{"intValue":"${status}"}},` +
    `{"key":"portico.attempts","value":{"intValue":"${exchange.attempts}"}},` +
    // It needs no escapes, or the request would have got another one.
    `{"key":"portico.request_id","value":{"stringValue":"${exchange.requestId}"}},` +
    `{"key":"url.path","value":{"stringValue":${quoted(mark < 0 ? target : target.slice(0, mark))}}}`;
  if (mark >= 0) attributes += `,${text('url.query', target.slice(mark + 1))}`;
  if (userAgent !== '') attributes += `,${text('user_agent.original', userAgent)}`;
  if (route !== null) attributes += routeText(route);
  if (exchange.backend !== '') attributes += BACKEND_TEXTS.of(exchange.backend);
  if (exchange.canary !== '') attributes += `,${text('portico.canary', exchange.canary)}`;
  if (exchange.policy !== '') attributes += `,${text('portico.policy', exchange.policy)}`;
  if (detail !== '') attributes += `,${text('portico.detail', detail)}`;
  if (error !== '') attributes += `,${text('error.type', error)}`;
  const usual = METHODS.has(method) ? method : 'HTTP';
  const name =
    route?.policies?.configs.tracing?.spanName ?? (route === null ? usual : `${usual} ${route.path}`);
  return spanText(ids, SERVER, name, startedAt, startedAt + exchange.durationMs, attributes, error !== '');
}

function clientSpan(
  { method, target, startedAt, detail }: ExchangeRecord,
  ids: SpanIds,
  attempt: UpstreamAttempt,
  traced: SpanAttempt,
  index: number,
  redaction: Redaction,
): string {
  const { endpoint, status, failure } = attempt;
  const { transport } = traced;
  const asked = redaction.target(traced.target === null ? originForm(target) : traced.target);
  // Where it was answered, the status says more than that it was not good enough.
  const cause = failure === 'answered' ? '' : failure;
  const error = cause || (status >= 400 ? `${status}` : status === 0 ? reasonOf(detail) : '');
  let attributes =
    `${METHOD_TEXTS.of(method)}${ENDPOINT_TEXTS.of(endpoint)}${VERSION_TEXTS.of(transport.http2 ? '2' : '1.1')}` +
    `{"key":"url.full","value":{"stringValue":${quoted(`${transport.tls ? 'https' : 'http'}://${endpoint}${asked}`)}}}`;
  if (status !== 0) attributes += `,{"key":"http.response.status_code","value":{"intValue":"${status}"}}`;
  if (index > 0) attributes += `,${whole('http.request.resend_count', index)}`;
  if (error !== '') attributes += `,${text('error.type', error)}`;
  const start = startedAt + attempt.startMs;
  const name = METHODS.has(method) ? method : 'HTTP';
  return spanText(ids, CLIENT, name, start, start + attempt.durationMs, attributes, error !== '');
}

const METHOD_TEXTS = new KnownTexts((method) =>
  METHODS.has(method)
    ? `${text('http.request.method', method)},`
    : `${text('http.request.method', '_OTHER')},${text('http.request.method_original', method)},`,
);
const CLIENT_TEXTS = new KnownTexts((address) => `${text('client.address', address)},`);
const PEER_TEXTS = new KnownTexts((address) => `${text('network.peer.address', address)},`);
const VERSION_TEXTS = new KnownTexts((version) => `${text('network.protocol.version', version)},`);
const BACKEND_TEXTS = new KnownTexts((backend) => `,${text('portico.backend', backend)}`);
const SCHEME_TEXTS = { http: serverTexts('http', 80), https: serverTexts('https', 443) };
const ENDPOINT_TEXTS = new KnownTexts((endpoint) => {
  const { host, port } = hostAndPort(endpoint, 80);
  return (
    `${text('server.address', host)},${whole('server.port', port)},` +
    `${text('network.peer.address', host)},${whole('network.peer.port', port)},`
  );
});

function serverTexts(scheme: string, usualPort: number): KnownTexts {
  return new KnownTexts((authority) => {
    const { host, port } = hostAndPort(authority, usualPort);
    return `${text('url.scheme', scheme)},${text('server.address', host)},${whole('server.port', port)},`;
  });
}

const routeTexts = new WeakMap<Route, string>();

function routeText(route: Route): string {
  let known = routeTexts.get(route);
  if (known === undefined) {
    known = inOnePiece(`,${text('http.route', route.path)},${text('portico.route', routeId(route))}`);
    routeTexts.set(route, known);
  }
  return known;
}

/** Those of RFC 9110 and PATCH; a client may write any other. */
const METHODS: ReadonlySet<string> = new Set([
  ...['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'],
]);

/** Why a response that had begun was not complete, where its client is not the reason. */
const CUT_OFF: ReadonlySet<string> = new Set([
  ...['upstream-reset', 'upstream-protocol-error', 'upstream-timed-out', 'deadline-exceeded'],
  ...['overloaded', 'draining', 'internal-fault'],
]);

function cutOffBy(detail: string): string {
  const reason = detail === '' ? '' : reasonOf(detail);
  return CUT_OFF.has(reason) ? reason : '';
}

/** Without what exactly was wrong: an attribute with few values. */
function reasonOf(detail: string): string {
  return detail.split(':', 1)[0] || '_OTHER';
}

/** A request target without the scheme and the authority that it may begin with. */
function originForm(target: string): string {
  if (target.startsWith('/') || !/^[a-z][a-z0-9+.-]*:\/\//i.test(target)) return target;
  const from = target.indexOf('://') + 3;
  const path = target.slice(from).search(/[/?]/);
  return path < 0 ? '/' : target.slice(from + path);
}

function hostAndPort(authority: string, usualPort: number): { readonly host: string; readonly port: number } {
  const [, bracketed, plain = '', port = usualPort] =
    /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(authority) ?? [];
  return { host: bracketed ?? plain, port: Number(port) };
}
