import { expect, it } from 'vitest';
import {
  COUNTER_LIMITS,
  type SourceCounters,
  RequestCounters,
  countersOf,
  eventsOf,
} from '../../src/proxy/request-metrics.ts';
import { LATENCY_BOUNDS_SECONDS } from '../../src/proxy/latency-bounds.ts';
import { RequestSums } from '../../src/controller/request-sums.ts';
import { type StatusOptions, openMetrics } from '../../src/controller/status-server.ts';
import { type ObjectChange, snapshotOf } from '../../src/model/snapshot.ts';
import { NO_HANDSHAKES } from '../../src/proxy/tls/handshake-counters.ts';
import { StreamCounters } from '../../src/proxy/stream/stream-counters.ts';
import { compile } from '../../src/routing/compile/compile.ts';
import { CASE_SETTINGS } from '../support/cases.ts';
import { seededRandom } from '../support/random.ts';
import { anExchange, aRoute } from './an-exchange.ts';

function all(counters: RequestCounters): SourceCounters[] {
  return [...countersOf(counters.table())];
}

/** How many requests are counted under which name. */
function requests(counters: RequestCounters): Record<string, number> {
  const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0);
  return Object.fromEntries(all(counters).map((each) => [each.source, sum(each.statusClasses)]));
}

function count(counters: RequestCounters, ...ingresses: readonly string[]): void {
  for (const ingress of ingresses) counters.count(anExchange({ route: aRoute(ingress) }));
}

function add(to: RequestCounters, from: RequestCounters): void {
  for (const _ of to.add(from.table()));
}

it('counts by Ingress and status class; requests that no Ingress took are counted under none', () => {
  const counters = new RequestCounters();
  const route = aRoute('shop/web');
  for (const status of [101, 200, 204, 301, 404, 499, 502]) counters.count(anExchange({ route, status }));
  counters.count(anExchange({ route: null, status: 404 }));
  expect(all(counters).map(({ source, statusClasses }) => [source, [...statusClasses]])).toEqual([
    ['shop/web', [1, 2, 1, 2, 1]],
    ['', [0, 0, 0, 1, 0]],
  ]);
});

it('a status that is none is counted all the same', () => {
  const counters = new RequestCounters();
  for (const status of [0, 999]) counters.count(anExchange({ status }));
  expect([...(all(counters)[0]?.statusClasses ?? [])]).toEqual([1, 0, 0, 0, 1]);
});

it('puts a latency into the first bucket whose bound it does not exceed', () => {
  const counters = new RequestCounters();
  const bounds = LATENCY_BOUNDS_SECONDS;
  for (const seconds of [0, ...bounds, 61]) counters.count(anExchange({ durationMs: seconds * 1_000 }));
  counters.count(anExchange({ durationMs: 1.0001 }));
  const [counted] = all(counters);
  expect([...(counted?.latency.buckets ?? [])]).toEqual([2, 2, ...bounds.slice(2).map(() => 1), 1]);
  const sum = [...bounds, 61, 0.0010001].reduce((total, seconds) => total + seconds, 0);
  expect(counted?.latency.sumSeconds).toBeCloseTo(sum, 6);
});

it('has the same durations as a native histogram, whose buckets end at powers of 2^(1/8)', () => {
  const counters = new RequestCounters();
  const smallest = 2 ** -14;
  const seconds = [
    ...[0, smallest / 2, smallest],
    ...[2 ** -14 * 1.01, 0.001, 0.00101, 0.24, 0.25, 0.251, 1, 1.0001, 2, 59, 61, 3_600],
    ...[2 ** 17, 10_000_000],
    ...Array.from({ length: 500 }, (_, index) => 2 ** (((index * 37) % 500) / 20 - 13.01)),
  ];
  for (const each of seconds) counters.count(anExchange({ durationMs: each * 1_000 }));
  const expected = new Map<number, number>();
  for (const each of seconds.filter((some) => some > smallest)) {
    const bucket = Math.ceil(Math.log2(Math.min(each, 2 ** 17)) * 8);
    expected.set(bucket, (expected.get(bucket) ?? 0) + 1);
  }
  const { native, buckets } = all(counters)[0]!.latency;
  expect(native).toMatchObject({ schema: 3, zeroThreshold: smallest, zeroCount: 3 });
  expect(native.numbers.map((number, index) => [number, native.counts[index]])).toEqual(
    [...expected].toSorted(([a], [b]) => a - b),
  );
  const bounds = [...LATENCY_BOUNDS_SECONDS, Number.POSITIVE_INFINITY];
  const within = bounds.map((bound) => seconds.filter((each) => each <= bound).length);
  expect([...buckets]).toEqual(within.map((count, index) => count - (within[index - 1] ?? 0)));
});

