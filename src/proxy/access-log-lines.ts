import { pino } from 'pino';
import type { ExchangeRecord } from './exchange-record.ts';
import type { StreamRecord } from './stream/stream-record.ts';

export type AccessLogFormat = 'off' | 'json' | 'text';

export interface AccessLog {
  write(exchange: ExchangeRecord): void;
  writeStream(stream: StreamRecord): void;
  /** Sends what is gathered. */
  flush(): void;
}

/** The listener of a Gateway that an exchange belongs to; undefined for what Ingresses serve. */
export type ListenerOf = (exchange: ExchangeRecord) => string | undefined;

/** `"level":"warn"` rather than pino's number. */
export const LEVELS_AS_WORDS = { level: (level: string) => ({ level }) };

/** Whether an exchange is a line: not a health check, of which there is one every few seconds from every node. */
export function isLogged({ detail, route }: ExchangeRecord): boolean {
  return detail !== 'healthy' && route?.policies?.configs['access-log'] === undefined;
}

/** Lines are sent on when this many characters are gathered, or after `FLUSH_INTERVAL_MS`. */
const BATCH_CHARACTERS = 32 * 1024;
const FLUSH_INTERVAL_MS = 100;

/**
 * Formats one line per exchange and hands batches of whole lines to `send`. The thread does not write them itself:
 * lines of several threads on one pipe would be torn, and a blocked pipe must not reach the data path. Each line says
 * that it is of the access log, so that the other lines can be found among them.
 */
export function createAccessLog(
  format: AccessLogFormat,
  send: (lines: string) => void,
  listenerOf: ListenerOf = () => undefined,
): AccessLog {
  if (format === 'off') return { write: () => {}, writeStream: () => {}, flush: () => {} };
  let batch = '';
  let timer: NodeJS.Timeout | null = null;
  const flush = (): void => {
    if (timer) clearTimeout(timer);
    timer = null;
    if (batch === '') return;
    const lines = batch;
    batch = '';
    send(lines);
  };
  const gather = (line: string): void => {
    batch += line;
    if (batch.length >= BATCH_CHARACTERS) flush();
    else timer ??= setTimeout(flush, FLUSH_INTERVAL_MS).unref();
  };
  if (format === 'text')
    return {
      write: (exchange) => gather(textLine(exchange)),
      writeStream: (stream) => gather(streamText(stream)),
      flush,
    };
  const logger = pino(
    { base: { stream: 'access' }, timestamp: false, formatters: LEVELS_AS_WORDS },
    { write: gather },
  );
  return {
    write: (exchange) => logger.info(jsonFields(exchange, listenerOf(exchange))),
    writeStream: (stream) => logger.info(streamFields(stream)),
    flush,
  };
}

function streamFields(stream: StreamRecord): Record<string, unknown> {
  const isUdp = stream.protocol === 'udp';
  return {
    time: new Date(stream.startedAt).toISOString(),
    client: stream.clientAddress,
    protocol: stream.protocol,
    port: stream.port || undefined,
    durationMs: stream.durationMs,
    receivedBytes: stream.receivedBytes,
    sentBytes: stream.sentBytes,
    receivedDatagrams: isUdp ? stream.receivedDatagrams : undefined,
    sentDatagrams: isUdp ? stream.sentDatagrams : undefined,
    backend: stream.backend || undefined,
    endpoint: stream.endpoint || undefined,
    attempts: stream.attempts,
    detail: stream.end === 'closed' ? undefined : stream.end,
  };
}

/** `12:00:00.123 access tcp 5432 10.0.0.9 120 bytes in 3400 out 31ms db/postgres:5432 → 10.0.0.7:5432 (idle)` */
function streamText(stream: StreamRecord): string {
  const time = new Date(stream.startedAt).toISOString().slice(11, 23);
  const { protocol, port, clientAddress, receivedBytes, sentBytes, durationMs, backend, endpoint, end } =
    stream;
  const place = port === 0 ? protocol : `${protocol} ${port}`;
  const way = `${backend || 'no backend'} → ${endpoint || 'none'}`;
  const detail = end === 'closed' ? '' : ` (${end})`;
  return `${time} access ${place} ${printable(clientAddress)} ${receivedBytes} bytes in ${sentBytes} out ${durationMs}ms ${way}${detail}\n`;
}

function jsonFields(exchange: ExchangeRecord, listener: string | undefined): Record<string, unknown> {
  const { route } = exchange;
  return {
    time: new Date(exchange.startedAt).toISOString(),
    client: exchange.clientAddress,
    method: exchange.method,
    host: exchange.host,
    target: exchange.target,
    scheme: exchange.scheme,
    protocol: `HTTP/${exchange.httpVersion}`,
    status: exchange.status,
    durationMs: Math.round(exchange.durationMs * 1000) / 1000,
    requestBytes: exchange.requestBytes,
    responseBytes: exchange.responseBytes,
    port: listener && exchange.connectionInfo.port,
    listener,
    ...(route?.kind ? { route: `${route.kind} ${route.ingress}` } : { ingress: route?.ingress }),
    path: route?.path,
    backend: exchange.backend || route?.backend,
    canary: exchange.canary || undefined,
    endpoint: exchange.endpoint || undefined,
    attempts: exchange.attempts,
    requestId: exchange.requestId,
    detail: exchange.detail || undefined,
  };
}

/** `12:00:00.123 access GET shop.example.com/cart 200 3.1ms shop/web → 10.0.0.7:8080`, for a person at a terminal. */
function textLine(exchange: ExchangeRecord): string {
  const time = new Date(exchange.startedAt).toISOString().slice(11, 23);
  const url = printable(`${exchange.host}${exchange.target}`);
  const canary = exchange.canary ? ` (canary ${exchange.canary})` : '';
  const way = exchange.route
    ? `${exchange.route.kind ? `${exchange.route.kind} ` : ''}${exchange.route.ingress}${canary} → ${exchange.endpoint || 'none'}`
    : 'no route';
  const detail = exchange.detail ? ` (${printable(exchange.detail)})` : '';
  const duration = `${exchange.durationMs.toFixed(1)}ms`;
  return `${time} access ${printable(exchange.method)} ${url} ${exchange.status} ${duration} ${way}${detail}\n`;
}

/** What others send must not move the cursor of a person who reads the log, nor begin a line of its own. */
export function printable(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
