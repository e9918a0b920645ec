import { property, assert, array, constantFrom, record, string } from 'fast-check';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import {
  type LogEscape,
  type LogTemplate,
  INGRESS_NGINX_FORMAT,
  readLogTemplate,
} from '../../src/http/log-template.ts';
import { CREDENTIAL_NAMES } from '../../src/http/redact-target.ts';
import { policySet } from '../../src/policies/policy-set.ts';
import { AccessLog, type AccessLogSettings } from '../../src/proxy/access-log/access-log-lines.ts';
import { LOG_ALL, type LogFilterSettings, logFilter } from '../../src/proxy/access-log/log-filter.ts';
import type { ExchangeRecord, UpstreamAttempt } from '../../src/proxy/exchange-record.ts';
import { aRoute, anExchange } from './an-exchange.ts';
import { examples } from '../support/examples.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

type Format = AccessLogSettings['format'];

function openLog(format: Format, filter: LogFilterSettings = LOG_ALL, redact = CREDENTIAL_NAMES) {
  const sent: string[] = [];
  const log = new AccessLog(
    { format, filter, redact },
    {
      send: (lines) => void sent.push(lines),
      sendRecords: null,
      listenerOf: () => undefined,
      random: () => 0.5,
    },
  );
  return { log, sent };
}

function template(text: string, escape: LogEscape = 'default'): LogTemplate {
  const read = readLogTemplate(text, escape);
  expect(read?.unknown).toEqual([]);
  return read!.template;
}

/** The fields of a request, which the log keeps what it needs of. */
function fields(values: Readonly<Record<string, string>>) {
  return { value: (name: string) => values[name], values: () => [] };
}

/** The lines of exchanges whose requests had these fields. */
function linesOf(
  format: Format,
  exchanges: readonly Partial<ExchangeRecord>[],
  sentFields: Readonly<Record<string, string>> = {},
): string[] {
  const { log, sent } = openLog(format);
  for (const each of exchanges) {
    const exchange = anExchange(each);
    log.write({ ...exchange, keptFields: log.keep(fields(sentFields), exchange.route) });
  }
  log.flush();
  return sent.join('').split('\n').slice(0, -1);
}

const attempt: UpstreamAttempt = {
  ...{ endpoint: '10.0.0.7:8080', startMs: 0.1, connectMs: 0.5, headMs: 2, durationMs: 2.5 },
  ...{ status: 200, failure: '' },
};
const refused: UpstreamAttempt = {
  ...{ endpoint: '10.0.0.6:8080', startMs: 0, connectMs: null, headMs: null, durationMs: 0.1 },
  ...{ status: 0, failure: 'refused' },
};

it('json: one line with every field; what does not apply is left out', () => {
  const [served, missing, ofCanary, retried, closed] = linesOf(
    'json',
    [
      {},
      {
        ...{ route: null, backend: '', endpoint: '', attempts: 0, upstreams: [] },
        ...{ status: 404, detail: 'no-route' },
      },
      { backend: 'shop/next:80', canary: 'shop/canary' },
      { attempts: 2, upstreams: [refused, attempt], traceId: '0af7651916cd43dd8448eb211c80319c' },
      {
        route: { ...aRoute('shop/web'), policies: policySet({}, ['basic-auth']) },
        detail: 'closed-by-policy',
      },
    ],
    { 'user-agent': 'curl/8.5', referer: 'https://shop.test/?token=abc' },
  ).map((line) => JSON.parse(line) as object);
  expect(served).toEqual({
    level: 'info',
    stream: 'access',
    time: '2026-01-02T03:04:05.678Z',
    client: '192.0.2.7',
    method: 'GET',
    host: 'shop.test',
    target: '/cart?item=1',
    scheme: 'https',
    protocol: 'HTTP/1.1',
    tls: 'TLSv1.3',
    sni: 'shop.test',
    status: 200,
    durationMs: 3.142,
    requestBytes: 0,
    responseBytes: 12,
    userAgent: 'curl/8.5',
    referer: 'https://shop.test/?token=REDACTED',
    port: 443,
    ingress: 'shop/web',
    path: '/cart',
    backend: 'shop/web:80',
    endpoint: '10.0.0.7:8080',
    attempts: 1,
    upstreamStatus: 200,
    upstreamConnectMs: 0.5,
    upstreamHeadMs: 2,
    upstreamMs: 2.5,
    requestId: 'id-1',
  });
  expect(missing).toMatchObject({ status: 404, detail: 'no-route', cause: 'NR' });
  for (const field of ['ingress', 'path', 'backend', 'endpoint', 'upstreamMs'])
    expect(missing).not.toHaveProperty(field);
  expect(ofCanary).toMatchObject({ ingress: 'shop/web', backend: 'shop/next:80', canary: 'shop/canary' });
  expect(retried).toMatchObject({
    traceId: '0af7651916cd43dd8448eb211c80319c',
    upstreams: [
      { endpoint: '10.0.0.6:8080', failure: 'refused', ms: 0.1 },
      { endpoint: '10.0.0.7:8080', status: 200, connectMs: 0.5, headMs: 2, ms: 2.5 },
    ],
  });
  expect(closed).toMatchObject({ policy: 'basic-auth', cause: 'CP' });
});

