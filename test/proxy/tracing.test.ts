import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { ExchangeRecord } from '../../src/proxy/exchange-record.ts';
import { nativeEngine } from '../../src/proxy/native-engine.ts';
import { KnownTexts } from '../../src/proxy/tracing/known-texts.ts';
import { RequestTrace } from '../../src/proxy/tracing/request-trace.ts';
import { type SentSpans, SpanBatch } from '../../src/proxy/tracing/span-batch.ts';
import { spansOf } from '../../src/proxy/tracing/spans.ts';
import { Tracer } from '../../src/proxy/tracing/tracer.ts';
import { type TracingSettings, tracingSettings } from '../../src/proxy/tracing/tracing-settings.ts';
import type { PolicyConfigs } from '../../src/policies/registry.ts';
import type { GlobalTracing } from '../../src/routing/global-tracing.ts';
import { anExchange } from './an-exchange.ts';
import { http2Client } from '../support/http2-client.ts';
import { fieldOf, http2Upstream } from '../support/http2-upstream.ts';
import { unusedPort } from '../support/loopback.ts';
import { type ReadSpan, otlpFaults, readSpan } from '../support/otlp.ts';
import { startProxy } from '../support/proxy.ts';
import { get, rawClient } from '../support/raw-client.ts';
import { ok, recordingUpstream } from '../support/upstream.ts';
import type { WireMessage } from '../support/wire.ts';

const SETTINGS: TracingSettings = {
  isDefault: true,
  trustsClients: true,
  propagators: ['tracecontext'],
  sampler: { root: 'always_on', ratio: 1, parentBased: true },
};
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER = '00f067aa0ba902b7';

function tracer(settings: Partial<TracingSettings> = {}): Tracer {
  return new Tracer({ ...SETTINGS, ...settings });
}

function policies(tracing: Partial<NonNullable<PolicyConfigs['tracing']>>): PolicyConfigs {
  return { tracing: { isOn: null, trustsClient: null, spanName: null, ...tracing } };
}

/** The spans of an exchange, each valid, the one of the kind SERVER first. */
function spansOfExchange(exchange: ExchangeRecord): readonly ReadSpan[] {
  return spansOf(exchange).map((text) => {
    expect(otlpFaults(JSON.parse(text), 'Span')).toEqual([]);
    return readSpan(text);
  });
}

/** A trace that is more than how the head for endpoints ends. */
function begun(trace: ReturnType<Tracer['begin']>): RequestTrace {
  if (!(trace instanceof RequestTrace)) throw new Error('there is no more to this trace than a line');
  return trace;
}

interface Asked {
  readonly received: WireMessage;
  readonly exchange: ExchangeRecord;
  readonly spans: readonly ReadSpan[];
}

/** One request with these fields to a proxy that traces like this. */
async function ask(
  fields: readonly string[],
  settings: Partial<TracingSettings> = {},
  route: PolicyConfigs = {},
): Promise<Asked> {
  await using pod = await recordingUpstream();
  const sites = [{ ports: [pod.port], policies: route }];
  await using proxy = await startProxy(nativeEngine, sites, { tracer: tracer(settings) });
  using client = await rawClient(proxy.port);
  client.send(get('/', ...fields));
  expect((await client.message()).status).toBe(200);
  const exchange = await proxy.exchange(0);
  return { received: pod.requests[0]!, exchange, spans: spansOfExchange(exchange) };
}

const parent = (flags: string): string => `traceparent: 00-${TRACE}-${CALLER}-${flags}`;