it('counts connections that were not made by their reason, and fields that were dropped', () => {
  const counters = new RequestCounters();
  counters.count(anExchange({ connectFailures: ['timeout', 'EHOSTUNREACH', 'timeout'], droppedFields: 2 }));
  counters.count(anExchange({ connectFailures: ['EHOSTUNREACH'], droppedFields: 1 }));
  const connectFailures = { timeout: 2, EHOSTUNREACH: 2 };
  expect(all(counters)[0]).toMatchObject({ connectFailures, droppedFields: 3 });
  expect(Object.keys(all(counters)[0]?.connectFailures ?? {})).toHaveLength(2);
});

it('adds up bytes, and attempts beyond the first', () => {
  const counters = new RequestCounters();
  for (const attempts of [0, 1, 3]) {
    counters.count(anExchange({ attempts, requestBytes: 10, responseBytes: 1_000 }));
  }
  expect(all(counters)[0]).toMatchObject({ retries: 2, requestBytes: 30, responseBytes: 3_000 });
});

it('adds the counters of several threads, and leaves theirs as they were', () => {
  const threads = [1, 2].map((requests) => {
    const counters = new RequestCounters();
    for (let sent = 0; sent < requests; sent++) {
      counters.count(anExchange({ route: aRoute('a/a'), durationMs: 500, requestBytes: 1, attempts: 2 }));
    }
    return counters;
  });
  count(threads[1]!, 'b/b');
  const before = threads.map((counters) => counters.table());
  const sum = new RequestCounters();
  for (const counters of threads) add(sum, counters);
  expect(requests(sum)).toEqual({ 'a/a': 3, 'b/b': 1 });
  const [a] = all(sum);
  expect(a).toMatchObject({ requestBytes: 3, retries: 3, latency: { sumSeconds: 1.5 } });
  expect(a?.latency.buckets.reduce((sum, each) => sum + each, 0)).toBe(3);
  expect(threads.map((counters) => counters.table())).toEqual(before);
});

const FEW = { ...COUNTER_LIMITS, ingresses: 4, ingressesOfNamespace: 2 };

it('counts the Ingresses of a namespace beyond its limit together, and the first ones alone', () => {
  const counters = new RequestCounters(FEW);
  count(counters, 'a/1', 'a/2', 'a/3', 'a/4', 'a/1', 'b/1');
  expect(requests(counters)).toEqual({ 'a/1': 2, 'a/2': 1, 'a/_other': 2, 'b/1': 1 });
});

it('counts those beyond the limit of the cluster together, and those without an Ingress always', () => {
  const counters = new RequestCounters(FEW);
  count(counters, 'a/1', 'b/1', 'c/1', 'd/1', 'e/1', 'f/1', 'a/2', 'a/1');
  counters.count(anExchange({ route: null }));
  expect(requests(counters)).toEqual({ 'a/1': 2, 'b/1': 1, 'c/1': 1, 'd/1': 1, '_other/_other': 3, '': 1 });
});

it('counts those together whose names would be too long in sum', () => {
  const counters = new RequestCounters({ ...COUNTER_LIMITS, nameCharacters: 10 });
  count(counters, 'a/123', 'b/123', 'c/1');
  expect(requests(counters)).toEqual({ 'a/123': 1, 'b/123': 1, '_other/_other': 1 });
});

it('the limits hold for the sum of several threads too', () => {
  const threads = ['1', '2'].map((name) => {
    const counters = new RequestCounters(FEW);
    count(counters, `a/${name}1`, `a/${name}2`, `a/${name}3`);
    return counters;
  });
  const sum = new RequestCounters(FEW);
  for (const counters of threads) add(sum, counters);
  expect(requests(sum)).toEqual({ 'a/11': 1, 'a/12': 1, 'a/_other': 4 });
});

it('forgets Ingresses that are gone: others keep their counts, and new ones get the room', () => {
  const counters = new RequestCounters(FEW);
  count(counters, 'a/1', 'b/1', 'b/1', 'a/2', 'a/3');
  counters.forget(['a/1', 'nobody/here']);
  expect(requests(counters)).toEqual({ 'b/1': 2, 'a/2': 1, 'a/_other': 1 });
  counters.forget(['a/2', 'a/_other']);
  expect(requests(counters)).toEqual({ 'b/1': 2 });
  count(counters, 'a/4', 'b/1', 'a/1');
  expect(requests(counters)).toEqual({ 'b/1': 3, 'a/4': 1, 'a/1': 1 });
});

it('counts any number of Ingresses in any order as a plain map would', () => {
  const counters = new RequestCounters();
  const expected: Record<string, number> = {};
  for (let step = 0; step < 3_000; step++) {
    const ingress = `n${step % 7}/i${(step * step) % 101}`;
    if (step % 5 === 4) {
      counters.forget([ingress]);
      delete expected[ingress];
    } else {
      count(counters, ingress);
      expected[ingress] = (expected[ingress] ?? 0) + 1;
    }
  }
  expect(requests(counters)).toEqual(expected);
});