it('text: one line for a person, in which control characters are spelled out', () => {
  expect(
    linesOf('text', [
      { target: '/cart?item=1&code=2' },
      { route: null, status: 404, detail: 'no-route', attempts: 0 },
      { endpoint: '', status: 429, detail: 'rate-limited', policy: 'rate-limit' },
      { endpoint: '', status: 302, policy: 'redirect' },
      { method: 'G\u0008T', host: 'a\u009b', target: '/\u001b[2J\n\u007f\u0085\r' },
    ]),
  ).toEqual([
    '03:04:05.678 access GET shop.test/cart?item=1&code=REDACTED 200 3.1ms shop/web → 10.0.0.7:8080',
    '03:04:05.678 access GET shop.test/cart?item=1 404 3.1ms no route (no-route)',
    '03:04:05.678 access GET shop.test/cart?item=1 429 3.1ms shop/web → none (rate-limited by rate-limit)',
    '03:04:05.678 access GET shop.test/cart?item=1 302 3.1ms shop/web → none (by redirect)',
    '03:04:05.678 access G\\x08T a\\x9b/\\x1b[2J\\x0a\\x7f\\x85\\x0d 200 3.1ms shop/web → 10.0.0.7:8080',
  ]);
});

it('template: the line that ingress-nginx writes by default', () => {
  const authorization = `Basic ${Buffer.from('ann:secret').toString('base64')}`;
  const sent = { authorization, referer: 'https://a.test/?sig=x', 'user-agent': 'say "hi" \\ \u00e9' };
  const fallen = { route: null, backend: '', endpoint: '', attempts: 0, upstreams: [], status: 404 };
  const retried = { attempts: 2, upstreams: [refused, attempt], requestBytes: 5 };
  const canary = { backend: 'shop/next:80', canary: 'shop/canary' };
  const format = template(INGRESS_NGINX_FORMAT);
  const start = '192.0.2.7 - ann [02/Jan/2026:03:04:05 +0000] "GET /cart?item=1 HTTP/1.1"';
  const agent = '"https://a.test/?sig=REDACTED" "say \\x22hi\\x22 \\x5C \\xC3\\xA9"';
  expect(
    linesOf(format, [{}, retried, canary], { ...sent, 'user-agent': 'say "hi" \\ \u00c3\u00a9' }),
  ).toEqual([
    `${start} 200 12 ${agent} 120 0.003 [shop-web-80] [-] 10.0.0.7:8080 12 0.003 200 id-1`,
    `${start} 200 12 ${agent} 125 0.003 [shop-web-80] [-] 10.0.0.6:8080, 10.0.0.7:8080 0, 12 0.000, 0.003 502, 200 id-1`,
    `${start} 200 12 ${agent} 120 0.003 [shop-web-80] [shop-next-80] 10.0.0.7:8080 12 0.003 200 id-1`,
  ]);
  expect(linesOf(format, [fallen])).toEqual([
    '192.0.2.7 - - [02/Jan/2026:03:04:05 +0000] "GET /cart?item=1 HTTP/1.1" 404 12 "-" "-" 120 0.003 [-] [-] - - - - id-1',
  ]);
});