describe('trace context', () => {
  it('of a client goes on with the span of the attempt', async () => {
    const { received, exchange, spans } = await ask([parent('01'), 'tracestate: a=1', 'tracestate: b=2']);
    const [server, client] = spans;
    expect(server).toMatchObject({
      traceId: TRACE,
      parentSpanId: CALLER,
      kind: 'server',
      traceState: 'a=1,b=2',
    });
    expect(client).toMatchObject({ traceId: TRACE, parentSpanId: server?.spanId, kind: 'client' });
    expect(received.values('traceparent')).toEqual([`00-${TRACE}-${client?.spanId}-01`]);
    expect(received.values('tracestate')).toEqual(['a=1,b=2']);
    expect(exchange.traceId).toBe(TRACE);
  });

  it('that is not sampled goes on as it came, and no span is made', async () => {
    const { received, exchange, spans } = await ask([parent('00'), 'tracestate: a=1']);
    expect(spans).toEqual([]);
    expect(received.values('traceparent')).toEqual([`00-${TRACE}-${CALLER}-00`]);
    expect(received.values('tracestate')).toEqual(['a=1']);
    expect(exchange.traceId).toBe(TRACE);
  });

  it.each([
    ['none', []],
    ['malformed', [`traceparent: 00-${TRACE}-${CALLER}`, 'tracestate: a=1']],
    ['repeated', [parent('01'), parent('01'), 'tracestate: a=1']],
  ])('begins here where that of the client is: %s', async (_, fields) => {
    const { received, spans } = await ask(fields);
    const [server, client] = spans;
    expect(server?.parentSpanId).toBeUndefined();
    expect(server?.traceId).not.toBe(TRACE);
    expect(received.values('traceparent')).toEqual([`00-${server?.traceId}-${client?.spanId}-03`]);
    expect(received.values('tracestate')).toEqual([]);
  });

  it('of a client that is not trusted is replaced, by the flag or by the route', async () => {
    const all = await Promise.all([
      ask([parent('00')], { trustsClients: false }),
      ask([parent('00')], {}, policies({ trustsClient: false })),
    ]);
    for (const { received, spans } of all) {
      expect(spans).toHaveLength(2);
      expect(received.field('traceparent')).not.toContain(TRACE);
    }
    const trusted = await ask([parent('01')], { trustsClients: false }, policies({ trustsClient: true }));
    expect(trusted.exchange.traceId).toBe(TRACE);
  });

  it('reaches Pods unchanged where the route is not traced', async () => {
    const fields = [parent('01'), 'tracestate: a=1', 'b3: 0'];
    const all = await Promise.all([
      ask(fields, {}, policies({ isOn: false })),
      ask(fields, { isDefault: false }),
      ask(fields, { propagators: [] }),
    ]);
    for (const [index, { received, exchange, spans }] of all.entries()) {
      expect([received.values('traceparent'), received.values('tracestate'), received.values('b3')]).toEqual([
        [`00-${TRACE}-${CALLER}-01`],
        ['a=1'],
        ['0'],
      ]);
      // With no propagator it is traced all the same, by itself.
      expect([exchange.traceId !== '', spans.length]).toEqual(index === 2 ? [true, 2] : [false, 0]);
    }
  });

  it('is that of the policy which sets it', async () => {
    const modifier = {
      request: [{ set: [['traceparent', 'mine']], add: [], remove: [] }],
      response: [],
    } as const;
    const route = { 'header-modifier': modifier };
    const sampled = await ask([parent('01')], {}, route);
    const others = await Promise.all([
      ask([parent('00')], {}, route),
      ask([], { sampler: { root: 'always_off', ratio: 1, parentBased: true } }, route),
    ]);
    for (const { received, exchange } of [sampled, ...others]) {
      expect(received.values('traceparent')).toEqual(['mine']);
      expect(exchange.traceId).toMatch(/^[\da-f]{32}$/);
    }
    expect(sampled.spans).toHaveLength(2);
  });

  it('is told in b3, in one field or several', async () => {
    const b3 = [
      `X-B3-TraceId: ${TRACE}`,
      `X-B3-SpanId: ${CALLER}`,
      'X-B3-Sampled: 1',
      `X-B3-ParentSpanId: ${CALLER}`,
    ];
    const { received, spans } = await ask(b3, { propagators: ['tracecontext', 'b3', 'b3multi'] });
    const id = spans[1]?.spanId;
    expect(received.field('traceparent')).toBe(`00-${TRACE}-${id}-01`);
    expect(received.field('b3')).toBe(`${TRACE}-${id}-1`);
    const names = ['x-b3-traceid', 'x-b3-spanid', 'x-b3-sampled', 'x-b3-parentspanid'];
    expect(names.map((name) => received.values(name))).toEqual([[TRACE], [id], ['1'], []]);
  });
});

