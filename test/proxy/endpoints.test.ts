import { describe, expect, it } from 'vitest';
import { type EndpointState, attemptStarted } from '../../src/proxy/balance/endpoint-state.ts';
import { type Endpoints, createEndpoints } from '../../src/proxy/balance/endpoint-pool.ts';
import { edit, get } from '../../src/model/sharded-map.ts';
import type { RouteTable } from '../../src/routing/table.ts';
import { externalNames } from '../support/external-names.ts';
import { tableOf } from '../support/proxy.ts';

function setUp(): Endpoints {
  return createEndpoints({ random: () => 0, externalNames: externalNames() });
}

function choose(endpoints: Endpoints, table: RouteTable, host = 'app.test') {
  const backend = get(table.backends, `default/${host}:80`)!;
  return endpoints.choose(backend, 'round-robin', [], '', 0);
}

describe('endpoints of a table', () => {
  it('what is known of an address outlives the table', () => {
    const endpoints = setUp();
    const first = tableOf([{ ports: [1] }]);
    endpoints.adopt(first);
    const before = choose(endpoints, first)!;
    attemptStarted(before);
    const second = tableOf([{ ports: [1, 2] }]);
    expect(endpoints.adopt(second)).toEqual([]);
    expect(choose(endpoints, second)).toBe(before);
    expect(before.inFlight).toBe(1);
  });

  it('no backend learns from another one, which may speak another protocol', () => {
    const endpoints = setUp();
    const table = tableOf([{ ports: [1] }, { host: 'other.test', ports: [1] }]);
    endpoints.adopt(table);
    expect(choose(endpoints, table)).not.toBe(choose(endpoints, table, 'other.test'));
  });

  it('gives the addresses that are in no backend any more, once', () => {
    const endpoints = setUp();
    endpoints.adopt(tableOf([{ ports: [1, 2] }, { host: 'other.test', ports: [2, 3] }]));
    expect(endpoints.adopt(tableOf([{ ports: [4] }, { host: 'other.test', ports: [2, 3] }]))).toEqual([
      '127.0.0.1:1',
    ]);
    expect([...endpoints.adopt(tableOf([{ ports: [4] }]))].sort()).toEqual(['127.0.0.1:2', '127.0.0.1:3']);
    expect(endpoints.adopt(tableOf([]))).toEqual(['127.0.0.1:4']);
    expect(endpoints.adopt(tableOf([]))).toEqual([]);
  });

  it('an address that moves from one backend to another is never gone', () => {
    const endpoints = setUp();
    endpoints.adopt(tableOf([{ ports: [1] }, { host: 'other.test', ports: [2] }]));
    expect(endpoints.adopt(tableOf([{ ports: [2] }, { host: 'other.test', ports: [1] }]))).toEqual([]);
  });

  it('still chooses for a request that kept an older table', () => {
    const endpoints = setUp();
    const old = tableOf([{ ports: [1] }]);
    endpoints.adopt(old);
    endpoints.adopt(tableOf([]));
    expect(choose(endpoints, old)?.key).toBe('127.0.0.1:1');
  });

  it('turns to those farther away only when all others were tried or are set aside', () => {
    const endpoints = setUp();
    const table = tableOf([{ ports: [1] }]);
    const near = get(table.backends, 'default/app.test:80')!;
    const backend = { ...near, failoverEndpoints: [{ address: '127.0.0.1', port: 2 }] };
    const backends = edit(table.backends);
    backends.set(backend.key, backend);
    endpoints.adopt({ ...table, backends: backends.done() });
    const chooseAfter = (...tried: EndpointState[]) =>
      endpoints.choose(backend, 'round-robin', tried, '', 0)!;

    const first = chooseAfter();
    expect([first.key, chooseAfter().key]).toEqual(['127.0.0.1:1', '127.0.0.1:1']);
    const second = chooseAfter(first);
    expect(second.key).toBe('127.0.0.1:2');
    expect(chooseAfter(first, second)).toBe(first);
    first.ejectedUntil = 1;
    expect(chooseAfter()).toBe(second);
    second.ejectedUntil = 1;
    expect(chooseAfter()).toBe(first);
    // Failover endpoints are known as well, and go as well.
    expect(endpoints.adopt(tableOf([])).toSorted()).toEqual(['127.0.0.1:1', '127.0.0.1:2']);
  });

  it('does not wait for a last resort that takes no connections', () => {
    const endpoints = setUp();
    const table = tableOf([{ ports: [1] }]);
    const backend = { ...get(table.backends, 'default/app.test:80')!, lastResort: true } as const;
    const backends = edit(table.backends);
    backends.set(backend.key, backend);
    endpoints.adopt({ ...table, backends: backends.done() });
    const chooseAt = (now: number) => endpoints.choose(backend, 'round-robin', [], '', now);

    const state = chooseAt(0)!;
    expect(state.key).toBe('127.0.0.1:1');
    state.ejectedUntil = 2;
    expect([chooseAt(1), chooseAt(2)]).toEqual([null, state]);
  });

  it('writes IPv6 addresses in brackets', () => {
    const endpoints = setUp();
    const table = tableOf([{ ports: [1] }]);
    const backend = {
      ...get(table.backends, 'default/app.test:80')!,
      endpoints: [{ address: 'fd00::1', port: 80 }],
    };
    expect(endpoints.choose(backend, 'round-robin', [], '', 0)?.key).toBe('[fd00::1]:80');
  });
});