it('template: variables of nginx, with the escaping that is asked for; credentials are left out', () => {
  const text =
    '$host|$scheme|$https|$server_port|$uri|$args|$is_args|${request_method}|$time_iso8601|$msec|$namespace/$ingress_name|' +
    '$service_name:$service_port|$location_path|$ssl_protocol|$ssl_server_name|$arg_a|$arg_token|$http_x_team|' +
    '$http_x_api_key|$cookie_lang|$cookie_session|$http_cookie|$portico_detail|$portico_cause|$upstream_connect_time';
  const sent = {
    'x-team': 'blue',
    'x-api-key': 'abc',
    cookie: 'lang=en; session=abc',
  };
  const exchange = { host: 'Shop.test:8443', target: '/a%20b?a=1&token=t', detail: 'upstream-timed-out' };
  expect(linesOf(template(text), [exchange], sent)).toEqual([
    'shop.test|https|on|443|/a%20b|a=1&token=REDACTED|?|GET|2026-01-02T03:04:05+00:00|1767323045.681|shop/web|web:80|/cart|' +
      'TLSv1.3|shop.test|1|REDACTED|blue|REDACTED|en|REDACTED|REDACTED|upstream-timed-out|UT|0.001',
  ]);
  expect(linesOf(template('[$http_a] [$http_b]'), [{}], { a: '' })).toEqual(['[] [-]']);
  // Some servers read two parameters here.
  const joined = linesOf(template('$arg_a|$arg_token'), [{ target: '/?a=1;token=t' }]);
  expect(joined).toEqual(['1;token=REDACTED|-']);
  const json = template('{"ua": "$http_user_agent", "user": "$remote_user", "status": $status}', 'json');
  const [line = ''] = linesOf(json, [{}], { 'user-agent': '"\\\u001b\u00c3\u00a9' });
  expect(JSON.parse(line)).toEqual({ ua: '"\\\u001bé', user: '', status: 200 });
  expect(
    linesOf(template('$http_user_agent|$remote_user', 'none'), [{}], { 'user-agent': '"\u001b' }),
  ).toEqual(['"\\x1b|']);
});

it('template: names what is no variable, and goes on without it', () => {
  const read = readLogTemplate('$geoip_city "$request_tim"\n  $status $', 'default');
  expect(read?.unknown).toEqual(['$geoip_city', '$request_tim', '$']);
  expect(linesOf(read!.template, [{}])).toEqual(['- "-" 200 -']);
  expect(readLogTemplate('$status '.repeat(200), 'default')).toBeNull();
  expect(readLogTemplate('x'.repeat(9_000), 'default')).toBeNull();
});

