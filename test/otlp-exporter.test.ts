import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { createServer as createTlsServer } from 'node:tls';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { readLogRecordVariables } from '../src/config/log-record-variables.ts';
import { readMetricVariables } from '../src/config/metric-variables.ts';
import { readTracingVariables } from '../src/config/tracing-variables.ts';
import { openMetricExport } from '../src/controller/metric-export.ts';
import { openExporter } from '../src/controller/open-exporter.ts';
import { LOGS, OtlpExporter, TRACES } from '../src/controller/otlp-exporter.ts';
import type { SentSpans } from '../src/proxy/tracing/span-batch.ts';
import { createAuthority } from './support/certificates.ts';
import { unusedPort } from './support/loopback.ts';
import { otlpFaults, readRequest } from './support/otlp.ts';
import { until } from './support/until.ts';

const SPAN =
  '{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7","name":"GET","kind":2,' +
  '"startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":[],"status":{}}';

function spans(count: number): SentSpans {
  const text = Array.from({ length: count }, () => SPAN).join(',');
  return { bytes: Buffer.from(text), count };
}

interface Collector extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly { readonly message: IncomingMessage; readonly body: string }[];
}

/** Answers each request as `respond` says, and has everything valid that it gets. */
async function collector(respond: (response: ServerResponse, index: number) => void): Promise<Collector> {
  const requests: { message: IncomingMessage; body: string }[] = [];
  const server = createServer((message, response) => {
    const chunks: Buffer[] = [];
    message.on('data', (chunk: Buffer) => chunks.push(chunk));
    message.on('end', () => {
      const bytes = Buffer.concat(chunks);
      const body = (message.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString();
      expect(otlpFaults(JSON.parse(body))).toEqual([]);
      respond(response, requests.push({ message, body }) - 1);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Exporting extends AsyncDisposable {
  readonly exporter: OtlpExporter;
  readonly troubles: readonly (string | null)[];
}

function exporting(env: Readonly<Record<string, string>>): Exporting {
  const troubles: (string | null)[] = [];
  const { variables, warnings } = readTracingVariables({ OTEL_BSP_SCHEDULE_DELAY: '100', ...env });
  expect(warnings).toEqual([]);
  const exporter = new OtlpExporter({
    signal: TRACES,
    variables: variables!.exporter,
    resource: { 'host.name': 'node-1' },
    onTrouble: (reason) => void troubles.push(reason),
  });
  return { exporter, troubles, [Symbol.asyncDispose]: () => exporter.end(0) };
}

const accept = (response: ServerResponse): void => void response.end('{}');

describe('spans', () => {
  it('are sent in batches, with the resource, headers and encoding of the variables', async () => {
    await using there = await collector(accept);
    await using subject = exporting({
      OTEL_EXPORTER_OTLP_ENDPOINT: `${there.url}/otel/`,
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20x,x-tenant=shop',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
      OTEL_SERVICE_NAME: 'edge',
      OTEL_RESOURCE_ATTRIBUTES: 'service.name=other,team=a%2Cb',
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '4',
    });
    for (let i = 0; i < 3; i++) subject.exporter.add(spans(2));
    await until(() => subject.exporter.counts().exported === 6, 'six spans are exported');
    const [first, second] = there.requests;
    expect(there.requests).toHaveLength(2);
    expect(first?.message.url).toBe('/otel/v1/traces');
    expect(first?.message.headers).toMatchObject({
      authorization: 'Bearer x',
      'x-tenant': 'shop',
      'content-type': 'application/json',
    });
    const { resource, spans: sent } = readRequest(first?.body ?? '');
    expect(resource).toEqual({ 'service.name': 'edge', 'host.name': 'node-1', team: 'a,b' });
    expect([sent.length, readRequest(second?.body ?? '').spans.length]).toEqual([4, 2]);
    expect(subject.troubles).toEqual([]);
  });

  it('go to the collector of the ConfigMap where the variables name none', async () => {
    await using there = await collector(accept);
    await using subject = exporting({});
    const { port } = new URL(there.url);
    const sampler = { root: 'always_on', ratio: 1, parentBased: true } as const;
    subject.exporter.useGlobal({
      ...{ collector: { host: '127.0.0.1', port: Number(port) }, serviceName: 'nginx', sampler },
      ...{ queueSpans: null, delayMs: null, batchSpans: 1 },
    });
    subject.exporter.add(spans(1));
    await until(() => subject.exporter.counts().exported === 1, 'a span is exported');
    expect(readRequest(there.requests[0]?.body ?? '').resource['service.name']).toBe('nginx');
  });

  it('are dropped where the ConfigMap names a host that is none', async () => {
    await using subject = exporting({});
    const sampler = { root: 'always_on', ratio: 1, parentBased: true } as const;
    subject.exporter.useGlobal({
      ...{ collector: { host: '10.0.0.256', port: 4318 }, serviceName: 'nginx', sampler },
      ...{ queueSpans: null, delayMs: null, batchSpans: 1 },
    });
    subject.exporter.add(spans(1));
    await until(() => subject.exporter.counts().failed === 1, 'the span is dropped');
    expect(subject.troubles).toEqual(['Invalid URL']);
  });

  it('are sent again where the collector says so, and it is told that they reach it again', async () => {
    await using there = await collector((response, index) => {
      if (index > 0) return accept(response);
      response.writeHead(429, { 'Retry-After': '0' });
      response.end();
    });
    await using subject = exporting({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${there.url}/v1/traces` });
    subject.exporter.add(spans(1));
    await until(() => subject.exporter.counts().exported === 1, 'the span is exported');
    expect(there.requests.map(({ body }) => body === there.requests[0]?.body)).toEqual([true, true]);
    expect(subject.troubles).toEqual(['it answered with 429', null]);
  });

  it.each([
    ['400', (response: ServerResponse) => void response.writeHead(400).end('no'), 'it answered with 400'],
    [
      'a redirect',
      (response: ServerResponse) => void response.writeHead(302, { location: '/' }).end(),
      'it answered with 302',
    ],
  ])('are dropped, and counted, after %s', async (_, respond, reason) => {
    await using there = await collector(respond);
    await using subject = exporting({ OTEL_EXPORTER_OTLP_ENDPOINT: there.url });
    subject.exporter.add(spans(1));
    await until(() => subject.exporter.counts().failed === 1, 'the span is dropped');
    expect(subject.troubles).toEqual([reason]);
    expect(there.requests).toHaveLength(1);
  });

  it('that the collector rejects are counted, and an answer that is not JSON accepts them all', async () => {
    const answers = ['{"partialSuccess":{"rejectedSpans":"2","errorMessage":"old"}}', 'what?', 'null'];
    await using there = await collector((response, index) => void response.end(answers[index]));
    await using subject = exporting({
      OTEL_EXPORTER_OTLP_ENDPOINT: there.url,
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '3',
    });
    for (let i = 0; i < 3; i++) subject.exporter.add(spans(3));
    await until(() => subject.exporter.counts().exported === 7, 'seven spans are accepted');
    expect(subject.exporter.counts()).toEqual({ exported: 7, queueFull: 0, failed: 2 });
    expect(subject.troubles).toEqual(['it rejected 2 of 3 spans', null]);
  });

  it('are accepted by the status of an answer that is too long to be read', async () => {
    await using there = await collector((response) => void response.end(' '.repeat(1024 * 1024)));
    await using subject = exporting({ OTEL_EXPORTER_OTLP_ENDPOINT: there.url });
    subject.exporter.add(spans(1));
    await until(() => subject.exporter.counts().exported === 1, 'the span is exported');
    expect([there.requests.length, subject.troubles]).toEqual([1, []]);
  });

  it.each([
    ['SSH-2.0-OpenSSH_9\r\n', 'its answer is not HTTP: write https:// for a collector with TLS'],
    [`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 'the head of its answer is too long'],
    ['', 'it closed the connection without an answer'],
    ['HTTP/1.1 200 OK\r\n', 'it closed the connection without an answer'],
  ])('of a collector that answers with %.20j say so', async (answer, reason) => {
    await using there = await collector(({ socket }) => void socket?.end(answer));
    await using subject = exporting({ OTEL_EXPORTER_OTLP_ENDPOINT: there.url });
    subject.exporter.add(spans(1));
    await until(() => subject.troubles.length > 0, 'the attempt is over');
    expect(subject.troubles[0]).toBe(reason);
  });

  it('beyond the queue are dropped while a collector is silent, which ends with the timeout', async () => {
    await using there = await collector(() => {});
    await using subject = exporting({
      OTEL_EXPORTER_OTLP_ENDPOINT: there.url,
      OTEL_EXPORTER_OTLP_TIMEOUT: '50',
      OTEL_BSP_MAX_QUEUE_SIZE: '10',
    });
    subject.exporter.add(spans(1));
    await until(() => subject.troubles.length > 0, 'the collector is silent');
    for (let i = 0; i < 20; i++) subject.exporter.add(spans(1));
    expect(subject.troubles[0]).toBe('no answer within 50 ms');
    expect(subject.exporter.counts().queueFull).toBe(10);
  });

  it('beyond 16 MiB are dropped, however few they are', async () => {
    await using there = await collector(() => {});
    await using subject = exporting({ OTEL_EXPORTER_OTLP_ENDPOINT: there.url });
    const large = { bytes: Buffer.alloc(1024 * 1024, ' '), count: 1 };
    for (let i = 0; i < 20; i++) subject.exporter.add(large);
    expect(subject.exporter.counts().queueFull).toBe(4);
  });

  it('of a collector that changes the protocol do not keep the others waiting', async () => {
    await using there = await collector((response) => {
      response.socket?.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    });
    await using subject = exporting({ OTEL_EXPORTER_OTLP_ENDPOINT: there.url });
    subject.exporter.add(spans(1));
    await until(() => subject.troubles.length > 0, 'the attempt is over');
    expect(subject.troubles[0]).toBe('it closed the connection without an answer');
  });

  it('are sent again at once, without a word, when a connection that was kept has closed', async () => {
    const used = new WeakSet<object>();
    await using there = await collector((response) => {
      const { socket } = response;
      if (socket === null || used.has(socket)) return void socket?.destroy();
      used.add(socket);
      accept(response);
    });
    await using subject = exporting({ OTEL_EXPORTER_OTLP_ENDPOINT: there.url });
    for (let sent = 1; sent <= 3; sent++) {
      subject.exporter.add(spans(1));
      await until(() => subject.exporter.counts().exported === sent, 'a span is exported');
    }
    expect(there.requests).toHaveLength(5);
    expect(subject.troubles).toEqual([]);
  });

  it('are given up after five tries, also where each kept connection closes between two of them', async () => {
    const used = new WeakSet<object>();
    let refused = 0;
    await using there = await collector((response, index) => {
      const { socket } = response;
      if (index === 0 && socket !== null) {
        used.add(socket);
        return accept(response);
      }
      if (socket === null || used.has(socket)) return void socket?.destroy();
      used.add(socket);
      refused++;
      response.writeHead(503, { 'Retry-After': '0' });
      response.end();
    });
    await using subject = exporting({ OTEL_EXPORTER_OTLP_ENDPOINT: there.url });
    subject.exporter.add(spans(1));
    await until(() => subject.exporter.counts().exported === 1, 'a span is exported');
    subject.exporter.add(spans(1));
    await until(() => subject.exporter.counts().failed === 1, 'a span is given up');
    expect(refused).toBe(5);
  });

  it.each([
    [
      'https',
      /^self-signed certificate in certificate chain: name the file of its CA in OTEL_EXPORTER_OTLP_CERTIFICATE$/,
    ],
    ['http', /^TLS cannot be spoken with it: write http:\/\/ for a collector without TLS$/],
  ])(
    'of a collector whose TLS is not as expected are dropped, and what to do is told: %s',
    async (kind, reason) => {
      const { certificate: cert, key } = createAuthority().issue(['otel.test']);
      const server = kind === 'http' ? createServer() : createTlsServer({ cert, key });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      const subject = exporting({ OTEL_EXPORTER_OTLP_ENDPOINT: `https://127.0.0.1:${port}` });
      subject.exporter.add(spans(1));
      await until(() => subject.troubles.length > 0, 'the attempt is over');
      await subject.exporter.end(0);
      expect(subject.troubles[0]).toMatch(reason);
      server.close();
    },
  );

  it('are not sent where the file of a certificate cannot be read', () => {
    const lines: string[] = [];
    const logger = pino({}, { write: (line: string) => void lines.push(line) });
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://otel.test',
      OTEL_EXPORTER_OTLP_CERTIFICATE: '/nowhere/ca.pem',
    };
    expect(openExporter(TRACES, readTracingVariables(env).variables!.exporter, {}, logger)).toBeNull();
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
      'no spans are sent: a file of OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_KEY or _CLIENT_CERTIFICATE cannot be used: ' +
        "ENOENT: no such file or directory, open '/nowhere/ca.pem'",
    ]);
  });

  it('of a collector that fails now and then are told of once a minute', async () => {
    await using there = await collector((response, index) => {
      if (index % 2 === 1) return accept(response);
      response.writeHead(503, { 'Retry-After': '0' });
      response.end();
    });
    const lines: string[] = [];
    const logger = pino({}, { write: (line: string) => void lines.push(line) });
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: there.url, OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '1' };
    const exporter = openExporter(TRACES, readTracingVariables(env).variables!.exporter, {}, logger);
    for (let sent = 1; sent <= 3; sent++) {
      exporter?.add(spans(1));
      await until(() => exporter?.counts().exported === sent, 'a span is exported');
    }
    await exporter?.end(0);
    expect(lines).toEqual([
      expect.stringContaining('spans cannot be sent to the collector: it answered with 503'),
      expect.stringContaining('resolved: spans reach the collector again'),
    ]);
  });

  it('of a collector that is not there are dropped when Portico stops', async () => {
    const port = await unusedPort();
    const subject = exporting({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` });
    subject.exporter.add(spans(1));
    await until(() => subject.troubles.length > 0, 'the collector is not there');
    subject.exporter.add(spans(1));
    await subject.exporter.end(5_000);
    expect(subject.exporter.counts()).toMatchObject({ exported: 0, failed: 2 });
    expect(subject.troubles[0]).toContain('ECONNREFUSED');
  });
});

it('log records are sent as such, and those that the collector does not want are counted', async () => {
  await using there = await collector((response) =>
    response.end('{"partialSuccess":{"rejectedLogRecords":"1"}}'),
  );
  const { variables, warnings } = readLogRecordVariables({
    OTEL_LOGS_EXPORTER: 'otlp',
    OTEL_EXPORTER_OTLP_ENDPOINT: there.url,
    OTEL_BLRP_MAX_EXPORT_BATCH_SIZE: '2',
  });
  expect(warnings).toEqual([]);
  const troubles: (string | null)[] = [];
  const onTrouble = (reason: string | null): void => void troubles.push(reason);
  const exporter = new OtlpExporter({ signal: LOGS, variables: variables!, resource: {}, onTrouble });
  const logRecord = '{"timeUnixNano":"1","severityNumber":9,"body":{"stringValue":"GET / 200"}}';
  exporter.add({ bytes: Buffer.from(`${logRecord},${logRecord}`), count: 2 });
  await until(() => exporter.counts().exported === 1, 'a record is exported');
  await exporter.end(0);
  expect(exporter.counts()).toMatchObject({ exported: 1, failed: 1 });
  expect(troubles).toEqual(['it rejected 1 of 2 log records']);
  expect(there.requests[0]?.message.url).toBe('/v1/logs');
});

describe('metrics', () => {
  const NAMED = { OTEL_METRICS_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://all:4318' };
  const METRIC = '{"name":"a","gauge":{"dataPoints":[{"attributes":[],"timeUnixNano":"1","asDouble":1}]}}';
  /** Two parts of an export, of three data points each. */
  const source = {
    async *otlp() {
      for (let part = 0; part < 2; part++) yield { json: METRIC, count: 3 };
    },
  };

  it('are sent part by part, time after time, and once more at the end', async () => {
    await using there = await collector((response, index) =>
      response.end(index === 0 ? '{"partialSuccess":{"rejectedDataPoints":"1"}}' : '{}'),
    );
    const env = {
      ...NAMED,
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${there.url}/own`,
      OTEL_METRIC_EXPORT_INTERVAL: '100',
    };
    const subject = openMetricExport(env, pino({ level: 'silent' }));
    subject.start(source);
    await until(() => there.requests.length >= 4, 'two exports are there');
    await subject.end();
    const sent = there.requests.length;
    expect(sent).toBeGreaterThanOrEqual(6);
    expect(there.requests[0]?.message.url).toBe('/own');
    expect(subject.counts()).toEqual({ exported: sent * 3 - 1, queueFull: 0, failed: 1 });
  });

  it('of an export that takes too long are dropped', async () => {
    await using there = await collector(() => {});
    const env = {
      ...{ ...NAMED, OTEL_EXPORTER_OTLP_ENDPOINT: there.url },
      ...{ OTEL_METRIC_EXPORT_INTERVAL: '100', OTEL_METRIC_EXPORT_TIMEOUT: '50' },
    };
    const subject = openMetricExport(env, pino({ level: 'silent' }));
    subject.start(source);
    await until(() => subject.counts().queueFull > 0, 'a part comes after the time of its export');
    expect(subject.counts()).toMatchObject({ exported: 0, failed: expect.toSatisfy((count) => count > 0) });
    await subject.end();
  });

  it.each([
    ['100', '1', 120_000],
    ['60000', '30000', 120_000],
    ['300000', '30000', 330_000],
  ])(
    'leave a scrape every two minutes what is deleted, too: %s ms and %s ms',
    (interval, timeout, keepMs) => {
      const times = { OTEL_METRIC_EXPORT_INTERVAL: interval, OTEL_METRIC_EXPORT_TIMEOUT: timeout };
      expect(openMetricExport({ ...NAMED, ...times }, pino({ level: 'silent' })).keepMs).toBe(keepMs);
    },
  );

  it.each([
    [{}, 0],
    [{ OTEL_METRICS_EXPORTER: 'prometheus' }, 0],
    [{ OTEL_METRICS_EXPORTER: 'otlp' }, 1],
    [{ OTEL_METRICS_EXPORTER: 'console' }, 1],
    [{ ...NAMED, OTEL_METRICS_EXPORTER: 'none, Prometheus' }, 0],
    [{ ...NAMED, OTEL_SDK_DISABLED: 'true' }, 0],
    [{ ...NAMED, OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'grpc' }, 1],
  ])('go nowhere: %j', (env, warnings) => {
    const result = readMetricVariables(env as Record<string, string>);
    expect(result.variables).toBeNull();
    expect(result.warnings).toHaveLength(warnings);
  });

  it('are sent as the variables say; what cannot be is told', () => {
    expect(readMetricVariables(NAMED)).toMatchObject({
      warnings: [],
      variables: {
        intervalMs: 60_000,
        timeoutMs: 30_000,
        histograms: 'explicit',
        exporter: { timeoutMs: 10_000 },
      },
    });
    const { variables, warnings } = readMetricVariables({
      ...NAMED,
      OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: '500',
      OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'Delta',
      OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION: 'base2_exponential_bucket_histogram',
      OTEL_METRIC_EXPORT_INTERVAL: '1m',
    });
    expect(variables).toMatchObject({
      intervalMs: 60_000,
      histograms: 'exponential',
      exporter: { timeoutMs: 500 },
    });
    expect(variables?.exporter.endpoint?.href).toBe('http://all:4318/v1/metrics');
    expect(warnings).toEqual([
      expect.stringMatching(/^OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "delta" is not supported/),
      expect.stringMatching(/^OTEL_METRIC_EXPORT_INTERVAL: "1m" is not a whole number/),
    ]);
  });
});

it.each([
  [{}, 0],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://all:4318' }, 0],
  [{ OTEL_LOGS_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://all:4318' }, 0],
  [{ OTEL_LOGS_EXPORTER: 'otlp' }, 1],
  [{ OTEL_LOGS_EXPORTER: 'console' }, 1],
  [{ OTEL_LOGS_EXPORTER: 'otlp', OTEL_SDK_DISABLED: 'true' }, 0],
])('log records go nowhere: %j', (env, warnings) => {
  const result = readLogRecordVariables(env as Record<string, string>);
  expect(result.variables).toBeNull();
  expect(result.warnings).toHaveLength(warnings);
});

describe('the variables of OpenTelemetry', () => {
  const read = (env: Readonly<Record<string, string>>) => readTracingVariables(env);

  it('say nothing when they are not there, or empty', () => {
    expect(read({})).toEqual(read({ OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_TRACES_SAMPLER: ' ' }));
    expect(read({}).warnings).toEqual([]);
    expect(read({}).variables).toMatchObject({
      exporter: { endpoint: null, timeoutMs: 10_000, gzip: false, queueSize: null },
      propagators: ['tracecontext'],
      sampler: null,
    });
  });

  it.each([
    [{ OTEL_SDK_DISABLED: 'true' }, 0],
    [{ OTEL_TRACES_EXPORTER: 'none' }, 0],
    [{ OTEL_TRACES_EXPORTER: 'zipkin' }, 1],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, 1],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json', OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'grpc' }, 1],
  ])('turn tracing off: %j', (env, warnings) => {
    const result = read(env as Record<string, string>);
    expect(result.variables).toBeNull();
    expect(result.warnings).toHaveLength(warnings);
  });

  it('those for traces win over those for all signals', () => {
    const { variables } = read({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://all:4318',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces/own/path?x=1',
      OTEL_EXPORTER_OTLP_HEADERS: 'a=1',
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'b=2',
      OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: '20',
      OTEL_PROPAGATORS: 'b3multi, tracecontext,baggage,none',
      OTEL_TRACES_SAMPLER: 'ParentBased_TraceIdRatio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
    });
    expect(variables?.exporter.endpoint?.href).toBe('https://traces/own/path?x=1');
    expect(variables).toMatchObject({
      exporter: { headers: { b: '2' }, timeoutMs: 20 },
      propagators: ['b3multi', 'tracecontext'],
      sampler: { root: 'traceidratio', ratio: 0.25, parentBased: true },
    });
  });

  it('name exporters by a list: what Portico does not have of it is told', () => {
    const collector = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://all:4318' };
    const traces = read({ ...collector, OTEL_TRACES_EXPORTER: 'console,otlp' });
    expect(traces.variables).not.toBeNull();
    expect(traces.warnings).toEqual([
      'OTEL_TRACES_EXPORTER: "console" is none of otlp, none. It is ignored.',
    ]);
    const metrics = readMetricVariables({ ...collector, OTEL_METRICS_EXPORTER: ' OTLP , prometheus,' });
    expect([metrics.variables === null, metrics.warnings]).toEqual([false, []]);
    const logs = readLogRecordVariables({ ...collector, OTEL_LOGS_EXPORTER: 'otlp,otlp' });
    expect([logs.variables === null, logs.warnings]).toEqual([false, []]);
  });

  it('a value that is not valid costs one line, which tells no credential, and its default', () => {
    const { variables, warnings } = read({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://user:secret@otel:4318',
      OTEL_EXPORTER_OTLP_HEADERS: 'secret,=secret,a=b%ZZ,bad name=secret,ok=1',
      OTEL_EXPORTER_OTLP_TIMEOUT: '10s',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzp',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
      OTEL_PROPAGATORS: 'tracecontext,jaeger',
      OTEL_TRACES_SAMPLER: 'sometimes',
      OTEL_BSP_MAX_QUEUE_SIZE: '0',
      OTEL_SDK_DISABLED: 'yes',
    });
    expect(warnings.join('\n')).not.toContain('secret');
    expect(warnings.map((warning) => warning.split(/[: ]/, 1)[0])).toEqual([
      'OTEL_SDK_DISABLED',
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      ...Array.from({ length: 4 }, () => 'OTEL_EXPORTER_OTLP_HEADERS'),
      'OTEL_EXPORTER_OTLP_TIMEOUT',
      'OTEL_EXPORTER_OTLP_COMPRESSION',
      'OTEL_BSP_MAX_QUEUE_SIZE',
      'OTEL_PROPAGATORS',
      'OTEL_TRACES_SAMPLER',
      'OTEL_EXPORTER_OTLP_PROTOCOL',
    ]);
    expect(variables).toMatchObject({
      exporter: { endpoint: null, headers: { ok: '1' }, timeoutMs: 10_000, gzip: false, queueSize: null },
      propagators: ['tracecontext'],
      sampler: null,
    });
  });
});