/** What happened how often, by source. */
function events(counters: RequestCounters): Record<string, number> {
  return Object.fromEntries(
    [...eventsOf(counters.table())].map((event) => [
      `${event.source}: ${event.kind === 'auth' ? event.outcome : event.reason}`,
      event.count,
    ]),
  );
}

it('an Ingress and a route of the same name are counted apart', () => {
  const counters = new RequestCounters();
  count(counters, 'shop/web', 'shop/web');
  counters.count(anExchange({ route: { ...aRoute('shop/web'), kind: 'HTTPRoute' } }));
  expect(requests(counters)).toEqual({ 'shop/web': 2, 'shop/web HTTPRoute': 1 });
  counters.forget(['shop/web']);
  expect(requests(counters)).toEqual({ 'shop/web HTTPRoute': 1 });
});

it('counts the time until a Pod responded, of each attempt in which one did', () => {
  const counters = new RequestCounters();
  const attempt = { endpoint: '10.0.0.7:8080', startMs: 0, connectMs: 1, durationMs: 900, status: 200 };
  const upstreams = [null, 2, 500].map((headMs) => ({ ...attempt, headMs, failure: '' as const }));
  counters.count(anExchange({ upstreams, durationMs: 1_000 }));
  const [counted] = all(counters);
  expect(counted?.upstream.buckets.reduce((sum, each) => sum + each, 0)).toBe(2);
  expect(counted?.upstream.sumSeconds).toBeCloseTo(0.502);
});

it('counts reasons of own responses without what is told beside them, and verdicts of authentication', () => {
  const [counters, other] = [new RequestCounters(), new RequestCounters()];
  const reasons = ['rate-limited', 'rate-limited', 'bad-framing: several-content-lengths', 'no reason'];
  for (const detail of reasons) counters.count(anExchange({ detail }));
  other.count(anExchange({ route: aRoute('other/web'), detail: 'client-gone' }));
  other.count(anExchange({ auths: ['external-auth denied asked', 'basic-auth allowed cached'] }));
  add(counters, other);
  const rest = {
    'shop/web: rate-limited': 2,
    'shop/web: bad-framing': 1,
    'shop/web: external-auth denied asked': 1,
    'shop/web: basic-auth allowed cached': 1,
  };
  expect(events(counters)).toEqual({ ...rest, 'other/web: client-gone': 1 });
  // The row of the last one takes the place of the one that goes, and its events with it.
  add(counters, other);
  counters.forget(['shop/web']);
  expect(events(counters)).toEqual({ 'other/web: client-gone': 2 });
  count(counters, 'shop/web');
  expect(events(counters)).toEqual({ 'other/web: client-gone': 2 });
});

it('a source that comes later says since when it may have been counted; what is gone is kept for those who ask seldom', async () => {
  const thread = new RequestCounters();
  const sums = new RequestSums((sources) => thread.forget(sources), 60);
  const told = async (askedAt: number): Promise<readonly (readonly [string, number | undefined])[]> => {
    const figures = await sums.sum([thread.table()], snapshotOf([]), askedAt);
    return Array.from(figures.counters, ({ source }) => [source, figures.since(source)]);
  };
  count(thread, 'a/1');
  expect(await told(100)).toEqual([['a/1', undefined]]);
  count(thread, 'b/1');
  expect(await told(140)).toEqual([
    ['a/1', undefined],
    ['b/1', 100],
  ]);
  expect(await told(160)).toEqual([['b/1', 100]]);
  count(thread, 'a/1');
  expect(await told(170)).toEqual([
    ['b/1', 100],
    ['a/1', 160],
  ]);
});

it('what is deleted is told of once more, and forgotten then; what comes back in between is not', async () => {
  const thread = new RequestCounters();
  count(thread, 'shop/web', 'shop/gone', 'shop/back');
  thread.count(anExchange({ route: { ...aRoute('shop/web'), kind: 'HTTPRoute' } }));
  thread.count(anExchange({ route: { ...aRoute('shop/gone'), kind: 'HTTPRoute' } }));
  const forgotten: string[] = [];
  const sums = new RequestSums((sources) => {
    forgotten.push(...sources);
    thread.forget(sources);
  });
  const told = async (ingresses: readonly string[]): Promise<string[]> => {
    const objects = [
      ...ingresses.map((key) => ({ kind: 'Ingress', key, object: {} })),
      { kind: 'HTTPRoute', key: 'shop/web', object: {} },
    ] as unknown as readonly ObjectChange[];
    const { counters } = await sums.sum([thread.table()], snapshotOf(objects), 0);
    return Array.from(counters, ({ source }) => source).toSorted();
  };
  const all = ['shop/back', 'shop/gone', 'shop/gone HTTPRoute', 'shop/web', 'shop/web HTTPRoute'];
  expect(await told(['shop/web'])).toEqual(all);
  expect(forgotten).toEqual([]);
  expect(await told(['shop/web', 'shop/back'])).toEqual(['shop/back', 'shop/web', 'shop/web HTTPRoute']);
  expect(forgotten.toSorted()).toEqual(['shop/gone', 'shop/gone HTTPRoute']);
});