it('whatever a client sends stays in its value, on its line', () => {
  const hostile = string({
    unit: constantFrom(
      '"',
      '\\',
      '\n',
      '\r',
      '\u001b[2J',
      '\u0000',
      '\u2028',
      '\u0085',
      '\ud800',
      'é',
      '{',
      '}',
      ',',
      'x',
    ),
    maxLength: 12,
  });
  const formats: readonly Format[] = [
    'json',
    'text',
    template(
      '{"ua":"$http_user_agent","r":"$request","host":"$http_host","ref":"$http_referer","arg":"$arg_x"}',
      'json',
    ),
    template('"$http_user_agent" "$request" "$http_host" "$http_referer" "$cookie_x"'),
    template('none $http_user_agent $request $http_host $http_referer $remote_user', 'none'),
  ];
  const request = record({
    ...{ host: hostile, target: hostile, method: hostile, requestId: hostile },
    sent: record({ 'user-agent': hostile, referer: hostile, cookie: hostile, authorization: hostile }),
  });
  assert(
    property(array(request, { minLength: 1, maxLength: 3 }), (requests) => {
      for (const format of formats) {
        for (const { sent, ...exchange } of requests) {
          const lines = linesOf(format, [exchange], sent);
          expect(lines).toHaveLength(1);
          const [line = ''] = lines;
          expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
          if (line.startsWith('{')) JSON.parse(line);
          else if (line.startsWith('"')) expect(line.match(/"/g)).toHaveLength(10);
        }
      }
    }),
    { numRuns: examples(30) },
  );
});

it('what is kept of fields is bounded, each and in sum', () => {
  const names = Array.from({ length: 6 }, (_, index) => `x-${index}`);
  const format = template(names.map((name) => `$http_${name.replace('-', '_')}`).join('|'));
  const [line = ''] = linesOf(
    format,
    [{}],
    Object.fromEntries(names.map((name) => [name, 'y'.repeat(5_000)])),
  );
  expect(line.split('|').map(({ length }) => length)).toEqual([1_024, 1_024, 1_024, 1_024, 0, 0]);
});

it('log records of OpenTelemetry go beside the lines, whatever their format', () => {
  const [sent, records]: [string[], string[]] = [[], []];
  const log = new AccessLog(
    { format: template('$http_x_team $status'), filter: LOG_ALL, redact: CREDENTIAL_NAMES },
    {
      send: (lines) => void sent.push(lines),
      sendRecords: (lines) => void records.push(lines),
      listenerOf: () => undefined,
      random: () => 0,
    },
  );
  const sentFields = { 'x-team': 'blue', 'user-agent': 'say "hi"\n', referer: 'https://a.test/?code=1' };
  log.write(
    anExchange({
      ...{ target: '/cart?item=1&token=abc', status: 502, detail: 'upstream-refused: ECONNREFUSED' },
      ...{ traceId: '0af7651916cd43dd8448eb211c80319c' },
      keptFields: log.keep(fields(sentFields), null),
    }),
  );
  log.flush();
  expect(sent).toEqual(['blue 502\n']);
  expect(records.join('').match(/\n/g)).toHaveLength(1);
  const logRecord = JSON.parse(records.join('')) as { attributes: { key: string; value: object }[] };
  expect(logRecord).toMatchObject({
    timeUnixNano: '1767323045678000000',
    observedTimeUnixNano: '1767323045681142000',
    severityNumber: 17,
    severityText: 'ERROR',
    eventName: 'portico.access',
    body: { stringValue: 'GET shop.test/cart?item=1&token=REDACTED 502' },
    traceId: '0af7651916cd43dd8448eb211c80319c',
  });
  const attributes = Object.fromEntries(
    logRecord.attributes.map(({ key, value }) => [key, Object.values(value)[0] as unknown]),
  );
  expect(attributes).toMatchObject({
    'url.path': '/cart',
    'url.query': 'item=1&token=REDACTED',
    'http.response.status_code': '502',
    'user_agent.original': 'say "hi"\n',
    'http.request.header.referer': { values: [{ stringValue: 'https://a.test/?code=REDACTED' }] },
    'tls.protocol.version': '1.3',
    'error.type': 'upstream-refused: ECONNREFUSED',
    'portico.cause': 'UF',
    'portico.ingress': 'shop/web',
    'portico.duration': 0.003142,
  });
});

it('lines that wait for a busy control thread are bounded: the others are dropped, and counted with the next', () => {
  const sent: (readonly [characters: number, dropped: number])[] = [];
  const log = new AccessLog(
    { format: 'text', filter: LOG_ALL, redact: [] },
    {
      send: (lines, dropped) => void sent.push([lines.length, dropped]),
      sendRecords: null,
      listenerOf: () => undefined,
      random: () => 0,
    },
  );
  const target = `/${'x'.repeat(7_000)}`;
  for (let written = 0; written < 1_000; written++) log.write(anExchange({ target }));
  const waiting = sent.reduce((sum, [characters]) => sum + characters, 0);
  expect(waiting).toBeLessThanOrEqual(1024 * 1024);
  log.lines.taken(waiting);
  for (let written = 0; written < 10; written++) log.write(anExchange({ target }));
  const dropped = sent.reduce((sum, [, bytes]) => sum + bytes, 0);
  expect(dropped).toBeGreaterThan(5_000_000);
});

it('off: nothing is kept, formatted or sent', () => {
  const { log, sent } = openLog('off');
  expect(log.keep(fields({ 'user-agent': 'x' }), null).values).toEqual([]);
  log.write(anExchange());
  log.flush();
  vi.runAllTimers();
  expect(sent).toEqual([]);
});

it('whole lines are gathered: sent after a moment, or at once when there are many', () => {
  const { log, sent } = openLog('text');
  log.write(anExchange());
  log.write(anExchange());
  expect(sent).toEqual([]);
  vi.advanceTimersByTime(100);
  expect(sent.map((lines) => lines.match(/\n/g)?.length)).toEqual([2]);

  const target = `/${'x'.repeat(4_000)}`;
  for (let written = 0; written < 20; written++) log.write(anExchange({ target }));
  expect(sent).toHaveLength(3);
  vi.advanceTimersByTime(100);
  vi.advanceTimersByTime(10_000);
  expect(sent).toHaveLength(4);
  expect(sent.join('').match(/\n/g)).toHaveLength(22);
  for (const lines of sent) expect(lines.endsWith('\n')).toBe(true);
});

it('the ConfigMap turns it off and on, and changes the format; requests under way keep theirs', () => {
  const { log, sent } = openLog('json');
  const before = log.keep(fields({ 'user-agent': 'old', referer: 'ref' }), null);
  log.adopt({ template: template('$http_x $status'), skip: ['/ready'] });
  log.write(anExchange({ keptFields: before }));
  log.write(anExchange({ keptFields: log.keep(fields({ x: 'new' }), null) }));
  log.write(anExchange({ target: '/ready' }));
  log.adopt({ isOff: true });
  log.write(anExchange());
  log.adopt(undefined);
  log.write(anExchange({ target: '/ready' }));
  log.flush();
  const [first = '', second, third = '', ...rest] = sent.join('').split('\n');
  expect(JSON.parse(first)).toMatchObject({ userAgent: 'old', referer: 'ref' });
  expect(second).toBe('new 200');
  expect(JSON.parse(third)).toMatchObject({ target: '/ready' });
  expect(rest).toEqual(['']);
});

it('filter: by status, duration, share and path; never health checks, nor what an Ingress does not want', () => {
  const quiet = policySet({ 'access-log': { isLogged: false } }, []);
  const { route } = anExchange();
  const requests: Readonly<Record<string, Partial<ExchangeRecord>>> = {
    ok: {},
    missing: { status: 404 },
    failed: { status: 503, detail: 'no-endpoint' },
    cutOff: { detail: 'upstream-reset' },
    slow: { durationMs: 2_000 },
    left: { status: 499, detail: 'client-gone' },
    ready: { target: '/ready?x' },
    api: { target: '/api/v1/ping' },
    healthy: { route: null, detail: 'healthy' },
    quiet: { route: route && { ...route, policies: quiet } },
  };
  const logged = (filter: Partial<LogFilterSettings>, random = 0.5): string[] => {
    const isLogged = logFilter({ ...LOG_ALL, ...filter }, () => random);
    return Object.keys(requests).filter((name) => isLogged(anExchange(requests[name])));
  };
  expect(logged({})).toEqual(['ok', 'missing', 'failed', 'cutOff', 'slow', 'left', 'ready', 'api']);
  expect(logged({ statuses: [[500, 599]], share: 0 })).toEqual(['failed', 'cutOff']);
  expect(
    logged({
      statuses: [
        [404, 404],
        [499, 499],
      ],
      minDurationMs: 1_000,
      share: 0,
    }),
  ).toEqual(['missing', 'slow', 'left']);
  expect(logged({ statuses: [[500, 599]], share: 0.1 }, 0.05)).toHaveLength(8);
  expect(logged({ statuses: [[500, 599]], share: 0.1 }, 0.2)).toEqual(['failed', 'cutOff']);
  expect(logged({ skip: ['/ready', '~^/api/.*ping$'] })).toEqual([
    'ok',
    'missing',
    'failed',
    'cutOff',
    'slow',
    'left',
  ]);
  expect(logged({ skip: ['/ready?y', '/READY'] })).toContain('ready');
});
