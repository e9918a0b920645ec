import { causeCode } from '../../http/cause-code.ts';
import { quoted, textOfBytes } from '../../http/log-text.ts';
import type { ExchangeRecord } from '../exchange-record.ts';
import type { StreamRecord } from '../stream/stream-record.ts';
import { policyOf } from './json-line.ts';
import type { LineContext, LineFormat } from './log-line.ts';

/** SEVERITY_NUMBER_INFO and SEVERITY_NUMBER_ERROR. */
const INFO = 9;
const ERROR = 17;

/**
 * Log records of OpenTelemetry, in JSON as OTLP has it, one on each line. Names are those of its semantic conventions; what
 * these have no name for begins with `portico.`.
 */
export function otlpFormat(context: LineContext): LineFormat {
  return { ofExchange: (exchange) => recordOfExchange(exchange, context), ofStream: recordOfStream };
}

function recordOfExchange(exchange: ExchangeRecord, { redaction }: LineContext): string {
  const { method, host, status, route, connectionInfo, detail, traceId } = exchange;
  const target = redaction.target(textOfBytes(exchange.target));
  const mark = target.indexOf('?');
  const { length } = target;
  const [userAgent = '', referer = ''] = exchange.keptFields.values;
  const upstream = exchange.upstreams.at(-1);
  const attributes =
    text('http.request.method', method) +
    text('url.scheme', exchange.scheme) +
    text('url.path', target.slice(0, mark < 0 ? length : mark)) +
    text('url.query', mark < 0 ? '' : target.slice(mark + 1)) +
    text('server.address', textOfBytes(host)) +
    text('client.address', exchange.clientAddress) +
    text('network.protocol.version', exchange.httpVersion) +
    text('tls.protocol.version', connectionInfo.handshake?.version.replace('TLSv', '')) +
    text('user_agent.original', textOfBytes(userAgent)) +
    list('http.request.header.referer', redaction.target(textOfBytes(referer))) +
    whole('http.response.status_code', status) +
    whole('http.request.body.size', exchange.requestBytes) +
    whole('http.response.body.size', exchange.responseBytes) +
    text('http.route', route?.path) +
    text('error.type', detail) +
    text('portico.cause', causeCode(detail)) +
    text('portico.policy', policyOf(exchange)) +
    text('portico.ingress', route?.ingress) +
    text('portico.backend', exchange.backend) +
    text('portico.endpoint', exchange.endpoint) +
    whole('portico.attempts', exchange.attempts) +
    text('portico.request_id', textOfBytes(exchange.requestId)) +
    double('portico.duration', exchange.durationMs / 1000) +
    (upstream === undefined ? '' : double('portico.upstream.duration', upstream.durationMs / 1000));
  const body = `${textOfBytes(method)} ${textOfBytes(host)}${target} ${status}`;
  const severity = status >= 500 ? ERROR : INFO;
  const endedAt = exchange.startedAt + exchange.durationMs;
  return record(exchange.startedAt, endedAt, severity, body, attributes, traceId);
}

function recordOfStream(stream: StreamRecord): string {
  const { protocol, clientAddress, port, backend, endpoint, end, startedAt, durationMs } = stream;
  const attributes =
    text('network.transport', protocol === 'udp' ? 'udp' : 'tcp') +
    text('client.address', clientAddress) +
    (port === 0 ? '' : whole('server.port', port)) +
    text('error.type', end === 'closed' ? '' : end) +
    text('portico.backend', backend) +
    text('portico.endpoint', endpoint) +
    whole('portico.attempts', stream.attempts) +
    whole('portico.received_bytes', stream.receivedBytes) +
    whole('portico.sent_bytes', stream.sentBytes) +
    double('portico.duration', durationMs / 1000);
  const body = `${protocol} ${clientAddress} ${stream.receivedBytes} bytes in ${stream.sentBytes} out`;
  return record(startedAt, startedAt + durationMs, INFO, body, attributes, '');
}

/** `attributes` each begin with a comma. */
function record(
  startedAt: number,
  endedAt: number,
  severity: typeof INFO | typeof ERROR,
  body: string,
  attributes: string,
  traceId: string,
): string {
  const severityText = severity === INFO ? 'INFO' : 'ERROR';
  const trace = traceId === '' ? '' : `,"traceId":"${traceId}"`;
  return (
    `{"timeUnixNano":"${nanos(startedAt)}","observedTimeUnixNano":"${nanos(endedAt)}",` +
    `"severityNumber":${severity},"severityText":"${severityText}","eventName":"portico.access",` +
    `"body":{"stringValue":${quoted(body)}},"attributes":[${attributes.slice(1)}]${trace}}\n`
  );
}

function text(key: string, value: string | undefined): string {
  return value === undefined || value === ''
    ? ''
    : `,{"key":"${key}","value":{"stringValue":${quoted(value)}}}`;
}

/** A list with one text. */
function list(key: string, value: string): string {
  return value === ''
    ? ''
    : `,{"key":"${key}","value":{"arrayValue":{"values":[{"stringValue":${quoted(value)}}]}}}`;
}

/** 64-bit integers are strings. */
function whole(key: string, value: number): string {
  return `,{"key":"${key}","value":{"intValue":"${value}"}}`;
}

function double(key: string, value: number): string {
  return `,{"key":"${key}","value":{"doubleValue":${Math.round(value * 1e6) / 1e6}}}`;
}

/** As exact as a number of milliseconds since the epoch is: to a microsecond. */
function nanos(ms: number): string {
  return `${Math.round(ms * 1000)}000`;
}
