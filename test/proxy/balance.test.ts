import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PickContext, type BalancePool, choose, balancePool } from '../../src/proxy/balance/picker.ts';
import {
  type EndpointState,
  recordLatency,
  attemptStarted,
  connectFailed,
  connectSucceeded,
  attemptEnded,
  endpointState,
} from '../../src/proxy/balance/endpoint-state.ts';
import type { Balance, HashOfGroups } from '../../src/policies/balance.ts';
import { seededRandom } from '../support/random.ts';
import { examples } from '../support/examples.ts';

const ALGORITHMS: readonly Balance[] = ['round-robin', 'least-requests', 'ewma', 'consistent-hash'];

function poolOf(count: number, seed = 1): BalancePool {
  const states = Array.from({ length: count }, (_, i) =>
    endpointState({ address: `10.0.${i >> 8}.${i & 255}`, port: 80 }),
  );
  return balancePool(states, seededRandom(seed));
}

/** A sequence of choices, each for another key, over one source of chance. */
function chooser(from: BalancePool, balance: Balance | HashOfGroups, seed = 2) {
  const random = seededRandom(seed);
  let count = 0;
  return (choice: Partial<PickContext> = {}): EndpointState | null =>
    choose(from, balance, { tried: [], hash: `key-${count++}`, now: 0, random, ...choice });
}

function eject(state: EndpointState, now = 0): void {
  for (let i = 0; i < 3; i++) connectFailed(state, now);
}

describe.each(ALGORITHMS)('every algorithm: %s', (balance) => {
  it('has nothing to choose from an empty pool', () => {
    expect(chooser(poolOf(0), balance)()).toBeNull();
  });

  it('always has an answer from any other', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.nat(11), { maxLength: 20 }),
        fc.array(fc.nat(11), { maxLength: 20 }),
        fc.integer(),
        (count, ejected, tried, seed) => {
          const from = poolOf(count);
          for (const index of ejected) if (from.states[index]) eject(from.states[index]);
          const states = tried.flatMap((index) => from.states[index] ?? []);
          const chosen = chooser(from, balance, seed)({ tried: states });
          expect(from.states).toContain(chosen);
          const untried = from.states.filter((state) => !states.includes(state));
          if (untried.length > 0) expect(untried).toContain(chosen);
          const healthy = untried.filter((state) => state.ejectedUntil === 0);
          if (healthy.length > 0) expect(healthy).toContain(chosen);
        },
      ),
    );
  });

  it('tries every endpoint once before any one twice', () => {
    const from = poolOf(7);
    const next = chooser(from, balance);
    const tried: EndpointState[] = [];
    for (let i = 0; i < 7; i++) tried.push(next({ tried, hash: 'one request' })!);
    expect(new Set(tried).size).toBe(7);
    expect(next({ tried })).not.toBeNull();
  });

  it('passes over an ejected endpoint until its time is up', () => {
    const from = poolOf(4);
    const [out] = from.states as [EndpointState];
    eject(out, 1_000);
    const during = chooser(from, balance);
    for (let i = 0; i < 200; i++) expect(during({ now: 1_999 })).not.toBe(out);
    const after = Array.from({ length: 200 }, () => during({ now: 2_000 }));
    expect(after).toContain(out);
  });

  it('never ejects all: when every one failed they are used as if none had', () => {
    const from = poolOf(4);
    for (const state of from.states) eject(state);
    const next = chooser(from, balance);
    const used = new Set(Array.from({ length: 200 }, () => next()));
    expect(used.size).toBe(4);
  });

  it('is fair among equals', () => {
    const from = poolOf(5);
    const next = chooser(from, balance);
    const counts = new Map<EndpointState, number>();
    for (let i = 0; i < 10_000; i++) {
      const state = next()!;
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    // 2,000 each: within a quarter for the ring with its random points, closer for the others.
    const slack = balance === 'consistent-hash' ? 500 : 200;
    for (const count of counts.values()) expect(Math.abs(count - 2_000)).toBeLessThan(slack);
    expect(counts.size).toBe(5);
  });

  it('spreads the share of an ejected endpoint over the rest', () => {
    const from = poolOf(5);
    eject(from.states[2]!);
    const next = chooser(from, balance);
    const counts = new Map<EndpointState, number>();
    for (let i = 0; i < 8_000; i++) {
      const state = next()!;
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    expect(counts.size).toBe(4);
    for (const count of counts.values()) expect(count).toBeLessThan(3_200);
  });
});

describe('round robin', () => {
  it('goes round in order', () => {
    const from = poolOf(3);
    const next = chooser(from, 'round-robin');
    const first = from.states.indexOf(next()!);
    const order = Array.from({ length: 6 }, () => from.states.indexOf(next()!));
    expect(order).toEqual([1, 2, 3, 4, 5, 6].map((step) => (first + step) % 3));
  });
});

describe('least requests', () => {
  it('prefers the less busy of the two it looks at', () => {
    const from = poolOf(2);
    attemptStarted(from.states[0]!);
    const next = chooser(from, 'least-requests');
    for (let i = 0; i < 50; i++) expect(next()).toBe(from.states[1]);
  });

  it('keeps the busiest of many close to the rest', () => {
    const from = poolOf(20);
    const next = chooser(from, 'least-requests');
    for (let i = 0; i < 2_000; i++) attemptStarted(next()!);
    const inFlight = from.states.map((state) => state.inFlight);
    expect(Math.max(...inFlight) - Math.min(...inFlight)).toBeLessThan(12);
    for (const state of from.states) while (state.inFlight > 0) attemptEnded(state);
  });
});

