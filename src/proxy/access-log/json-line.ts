import { causeCode } from '../../http/cause-code.ts';
import { quoted, quotedBytes } from '../../http/log-text.ts';
import type { ExchangeRecord, UpstreamAttempt } from '../exchange-record.ts';
import type { StreamRecord } from '../stream/stream-record.ts';
import { isoTime } from './log-time.ts';
import type { LineContext, LineFormat } from './log-line.ts';

/** A field of a line, as the reference has it. */
export interface LogField {
  readonly name: string;
  readonly about: string;
  /** As JSON; null where the line does not have it. */
  json(exchange: ExchangeRecord, context: LineContext): string | null;
}

/** In the order of the line. */
export const LOG_FIELDS: readonly LogField[] = [
  {
    name: 'time',
    about: 'When the request began, in UTC.',
    json: ({ startedAt }) => `"${isoTime(startedAt)}"`,
  },
  {
    name: 'client',
    about: 'The address of the client, behind `--trusted-proxies` and PROXY headers.',
    json: ({ clientAddress }) => text(clientAddress),
  },
  { name: 'method', about: 'The method.', json: ({ method }) => quotedBytes(method) },
  {
    name: 'host',
    about: 'The Host field (`:authority` in HTTP/2) as it was sent.',
    json: ({ host }) => quotedBytes(host),
  },
  {
    name: 'target',
    about: 'Path and query as they were sent; values of `--access-log-redact` are `REDACTED`.',
    json: ({ target }, { redaction }) => quotedBytes(redaction.target(target)),
  },
  {
    name: 'scheme',
    about: '`http` or `https`, as the client spoke to Portico or to a trusted proxy in front of it.',
    json: ({ scheme }) => `"${scheme}"`,
  },
  {
    name: 'protocol',
    about: '`HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.',
    json: ({ httpVersion }) => quoted(`HTTP/${httpVersion}`),
  },
  {
    name: 'tls',
    about: 'The TLS version, where TLS ended at Portico: `TLSv1.3`.',
    json: ({ connectionInfo }) => text(connectionInfo.handshake?.version),
  },
  {
    name: 'sni',
    about: 'The name that the client asked for in its TLS handshake.',
    json: ({ connectionInfo }) => text(connectionInfo.handshake?.serverName),
  },
  {
    name: 'status',
    about: 'The status that the client got; 499 if it left before that, 101 for a tunnel.',
    json: ({ status }) => String(status),
  },
  {
    name: 'durationMs',
    about: 'From the first byte of the request to the last one of the response, in milliseconds.',
    json: ({ durationMs }) => ms(durationMs),
  },
  {
    name: 'requestBytes',
    about: 'Bytes of the request body that went to the Pod.',
    json: ({ requestBytes }) => String(requestBytes),
  },
  {
    name: 'responseBytes',
    about: 'Bytes of the response body that went to the client.',
    json: ({ responseBytes }) => String(responseBytes),
  },
  {
    name: 'userAgent',
    about: 'The User-Agent field, at most 1,024 bytes of it.',
    json: ({
      keptFields: {
        values: [userAgent],
      },
    }) => bytes(userAgent),
  },
  {
    name: 'referer',
    about: 'The Referer field, likewise, redacted as `target` is.',
    json: (
      {
        keptFields: {
          values: [, referer],
        },
      },
      { redaction },
    ) => bytes(referer && redaction.target(referer)),
  },
  {
    name: 'port',
    about: 'The port that the client connected to, here or at the load balancer that sent a PROXY header.',
    json: ({ connectionInfo }) => String(connectionInfo.port),
  },
  {
    name: 'listener',
    about: 'The listener of the Gateway: `namespace/gateway/listener`.',
    json: (exchange, { listenerOf }) => text(listenerOf(exchange)),
  },
  {
    name: 'ingress',
    about: 'The Ingress whose rule took the request, as `namespace/name`.',
    json: ({ route }) => (route?.kind ? null : text(route?.ingress)),
  },
  {
    name: 'route',
    about: 'The same for a route of Gateway API, behind its kind: `HTTPRoute shop/web`.',
    json: ({ route }) => (route?.kind ? quoted(`${route.kind} ${route.ingress}`) : null),
  },
  { name: 'path', about: 'The path of that rule.', json: ({ route }) => text(route?.path) },
  {
    name: 'backend',
    about: 'The Service port that the request was for: `namespace/service:port`.',
    json: ({ backend, route }) => text(backend || route?.backend),
  },
  {
    name: 'canary',
    about: 'The Ingress of the canary, where the request went to one.',
    json: ({ canary }) => text(canary),
  },
  {
    name: 'policy',
    about: 'The policy that responded in place of a Pod, or closed the path: `rate-limit`.',
    json: (exchange) => text(policyOf(exchange)),
  },
  {
    name: 'endpoint',
    about: 'The address and port of the Pod that answered or was tried last.',
    json: ({ endpoint }) => text(endpoint),
  },
  {
    name: 'attempts',
    about: 'How many times an endpoint was tried.',
    json: ({ attempts }) => String(attempts),
  },
  {
    name: 'upstreamStatus',
    about: 'The status of the Pod in the last attempt.',
    json: ({ upstreams }) => statusOf(upstreams.at(-1)),
  },
  {
    name: 'upstreamConnectMs',
    about: 'What connecting took in the last attempt, TLS included; 0 on a connection that was there.',
    json: ({ upstreams }) => ms(upstreams.at(-1)?.connectMs),
  },
  {
    name: 'upstreamHeadMs',
    about: 'From the start of the last attempt to the head of the response.',
    json: ({ upstreams }) => ms(upstreams.at(-1)?.headMs),
  },
  {
    name: 'upstreamMs',
    about: 'From the start of the last attempt to its end.',
    json: ({ upstreams }) => ms(upstreams.at(-1)?.durationMs),
  },
  {
    name: 'upstreams',
    about:
      'Where there were several attempts: each with `endpoint`, `status`, `connectMs`, `headMs`, `ms`, and `failure`, which says how it failed.',
    json: ({ upstreams }) => (upstreams.length < 2 ? null : `[${upstreams.map(ofAttempt).join(',')}]`),
  },
  {
    name: 'requestId',
    about: 'X-Request-ID, as the Pod got it.',
    json: ({ requestId }) => quotedBytes(requestId),
  },
  {
    name: 'traceId',
    about: 'The trace that the request belongs to, where it has one.',
    json: ({ traceId }) => text(traceId),
  },
  {
    name: 'detail',
    about: 'Why Portico itself responded or cut the response off: [below](#detail).',
    json: ({ detail }) => text(detail),
  },
  {
    name: 'cause',
    about: 'The same as a [short code](#cause).',
    json: ({ detail }) => text(causeCode(detail)),
  },
];