describe('sampling', () => {
  it('of no request is told by every propagator that is asked for', async () => {
    const { received, exchange } = await ask([parent('00'), 'tracestate: a=1'], {
      propagators: ['tracecontext', 'b3'],
    });
    const [, span] = /^00-[\da-f]{32}-([\da-f]{16})-00$/.exec(received.field('traceparent') ?? '') ?? [];
    expect(received.values('b3')).toEqual([`${TRACE}-${span}-0`]);
    expect(received.values('tracestate')).toEqual(['a=1']);
    expect(exchange.traceId).toBe(TRACE);
  });

  it('by no sampler makes no span, and the trace goes on as not sampled', async () => {
    const sampler = { root: 'always_off', ratio: 1, parentBased: true } as const;
    const [own, theirs] = await Promise.all([ask([], { sampler }), ask([parent('01')], { sampler })]);
    expect(own.spans).toEqual([]);
    expect(own.received.values('traceparent')).toEqual([
      expect.stringMatching(new RegExp(`^00-${own.exchange.traceId}-[\\da-f]{16}-02$`)),
    ]);
    expect(theirs.spans).toHaveLength(2);
  });

  it('without regard to the client does not record what it samples', async () => {
    const sampler = { root: 'always_off', ratio: 1, parentBased: false } as const;
    const { received, spans } = await ask([parent('01')], { sampler });
    expect(spans).toEqual([]);
    expect(received.field('traceparent')).toMatch(new RegExp(`^00-${TRACE}-.*-00$`));
  });

  it('by clients has a limit for each second, beyond which the sampler decides', () => {
    const sampler = { root: 'always_off', ratio: 1, parentBased: true } as const;
    const subject = tracer({ sampler });
    const request = {
      route: null,
      value: (name: string) => (name === 'traceparent' ? `00-${TRACE}-${CALLER}-01` : undefined),
    };
    const sampled = (second: number): number =>
      Array.from({ length: 2_000 }, () => begun(subject.begin(request, true, second * 1000)).parts).filter(
        Boolean,
      ).length;
    expect([sampled(1), sampled(1), sampled(2)]).toEqual([500, 0, 500]);
  });
});

