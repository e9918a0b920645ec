import { describe, expect, it } from 'vitest';
import type { ExchangeRecord } from '../../src/proxy/exchange-record.ts';
import {
  LiveTraffic,
  OTHER_TRAFFIC,
  TRAFFIC,
  TRAFFIC_COLUMNS,
  type TrafficRows,
} from '../../src/proxy/live-traffic.ts';
import type { Route } from '../../src/routing/table.ts';

function exchange(route: Route | null, status = 200, durationMs = 3): ExchangeRecord {
  // What is counted is all that is read.
  return { route, backend: route?.backend ?? '', status, durationMs, responseBytes: 10 } as ExchangeRecord;
}

function routeOf(index: number): Route {
  const field = `spec.rules[${index}]`;
  return {
    path: '/',
    pathType: 'Prefix',
    ingress: 'shop/web',
    field,
    backend: 'shop/web:80',
    policies: null,
  };
}

function requests({ names, values }: TrafficRows): Readonly<Record<string, number>> {
  return Object.fromEntries(
    names.map((name, row) => [name, values[row * TRAFFIC_COLUMNS + TRAFFIC.requests]!]),
  );
}

describe('live traffic', () => {
  it('counts by route and backend between two times that it is taken', () => {
    const traffic = new LiveTraffic(() => 0);
    traffic.count(exchange(routeOf(0)));
    expect(traffic.take().routes.names).toEqual([]);
    for (const status of [200, 404, 503, 503]) traffic.count(exchange(routeOf(0), status, 3));
    traffic.count(exchange(null, 404));
    const { routes, backends } = traffic.take();
    // Each of these is another object with the same id, as two generations of a table have them.
    const named = Object.groupBy(routes.names, (name) => name);
    expect(Object.keys(named).toSorted()).toEqual(['', 'Ingress/shop/web/spec.rules[0]']);
    expect(requests(backends)).toEqual({ 'shop/web:80': 4 });
    const row = backends.values.slice(0, TRAFFIC_COLUMNS);
    expect([...row.slice(TRAFFIC.statusClasses, TRAFFIC.seconds)]).toEqual([0, 1, 0, 1, 2]);
    expect(row[TRAFFIC.seconds]).toBeCloseTo(0.012);
    expect(row[TRAFFIC.responseBytes]).toBe(40);
    expect(row.slice(TRAFFIC.latencyBuckets).reduce((sum, count) => sum + count, 0)).toBe(4);
    expect(traffic.take().routes.names).toEqual([]);
  });

  it('stops when nobody takes it any more', () => {
    let now = 0;
    const traffic = new LiveTraffic(() => now);
    traffic.take();
    now = 60_000;
    traffic.count(exchange(routeOf(0)));
    now = 60_001;
    expect(traffic.take().routes.names).toEqual([]);
    traffic.count(exchange(routeOf(0)));
    expect(traffic.take().routes.names).toHaveLength(1);
  });

  it('has a bound, beyond which routes share a row', () => {
    const traffic = new LiveTraffic(() => 0);
    traffic.take();
    for (let index = 0; index < 10_010; index++) traffic.count(exchange(routeOf(index)));
    const { routes } = traffic.take();
    expect(routes.names).toHaveLength(10_001);
    expect(requests(routes)[OTHER_TRAFFIC]).toBe(10);
  });
});
