import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Deadline, DeadlineLists, Deadlines } from '../../../src/proxy/deadlines.ts';
import { examples } from '../../support/examples.ts';

const FAIL = (fault: unknown): never => {
  throw fault;
};

test('a deadline that is not met expires once; one that is armed again or cleared does not', () => {
  const clock = new Deadlines(60_000, FAIL);
  clock.stop();
  const expired: string[] = [];
  const short = clock.list<string>(100, (owner) => expired.push(owner));
  const long = clock.list<string>(1_000, (owner) => expired.push(`${owner} at last`));
  const [a, b, c] = [new Deadline('a'), new Deadline('b'), new Deadline('c')];
  const start = Math.ceil(performance.now());
  clock.sweep(start);
  a.arm(short);
  b.arm(short);
  c.arm(short);
  // When between two sweeps they were armed is not known: time counts from the second one, so that none is early.
  clock.sweep(start + 10);
  clock.sweep(start + 60);
  b.arm(short);
  c.clear();
  clock.sweep(start + 109);
  expect(expired).toEqual([]);
  clock.sweep(start + 110);
  expect(expired).toEqual(['a']);
  b.arm(long);
  clock.sweep(start + 110);
  clock.sweep(start + 1_109);
  expect(expired).toEqual(['a']);
  clock.sweep(start + 1_110);
  clock.sweep(start + 9_000);
  expect(expired).toEqual(['a', 'b at last']);
});

test('agrees with a table of times, whatever is armed, cleared and swept', () => {
  const action = fc.record({
    kind: fc.constantFrom('arm', 'clear', 'sweep'),
    deadline: fc.nat(4),
    list: fc.nat(1),
    step: fc.nat(80),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const clock = new Deadlines(60_000, FAIL);
      clock.stop();
      let now = 1_000_000;
      clock.sweep(now);
      const expired: number[] = [];
      const lists = [50, 120].map((timeout) => clock.list<number>(timeout, (owner) => expired.push(owner)));
      const deadlines = Array.from({ length: 5 }, (_, owner) => new Deadline(owner));
      const due = new Map<number, number>();
      const expected: number[] = [];
      for (const { kind, deadline, list, step } of actions) {
        if (kind === 'arm') {
          deadlines[deadline]!.arm(lists[list]!);
          clock.sweep(now);
          due.set(deadline, now + [50, 120][list]!);
        } else if (kind === 'clear') {
          deadlines[deadline]!.clear();
          due.delete(deadline);
        } else {
          now += step;
          clock.sweep(now);
          for (const [owner, time] of due) {
            if (time > now) continue;
            due.delete(owner);
            expected.push(owner);
          }
          expect(expired.toSorted()).toEqual(expected.toSorted());
        }
      }
    }),
    { numRuns: examples(125) },
  );
});

test('an owner that throws is told of, and keeps no other from its deadline', () => {
  const faults: unknown[] = [];
  const clock = new Deadlines(60_000, (fault) => faults.push(fault));
  clock.stop();
  const expired: string[] = [];
  const list = clock.list<string>(100, (owner) => {
    if (owner === 'bad') throw new TypeError('bad');
    expired.push(owner);
  });
  const start = Math.ceil(performance.now());
  clock.sweep(start);
  for (const owner of ['first', 'bad', 'last']) new Deadline(owner).arm(list);
  clock.sweep(start);
  clock.sweep(start + 100);
  expect([expired, faults]).toEqual([['first', 'last'], [new TypeError('bad')]]);
});

test('there is one list for each length, and few lists for all lengths there can be', () => {
  const clock = new Deadlines(60_000, FAIL);
  clock.stop();
  const expired: string[] = [];
  const lists = new DeadlineLists<string>(clock, (owner) => expired.push(owner));
  expect(lists.of(30_000)).toBe(lists.of(30_000));
  expect(lists.of(29_001)).toBe(lists.of(30_000));
  expect(lists.of(1_000)).not.toBe(lists.of(1_001));
  const start = Math.ceil(performance.now());
  clock.sweep(start);
  new Deadline('rounded up').arm(lists.of(29_001));
  clock.sweep(start);
  clock.sweep(start + 29_999);
  expect(expired).toEqual([]);
  clock.sweep(start + 30_000);
  expect(expired).toEqual(['rounded up']);
  const all = new Set<unknown>();
  for (let ms = 0; ms <= 576 * 3_600_000; ms += ms < 100_000 ? 1 : 997) all.add(lists.of(ms));
  expect(all.size).toBeLessThan(7_000);
});

test('the timer runs while something is awaited, and rests while nothing is', async () => {
  let sweeps = 0;
  const heard: string[] = [];
  const clock = new Deadlines(1, FAIL, {
    onSweep: () => sweeps++,
    onWake: () => heard.push('awake'),
    onRest: () => heard.push('at rest'),
  });
  let expired = Promise.withResolvers<string>();
  const list = clock.list<string>(4, (owner) => expired.resolve(owner));
  // The clock of the machine goes on by itself, that of the last sweep does not.
  const rests = (): boolean => {
    const before = clock.now;
    const until = performance.now() + 0.5;
    while (performance.now() < until);
    return clock.now !== before;
  };
  expect(rests()).toBe(true);
  for (const owner of ['once', 'and again']) {
    expired = Promise.withResolvers<string>();
    new Deadline(owner).arm(list);
    expect(rests()).toBe(false);
    expect(await expired.promise).toBe(owner);
    await nextTurn();
    expect(rests()).toBe(true);
    expect(sweeps).toBeGreaterThan(0);
    sweeps = 0;
  }
  expect(heard).toEqual(['awake', 'at rest', 'awake', 'at rest']);
  clock.stop();
});