describe('spans', () => {
  it('of a retried request: one for each attempt, at the right times', async () => {
    await using pod = await recordingUpstream(
      'busy',
      () => 'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n',
    );
    const ports = [await unusedPort(), await unusedPort(), pod.port];
    await using proxy = await startProxy(nativeEngine, [{ ports }], { tracer: tracer() });
    using client = await rawClient(proxy.port);
    // The endpoint that answers may be asked first.
    for (let asked = 0; ; asked++) {
      client.send(get('/cart?x=1&token=secret', 'User-Agent: me "x"'));
      expect((await client.message()).status).toBe(503);
      const exchange = await proxy.exchange(asked);
      if (exchange.attempts === 1) continue;
      const [server, ...attempts] = spansOfExchange(exchange);
      expect(server).toMatchObject({ name: 'GET /', isError: true });
      expect(server?.attributes).toEqual({
        'http.request.method': 'GET',
        'url.scheme': 'http',
        'url.path': '/cart',
        'url.query': 'x=1&token=REDACTED',
        'http.route': '/',
        'http.response.status_code': 503,
        'error.type': '503',
        'network.protocol.version': '1.1',
        'server.address': 'app.test',
        'server.port': 80,
        'client.address': '127.0.0.1',
        'network.peer.address': '127.0.0.1',
        'user_agent.original': 'me "x"',
        'portico.request_id': exchange.requestId,
        'portico.attempts': attempts.length,
        'portico.route': 'Ingress/default/app.test/spec.rules[0].http.paths[0]',
        'portico.backend': 'default/app.test:80',
      });
      expect(attempts.length).toBe(exchange.attempts);
      for (const [index, { name, attributes, isError, parentSpanId, ...times }] of attempts.entries()) {
        expect([name, isError, parentSpanId]).toEqual(['GET', true, server?.spanId]);
        const isLast = index === attempts.length - 1;
        expect(attributes['error.type']).toBe(isLast ? '503' : 'refused');
        expect(attributes['http.request.resend_count']).toBe(index === 0 ? undefined : index);
        if (isLast)
          expect(attributes['url.full']).toBe(`http://127.0.0.1:${pod.port}/cart?x=1&token=REDACTED`);
        expect(times.startNanos).toBeGreaterThanOrEqual(server!.startNanos);
        expect(times.endNanos).toBeGreaterThanOrEqual(times.startNanos);
        expect(times.endNanos).toBeLessThanOrEqual(server!.endNanos);
      }
      return;
    }
  });

  it('over HTTP/2 on both sides', async () => {
    let received: string | undefined;
    await using pod = await http2Upstream((stream, fields) => {
      received = fieldOf(fields, 'traceparent');
      stream.respond({ ':status': 200 }, { endStream: true });
    });
    const sites = [{ ports: [pod.port], protocol: 'h2c' as const }];
    await using proxy = await startProxy(nativeEngine, sites, { tracer: tracer(), h2c: true });
    using client = http2Client(proxy.port);
    expect((await client.ask({ traceparent: `00-${TRACE}-${CALLER}-01` })).status).toBe(200);
    const [server, attempt] = spansOfExchange(await proxy.exchange(0));
    expect([server, attempt].map((span) => span?.attributes['network.protocol.version'])).toEqual(['2', '2']);
    expect(received).toBe(`00-${TRACE}-${attempt?.spanId}-01`);
  });

  it('of a response by Portico, an unknown method and an absolute target', async () => {
    const site = { ports: [], policies: policies({ spanName: 'front {door}' }) };
    await using proxy = await startProxy(nativeEngine, [site], { tracer: tracer() });
    using client = await rawClient(proxy.port);
    client.send(`BREW http://app.test:8080/x?sig=1 HTTP/1.1\r\nHost: app.test:8080\r\n\r\n`);
    await client.message();
    const [span, ...others] = spansOfExchange(await proxy.exchange(0));
    expect(others).toEqual([]);
    expect(span).toMatchObject({ name: 'front {door}', isError: true });
    expect(span?.attributes).toMatchObject({
      'http.request.method': '_OTHER',
      'http.request.method_original': 'BREW',
      'url.path': '/x',
      'url.query': 'sig=REDACTED',
      'server.port': 8080,
      'portico.detail': 'no-endpoint',
    });
  });

  it('tell for what the endpoint was asked, whatever the client asked for', async () => {
    const rewrite = { kind: 'path', target: '/rewritten' } as const;
    const all = await Promise.all([
      ask([], {}, { rewrite: { rewrite, ofHost: null, forwardedPrefix: null } }),
      ask([], {}, policies({})),
    ]);
    const urls = all.map(({ spans }) => new URL(String(spans[1]?.attributes['url.full'])).pathname);
    expect(urls).toEqual(['/rewritten', '/']);
    expect(all.map(({ spans }) => spans[0]?.attributes['url.path'])).toEqual(['/', '/']);
  });

  it('are right for more different values than are remembered', () => {
    const hosts = Array.from({ length: 600 }, (_, i) => `${i % 300}.test`);
    const request = { route: null, value: () => undefined };
    for (const host of hosts) {
      const [span] = spansOfExchange(anExchange({ host, trace: begun(tracer().begin(request, false, 0)) }));
      expect(span?.attributes['server.address']).toBe(host);
    }
  });

  it('have values of a bounded length', async () => {
    await using pod = await recordingUpstream('ok', () => ok('x'));
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { tracer: tracer() });
    using client = await rawClient(proxy.port);
    client.send(get(`/${'x'.repeat(4_000)}?${'"'.repeat(2_000)}`, `User-Agent: ${'y'.repeat(3_000)}`));
    await client.message();
    for (const span of spansOf(await proxy.exchange(0))) expect(span.length).toBeLessThan(8_000);
  });
});

