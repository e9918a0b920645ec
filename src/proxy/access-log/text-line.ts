import { printable } from '../../http/log-text.ts';
import type { ExchangeRecord } from '../exchange-record.ts';
import type { StreamRecord } from '../stream/stream-record.ts';
import { policyOf } from './json-line.ts';
import { isoTime } from './log-time.ts';
import type { LineContext, LineFormat } from './log-line.ts';

/** For a person at a terminal. */
export function textFormat(context: LineContext): LineFormat {
  return {
    ofExchange: (exchange) => textOfExchange(exchange, context),
    ofStream: textOfStream,
  };
}

/** `12:00:00.123 access GET shop.example.com/cart 502 3.1ms shop/web → 10.0.0.7:8080 (upstream-refused)` */
function textOfExchange(exchange: ExchangeRecord, { redaction }: LineContext): string {
  const { startedAt, method, host, target, status, durationMs, route, canary, endpoint, detail } = exchange;
  const time = isoTime(startedAt).slice(11, 23);
  const url = printable(`${host}${redaction.target(target)}`);
  const ofCanary = canary ? ` (canary ${canary})` : '';
  const way = route
    ? `${route.kind ? `${route.kind} ` : ''}${route.ingress}${ofCanary} → ${endpoint || 'none'}`
    : 'no route';
  const policy = policyOf(exchange);
  const reasons = [...(detail ? [printable(detail)] : []), ...(policy ? [`by ${policy}`] : [])];
  const why = reasons.length > 0 ? ` (${reasons.join(' ')})` : '';
  return `${time} access ${printable(method)} ${url} ${status} ${durationMs.toFixed(1)}ms ${way}${why}\n`;
}

/** `12:00:00.123 access tcp 5432 10.0.0.9 120 bytes in 3400 out 31ms db/postgres:5432 → 10.0.0.7:5432 (idle)` */
export function textOfStream(stream: StreamRecord): string {
  const time = isoTime(stream.startedAt).slice(11, 23);
  const { protocol, port, clientAddress, receivedBytes, sentBytes, durationMs, backend, endpoint, end } =
    stream;
  const place = port === 0 ? protocol : `${protocol} ${port}`;
  const way = `${backend || 'no backend'} → ${endpoint || 'none'}`;
  const why = end === 'closed' ? '' : ` (${end})`;
  return `${time} access ${place} ${printable(clientAddress)} ${receivedBytes} bytes in ${sentBytes} out ${durationMs}ms ${way}${why}\n`;
}