it('no sum shrinks, in whatever order threads come to a limit and Ingresses go', async () => {
  const random = seededRandom(7);
  const oneOf = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const all = ['a/1', 'a/2', 'a/3', 'a/4', 'b/1', 'b/2', 'b/3', 'c/1', 'd/1', 'e/1'];
  for (let round = 0; round < 30; round++) {
    const threads = [new RequestCounters(FEW), new RequestCounters(FEW), new RequestCounters(FEW)];
    const sums = new RequestSums((gone) => threads.forEach((thread) => thread.forget(gone)), 0, FEW);
    const there = new Set<string>(all);
    let before: Readonly<Record<string, number>> = {};
    for (let step = 0; step < 60; step++) {
      const ingress = oneOf(all);
      if (random() < 0.2) there.delete(ingress);
      else if (there.add(ingress)) count(oneOf(threads), ingress);
      if (random() < 0.5) continue;
      const objects = [...there].map((key) => ({ kind: 'Ingress', key, object: {} }));
      const snapshot = snapshotOf(objects as unknown as readonly ObjectChange[]);
      const tables = threads.map((thread) => thread.table());
      const figures = await sums.sum(tables, snapshot, step);
      const now = Object.fromEntries(
        Array.from(figures.counters, ({ source, statusClasses }) => [source, statusClasses[1] ?? 0]),
      );
      for (const [source, value] of Object.entries(now))
        expect(value, source).toBeGreaterThanOrEqual(before[source] ?? 0);
      expect(Object.keys(now).length).toBeLessThanOrEqual(FEW.ingresses + 1);
      before = now;
    }
  }
});

it('no sum of streams shrinks when threads come to the limit of ports', () => {
  const [first, second, retired] = [new StreamCounters(), new StreamCounters(), new StreamCounters()];
  const received = (port: number): number | undefined =>
    retired.sumWith([...first.table(), ...second.table()]).find((row) => row.port === port)?.receivedBytes;
  for (let port = 1; port < 2_000; port++) first.of({ protocol: 'tcp', port });
  second.of({ protocol: 'tcp', port: 5_000 }).receivedBytes = 1;
  second.of({ protocol: 'tcp', port: 5_001 }).receivedBytes = 3;
  expect([received(5_000), received(5_001), received(-1)]).toEqual([1, undefined, 3]);
  first.of({ protocol: 'tcp', port: 5_001 }).receivedBytes = 1;
  expect([received(5_000), received(5_001), received(-1)]).toEqual([1, undefined, 4]);
});

it('two readers at once: what one has forgotten is not told anew to the other', async () => {
  const thread = new RequestCounters();
  count(thread, 'shop/gone');
  const gauges = {
    ...{ clientConnections: 0, upstreamConnections: 0, inFlight: 0, tunnels: 0, heldBytes: 0 },
    ...{ evicted: 0, refused: 0, shed: 0, descriptorFailures: 0 },
  };
  const figures = {
    ...{ threads: 1, deaths: 0, faults: 0, limitStoreMisses: 0, droppedMirrors: 0, droppedSpans: 0 },
    ...{ gauges, streams: [], handshakes: NO_HANDSHAKES, memoryBytes: [], adoptedGeneration: 1 },
  };
  const counts = () => ({ exported: 0, queueFull: 0, failed: 0 });
  const compilation = compile(snapshotOf([]), CASE_SETTINGS);
  const options = {
    source: { states: () => [], problems: () => [] },
    dataPlane: {
      report: async () => ({ ...figures, counters: [thread.table()] }),
      forget: (sources: readonly string[]) => thread.forget(sources),
    },
    ...{ tracing: { counts }, logRecords: { counts }, metricExport: { counts, keepMs: 0 } },
    ...{ compilation: () => compilation, log: { droppedBytes: () => 0 }, compatibility: null },
  };
  const metrics = openMetrics(options as unknown as StatusOptions & { compatibility: null });
  const exported = async (): Promise<string> => {
    let all = '';
    for await (const { json } of metrics.otlp('explicit')) all += json;
    return all;
  };
  expect(await exported()).toContain('gone');
  const [, json] = await Promise.all([metrics.scrape('prometheus'), exported()]);
  expect(json).not.toContain('gone');
});
