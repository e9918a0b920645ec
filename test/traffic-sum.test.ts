import { describe, expect, it } from 'vitest';
import { TrafficSum } from '../src/controller/traffic-sum.ts';
import { TRAFFIC, TRAFFIC_COLUMNS, type TrafficRows } from '../src/proxy/live-traffic.ts';
import { LATENCY_BOUNDS_SECONDS } from '../src/proxy/latency-bounds.ts';

/** Requests of some names, each of `seconds` and with a status class. */
function rows(counts: Readonly<Record<string, number>>, seconds = 0.004, statusClass = 1): TrafficRows {
  const names = Object.keys(counts);
  const values = new Float64Array(names.length * TRAFFIC_COLUMNS);
  for (const [index, name] of names.entries()) {
    const at = index * TRAFFIC_COLUMNS;
    const count = counts[name] ?? 0;
    const bucket = LATENCY_BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
    values[at + TRAFFIC.requests] = count;
    values[at + TRAFFIC.statusClasses + statusClass] = count;
    values[at + TRAFFIC.seconds] = count * seconds;
    values[at + TRAFFIC.latencyBuckets + bucket] = count;
  }
  return { names, paths: names.map((name) => `/${name}`), values };
}

function changed(sum: TrafficSum, change: TrafficRows, sign: 1 | -1 = 1): void {
  for (const _ of sum.change(change, sign));
}

describe('the traffic of several times together', () => {
  it('gives rates and latencies of those that are asked for, and the busiest first', () => {
    const sum = new TrafficSum();
    changed(sum, rows({ a: 10, b: 30 }));
    changed(sum, rows({ a: 30 }, 0.2, 4));
    sum.lasted(4);
    expect(sum.get('a')).toMatchObject({
      ...{ path: '/a', requestsPerSecond: 10, serverErrorsPerSecond: 7.5, clientErrorsPerSecond: 0 },
      meanMs: 151,
    });
    // Of its 40 the last 30 lie between 100 and 250 ms.
    expect(sum.get('a')?.p50Ms).toBeCloseTo(150, 5);
    expect(sum.get('b')?.p99Ms).toBeLessThan(5);
    expect(sum.get('c')).toBeUndefined();
    expect(sum.busiest(5).map(([name]) => name)).toEqual(['a', 'b']);
    expect(sum.busiest(1)).toHaveLength(1);
    expect(sum.total().requestsPerSecond).toBe(17.5);
  });

  it('forgets a time that is taken away, and what had nothing since', () => {
    const sum = new TrafficSum();
    const old = rows({ a: 5, b: 5 });
    changed(sum, old);
    for (let n = 0; n < 200; n++) changed(sum, rows({ [`n${n}`]: 1 }));
    changed(sum, rows({ a: 2 }));
    changed(sum, old, -1);
    for (let n = 0; n < 200; n++) changed(sum, rows({ [`n${n}`]: 1 }), -1);
    sum.lasted(1);
    expect(sum.busiest(10).map(([name, { requestsPerSecond }]) => [name, requestsPerSecond])).toEqual([
      ['a', 2],
    ]);
    changed(sum, rows({ fresh: 1 }));
    expect(sum.get('fresh')).toMatchObject({ requestsPerSecond: 1, serverErrorsPerSecond: 0, meanMs: 4 });
    expect(sum.total().requestsPerSecond).toBe(3);
  });

  it('has nothing to say of no requests', () => {
    const sum = new TrafficSum();
    sum.lasted(2);
    expect(sum.total()).toMatchObject({ requestsPerSecond: 0, meanMs: null, p50Ms: null, p99Ms: null });
  });
});