describe('a batch of spans', () => {
  const over = { requestId: 'x' } as ExchangeRecord;

  it('drops those that nobody takes, and counts them', () => {
    const sent: SentSpans[] = [];
    let spans = ['{}'];
    const batch = new SpanBatch({
      spansOf: () => spans,
      send: (each) => sent.push(each),
      onFault: (fault) => expect(fault).toBeUndefined(),
    });
    for (let i = 0; i < 10_000; i++) batch.add(over);
    batch.flush();
    const count = sent.reduce((sum, each) => sum + each.count, 0);
    expect([count, batch.dropped]).toEqual([8_192, 10_000 - 8_192]);
    batch.taken(count);
    spans = ['{"last":"\u00e9\u20ac"}', '{}'];
    batch.add(over);
    batch.flush();
    expect(Buffer.from(sent.at(-1)?.bytes ?? []).toString()).toBe('{"last":"\u00e9\u20ac"},{}');
  });

  it('loses no others where those of one exchange cannot be written', () => {
    const sent: SentSpans[] = [];
    const faults: unknown[] = [];
    let written = 0;
    const batch = new SpanBatch({
      spansOf() {
        if (written++ === 1) throw new Error('of one exchange');
        return ['{}'];
      },
      send: (each) => sent.push(each),
      onFault: (fault) => faults.push(fault),
    });
    for (let i = 0; i < 3; i++) batch.add(over);
    batch.flush();
    expect([sent.map(({ count }) => count), faults.length]).toEqual([[2], 1]);
  });
});

it('the variables win over the ConfigMap, and a collector of the ConfigMap traces what asks for it', () => {
  const variables = { hasCollector: true, propagators: ['b3'] as const, sampler: null, trustsClients: false };
  const sampler = { root: 'traceidratio', ratio: 0.1, parentBased: true } as const;
  const global: GlobalTracing = {
    ...{ collector: { host: 'otel', port: 4318 }, serviceName: null, sampler },
    ...{ queueSpans: null, delayMs: null, batchSpans: null },
  };
  const own = { root: 'always_off', ratio: 1, parentBased: false } as const;
  expect(tracingSettings(null, global)).toBeNull();
  expect(tracingSettings({ ...variables, hasCollector: false }, undefined)).toBeNull();
  expect(tracingSettings({ ...variables, hasCollector: false }, global)).toMatchObject({
    isDefault: false,
    sampler,
  });
  expect(tracingSettings({ ...variables, sampler: own }, global)).toMatchObject({
    isDefault: true,
    sampler: own,
  });
  expect(tracingSettings(variables, undefined)?.sampler).toMatchObject({
    root: 'always_on',
    parentBased: true,
  });
});

it('texts that are kept for the hosts of requests keep no more of these requests', () => {
  setFlagsFromString('--expose-gc');
  const held = (): number => {
    (runInNewContext('gc') as () => void)();
    return process.memoryUsage().heapUsed;
  };
  const known = new KnownTexts((host) => `<${host}>`);
  const before = held();
  for (let i = 0; i < 200; i++) {
    const host = `host-${i}.example.com`;
    const target = Buffer.alloc(60_000, `http://${host}/`).toString('latin1');
    expect(known.of(target.slice(7, 7 + host.length))).toBe(`<${host}>`);
  }
  expect(held() - before).toBeLessThan(3_000_000);
});