describe('ewma', () => {
  it('leaves a slow endpoint alone, and forgives it with time', () => {
    const from = poolOf(2);
    const [slow, fast] = from.states as [EndpointState, EndpointState];
    recordLatency(slow, 500, 0);
    recordLatency(fast, 5, 0);
    const next = chooser(from, 'ewma');
    for (let i = 0; i < 50; i++) expect(next({ now: 100 })).toBe(fast);
    recordLatency(fast, 5, 60_000);
    expect(next({ now: 60_000 })).toBe(slow);
  });

  it('counts a peak at once and a fall by and by', () => {
    const [state] = poolOf(1).states as [EndpointState];
    recordLatency(state, 10, 0);
    recordLatency(state, 300, 10);
    expect(state.latencyMs).toBe(300);
    recordLatency(state, 10, 20);
    expect(state.latencyMs).toBeGreaterThan(290);
    recordLatency(state, 10, 100_000);
    expect(state.latencyMs).toBeLessThan(11);
  });

  it('sends one request to an endpoint that was never measured, not all of them', () => {
    const from = poolOf(2);
    const [known, fresh] = from.states as [EndpointState, EndpointState];
    recordLatency(known, 20, 0);
    const next = chooser(from, 'ewma');
    expect(next()).toBe(fresh);
    attemptStarted(fresh);
    expect(next()).toBe(known);
  });
});

describe('consistent hash', () => {
  const keys = Array.from({ length: 5_000 }, (_, i) => `user-${i}`);
  const placesIn = (from: BalancePool): string[] =>
    keys.map((key) => chooser(from, 'consistent-hash')({ hash: key })!.key);

  it('keeps a key in its place, whatever order the endpoints come in', () => {
    const from = poolOf(9);
    const shuffled = balancePool(from.states.toReversed(), seededRandom(3));
    expect(placesIn(shuffled)).toEqual(placesIn(from));
  });

  it.each([
    ['one more of ten', 10, 11],
    ['one less of ten', 10, 9],
    ['past a power of two', 64, 65],
    ['many', 300, 299],
  ])('moves little more than its share: %s', (_, before, after) => {
    const was = placesIn(poolOf(before));
    const is = placesIn(poolOf(after));
    const moved = is.filter((place, i) => place !== was[i]).length / keys.length;
    const share = 1 / Math.max(before, after);
    expect(moved).toBeGreaterThan(0);
    expect(moved).toBeLessThan(share * 2);
  });

  it('moves only the keys of an endpoint that is ejected, and moves them back', () => {
    const from = poolOf(10);
    const was = placesIn(from);
    eject(from.states[4]!);
    const during = placesIn(from);
    for (const [i, place] of during.entries()) {
      if (was[i] === from.states[4]!.key) expect(place).not.toBe(was[i]);
      else expect(place).toBe(was[i]);
    }
    connectSucceeded(from.states[4]!);
    expect(placesIn(from)).toEqual(was);
  });
});

describe('ejection', () => {
  it('comes with the third failure in a row and doubles up to half a minute', () => {
    const [state] = poolOf(1).states as [EndpointState];
    let now = 0;
    const lengths: number[] = [];
    for (let i = 0; i < 10; i++) {
      connectFailed(state, now);
      lengths.push(Math.max(0, state.ejectedUntil - now));
      now = Math.max(now, state.ejectedUntil);
    }
    expect(lengths).toEqual([0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  it('is not lengthened by attempts that were already under way', () => {
    const [state] = poolOf(1).states as [EndpointState];
    for (let i = 0; i < 100; i++) connectFailed(state, 5);
    expect(state.ejectedUntil).toBe(1_005);
  });

  it('ends with a connection', () => {
    const [state] = poolOf(1).states as [EndpointState];
    eject(state);
    connectSucceeded(state);
    expect(state.ejectedUntil).toBe(0);
    connectFailed(state, 0);
    expect(state.ejectedUntil).toBe(0);
  });
});

describe('a hash of groups', () => {
  it('leads each key to one group of that size, and spreads over all of it', () => {
    const sizes = fc.record({
      endpoints: fc.integer({ min: 1, max: 12 }),
      size: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(sizes, ({ endpoints, size }) => {
        const next = chooser(poolOf(endpoints), { groupSize: size });
        const all = new Set<string>();
        for (const key of ['a', 'b', 'c']) {
          const seen = new Set<string>();
          for (let i = 0; i < 100; i++) seen.add(next({ hash: key })?.key ?? '');
          expect(seen.size).toBe(Math.min(size, endpoints));
          for (const each of seen) all.add(each);
        }
        expect(all.has('')).toBe(false);
      }),
      { numRuns: examples(15) },
    );
  });

  it('does not depend on the order of the endpoints, and turns to others when all of a group were tried', () => {
    const { states } = poolOf(6);
    const of = (
      list: readonly EndpointState[],
      tried: readonly EndpointState[] = [],
    ): EndpointState | null => {
      const hash = 'key';
      return choose(
        balancePool(list, () => 0),
        { groupSize: 2 },
        { tried, hash, now: 0, random: () => 0 },
      );
    };
    const first = of(states);
    expect(of(states.toReversed())).toBe(first);
    const second = of(states, [first!]);
    const third = of(states, [first!, second!]);
    expect(new Set([first, second, third]).size).toBe(3);
  });
});