/** The same of a TCP connection, or of the datagrams of one client. */
export const STREAM_FIELDS: readonly {
  readonly name: string;
  readonly about: string;
  json(stream: StreamRecord): string | null;
}[] = [
  {
    name: 'time',
    about: 'When it began, in UTC.',
    json: ({ startedAt }) => `"${isoTime(startedAt)}"`,
  },
  { name: 'client', about: 'The address of the client.', json: ({ clientAddress }) => text(clientAddress) },
  {
    name: 'protocol',
    about: '`tcp`, `udp`, or `tls` for TLS that is passed through or whose content is no HTTP.',
    json: ({ protocol }) => `"${protocol}"`,
  },
  { name: 'port', about: 'The port of the service.', json: ({ port }) => (port === 0 ? null : String(port)) },
  { name: 'durationMs', about: 'From its start to its end.', json: ({ durationMs }) => ms(durationMs) },
  {
    name: 'receivedBytes',
    about: 'Bytes from the client.',
    json: ({ receivedBytes }) => String(receivedBytes),
  },
  { name: 'sentBytes', about: 'Bytes to the client.', json: ({ sentBytes }) => String(sentBytes) },
  {
    name: 'receivedDatagrams',
    about: 'Datagrams from the client.',
    json: (stream) => (stream.protocol === 'udp' ? String(stream.receivedDatagrams) : null),
  },
  {
    name: 'sentDatagrams',
    about: 'Datagrams to the client.',
    json: (stream) => (stream.protocol === 'udp' ? String(stream.sentDatagrams) : null),
  },
  { name: 'backend', about: 'The Service port.', json: ({ backend }) => text(backend) },
  {
    name: 'endpoint',
    about: 'The address and port of the Pod that was tried last.',
    json: ({ endpoint }) => text(endpoint),
  },
  {
    name: 'attempts',
    about: 'How many times an endpoint was tried.',
    json: ({ attempts }) => String(attempts),
  },
  {
    name: 'detail',
    about: 'Why it ended, unless both sides closed it.',
    json: ({ end }) => (end === 'closed' ? null : text(end)),
  },
];

/** One JSON object for each request, whose kept fields begin with `USUAL_FIELDS`. `level` and `stream` are there to tell these lines from the others. */
export function jsonFormat(context: LineContext): LineFormat {
  return {
    ofExchange(exchange) {
      let line = START;
      for (const { field, start } of FIELDS) {
        const value = field.json(exchange, context);
        if (value !== null) line += start + value;
      }
      return `${line}}\n`;
    },
    ofStream: jsonOfStream,
  };
}

export function jsonOfStream(stream: StreamRecord): string {
  let line = START;
  for (const field of STREAM_FIELDS) {
    const value = field.json(stream);
    if (value !== null) line += `,"${field.name}":${value}`;
  }
  return `${line}}\n`;
}

const FIELDS = LOG_FIELDS.map((field) => ({ field, start: `,"${field.name}":` }));

const START = '{"level":"info","stream":"access"';

/** What responded in place of an endpoint; those that closed the route have no chance to. */
export function policyOf({ policy, detail, route }: ExchangeRecord): string {
  if (policy !== '' || detail !== 'closed-by-policy') return policy;
  return route?.policies?.closed.join(', ') ?? '';
}

function text(value: string | undefined): string | null {
  return value === undefined || value === '' ? null : quoted(value);
}

/** The same of what a client sent. */
function bytes(latin1: string | undefined): string | null {
  return latin1 === undefined || latin1 === '' ? null : quotedBytes(latin1);
}

/** To the microsecond. */
function ms(value: number | null | undefined): string | null {
  return value === null || value === undefined ? null : String(Math.round(value * 1000) / 1000);
}

function statusOf(attempt: UpstreamAttempt | undefined): string | null {
  return attempt === undefined || attempt.status === 0 ? null : String(attempt.status);
}

function ofAttempt(attempt: UpstreamAttempt): string {
  const { endpoint, connectMs, headMs, durationMs, failure } = attempt;
  const members: readonly (readonly [string, string | null])[] = [
    ['endpoint', text(endpoint)],
    ['status', statusOf(attempt)],
    ['connectMs', ms(connectMs)],
    ['headMs', ms(headMs)],
    ['ms', ms(durationMs)],
    ['failure', text(failure)],
  ];
  return `{${members.flatMap(([name, value]) => (value === null ? [] : [`"${name}":${value}`])).join(',')}}`;
}
