import { expect, it } from 'vitest';
import { LATENCY_BOUNDS_SECONDS, createAccounting, mergeCounters } from '../../src/proxy/request-metrics.ts';
import { anExchange, aRoute } from './an-exchange.ts';

it('counts by Ingress and status class; requests that no Ingress took are counted under none', () => {
  const accounting = createAccounting();
  const route = aRoute('shop/web');
  for (const status of [101, 200, 204, 301, 404, 499, 502]) accounting.count(anExchange({ route, status }));
  accounting.count(anExchange({ route: null, status: 404 }));
  const [shop, none] = accounting.counters();
  expect(shop).toMatchObject({ ingress: 'shop/web', statusClasses: [1, 2, 1, 2, 1] });
  expect(none).toMatchObject({ ingress: '', statusClasses: [0, 0, 0, 1, 0] });
});

it('a status that is none is counted all the same', () => {
  const accounting = createAccounting();
  for (const status of [0, 999]) accounting.count(anExchange({ status }));
  expect(accounting.counters()[0]?.statusClasses).toEqual([1, 0, 0, 0, 1]);
});

it('puts a latency into the first bucket whose bound it does not exceed', () => {
  const accounting = createAccounting();
  const bounds = LATENCY_BOUNDS_SECONDS;
  for (const seconds of [0, ...bounds, 61]) accounting.count(anExchange({ durationMs: seconds * 1_000 }));
  accounting.count(anExchange({ durationMs: 1.0001 }));
  const [counters] = accounting.counters();
  expect(counters?.latencyBuckets).toEqual([2, 2, ...bounds.slice(2).map(() => 1), 1]);
  const sum = [...bounds, 61, 0.0010001].reduce((total, seconds) => total + seconds, 0);
  expect(counters?.latencySumSeconds).toBeCloseTo(sum, 6);
});

it('adds up bytes, and attempts beyond the first', () => {
  const accounting = createAccounting();
  for (const attempts of [0, 1, 3]) {
    accounting.count(anExchange({ attempts, requestBytes: 10, responseBytes: 1_000 }));
  }
  expect(accounting.counters()[0]).toMatchObject({ retries: 2, requestBytes: 30, responseBytes: 3_000 });
});

it('merges the counters of several threads, and leaves theirs as they were', () => {
  const threads = [1, 2].map((requests) => {
    const accounting = createAccounting();
    for (let sent = 0; sent < requests; sent++) {
      accounting.count(anExchange({ route: aRoute('a/a'), durationMs: 500, requestBytes: 1, attempts: 2 }));
    }
    return accounting;
  });
  threads[1]?.count(anExchange({ route: aRoute('b/b') }));
  const reports = threads.map((accounting) => accounting.counters());
  const before = structuredClone(reports);
  const merged = mergeCounters(reports);
  expect(merged.map(({ ingress, statusClasses }) => [ingress, statusClasses])).toEqual([
    ['a/a', [0, 3, 0, 0, 0]],
    ['b/b', [0, 1, 0, 0, 0]],
  ]);
  expect(merged[0]).toMatchObject({ requestBytes: 3, retries: 3, latencySumSeconds: 1.5 });
  expect(merged[0]?.latencyBuckets.reduce((sum, count) => sum + count, 0)).toBe(3);
  expect(reports).toEqual(before);
});
