import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EMPTY_SNAPSHOT, snapshotOf } from '../../src/model/snapshot.ts';
import {
  AT_REST,
  HOLD_OFF,
  type HoldOffEvent,
  type HoldOffState,
  advanceEndpoints,
  holdOff,
  nextRun,
  HoldOff,
} from '../../src/watch/hold-off.ts';
import type { SourceEvent } from '../../src/watch/source.ts';

/** The state after events at their times. */
function after(...events: readonly (readonly [number, HoldOffEvent])[]): HoldOffState {
  return events.reduce((state, [at, event]) => holdOff(state, event, at), AT_REST);
}

const timed = (list: readonly { readonly waitMs: number; readonly what: SourceEvent }[]) => {
  let at = 0;
  return list.map(({ waitMs, what }) => ({ at: (at += waitMs), what }));
};

/** A clock that only moves when told. */
function clock() {
  let time = 0;
  let timers: { readonly at: number; readonly callback: () => void }[] = [];
  return {
    now: () => time,
    after(delayMs: number, callback: () => void) {
      const timer = { at: time + delayMs, callback };
      timers.push(timer);
      return () => void (timers = timers.filter((other) => other !== timer));
    },
    pending: () => timers.length,
    /** Moves on, fires what is due in its order, and lets promises settle. */
    async advance(ms: number) {
      const until = time + ms;
      for (;;) {
        const due = timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
        if (!due) break;
        timers = timers.filter((timer) => timer !== due);
        time = Math.max(time, due.at);
        due.callback();
        await new Promise((resolve) => setImmediate(resolve));
      }
      time = until;
    },
  };
}

const ingress = (name: string) =>
  ({ kind: 'Ingress', key: `shop/${name}`, object: { metadata: { namespace: 'shop', name } } }) as const;
const slice = (name: string) =>
  ({
    kind: 'EndpointSlice',
    key: `shop/${name}`,
    object: {
      addressType: 'IPv4',
      endpoints: [],
      metadata: { namespace: 'shop', name, labels: { 'kubernetes.io/service-name': 'web' } },
    },
  }) as const;

describe('when the next run is due', () => {
  test('never, when nothing changed', () => {
    expect(nextRun(AT_REST, 0)).toBeNull();
  });

  test('at once for a change that comes alone', () => {
    expect(nextRun(after([1000, 'routes']), 1000)).toEqual({ what: 'routes', at: 1000 });
    const later = after([1000, 'routes'], [1000, 'start'], [1001, 'success'], [1050, 'routes']);
    expect(nextRun(later, 1050)).toEqual({ what: 'routes', at: 1050 });
  });

  test('after 50 ms of quiet for changes that follow one another', () => {
    const state = after([0, 'routes'], [0, 'start'], [1, 'success'], [10, 'routes']);
    expect(nextRun(state, 10)).toEqual({ what: 'routes', at: 60 });
    expect(nextRun(holdOff(state, 'routes', 40), 40)).toEqual({ what: 'routes', at: 90 });
  });

  test('250 ms after the first that waits, when it never becomes quiet', () => {
    let state = after([0, 'routes'], [0, 'start'], [1, 'success']);
    for (let at = 10; at < 260; at += 10) state = holdOff(state, 'routes', at);
    expect(nextRun(state, 259)).toEqual({ what: 'routes', at: 260 });
  });

  test('at once for endpoints, while routes wait', () => {
    const state = after([0, 'routes'], [0, 'start'], [1, 'success'], [10, 'routes'], [20, 'endpoints']);
    expect(nextRun(state, 20)).toEqual({ what: 'endpoints', at: 20 });
    const covered = holdOff(holdOff(state, 'start', 20), 'success', 21);
    expect(nextRun(covered, 21)).toEqual({ what: 'routes', at: 60 });
  });

  test('together, when both are due', () => {
    const state = after([0, 'routes'], [0, 'endpoints']);
    expect(nextRun(state, 0)).toEqual({ what: 'routes', at: 0 });
    const running = holdOff(state, 'start', 0);
    expect(nextRun(running, 0)).toBeNull();
    expect(nextRun(holdOff(running, 'success', 5), 5)).toBeNull();
  });

  test('after a while that doubles up to a ceiling, for what fails again and again', () => {
    let state = after([0, 'routes']);
    const waits: number[] = [];
    let now = 0;
    for (let round = 0; round < 12; round++) {
      state = holdOff(holdOff(state, 'start', now), 'failure', now);
      const next = nextRun(state, now);
      waits.push((next?.at ?? NaN) - now);
      now = next?.at ?? NaN;
    }
    expect(waits).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000, 10_000]);
    const recovered = holdOff(holdOff(state, 'start', now), 'success', now);
    expect(nextRun(holdOff(recovered, 'routes', now + 50), now + 50)?.at).toBe(now + 50);
  });

  test('a failure puts endpoints off as well, and forgets neither', () => {
    const state = after([0, 'routes'], [0, 'start'], [10, 'endpoints'], [20, 'failure']);
    expect(nextRun(state, 30)).toEqual({ what: 'routes', at: 120 });
    const endpoints = after([0, 'endpoints'], [0, 'start'], [5, 'failure']);
    expect(nextRun(endpoints, 5)).toEqual({ what: 'endpoints', at: 105 });
  });
});

describe('whatever happens', () => {
  const steps = fc.array(
    fc.record({
      waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 600 })),
      what: fc.constantFrom<SourceEvent>('routes', 'endpoints'),
    }),
    { maxLength: 60 },
  );
  const runs = fc.array(fc.record({ tookMs: fc.integer({ min: 0, max: 120 }), fails: fc.boolean() }), {
    maxLength: 30,
  });

  interface Started {
    readonly at: number;
    readonly end: number;
    readonly what: SourceEvent;
    readonly failed: boolean;
  }
  /** Plays changes and runs against the clock, each run as the state machine wants it. */
  function play(
    changes: readonly { readonly at: number; readonly what: SourceEvent }[],
    outcomes: readonly { readonly tookMs: number; readonly fails: boolean }[],
  ): readonly Started[] {
    const started: Started[] = [];
    const pending = [...changes];
    let state = AT_REST;
    let now = 0;
    let current: Started | null = null;
    for (;;) {
      const next = nextRun(state, now);
      const times = [current?.end, pending[0]?.at, next?.at].filter((at) => at !== undefined);
      if (times.length === 0) return started;
      now = Math.max(now, Math.min(...times));
      // Of all that happens at one time, changes come first, so that a run must cover them.
      if (pending[0] && pending[0].at <= now) {
        state = holdOff(state, pending[0].what, now);
        pending.shift();
      } else if (current && current.end <= now) {
        state = holdOff(state, current.failed ? 'failure' : 'success', now);
        current = null;
      } else {
        expect(current).toBeNull();
        const { tookMs, fails } = outcomes[started.length] ?? { tookMs: 0, fails: false };
        state = holdOff(state, 'start', now);
        current = { at: now, end: now + tookMs, what: next!.what, failed: fails };
        started.push(current);
      }
    }
  }

  test('every change is covered in time, route runs keep their distance, and no run is for nothing', () => {
    fc.assert(
      fc.property(steps, runs, (list, outcomes) => {
        const changes = timed(list);
        const started = play(
          changes,
          outcomes.map((outcome) => ({ ...outcome, fails: false })),
        );
        const busyAt = (at: number) => started.find((run) => run.at < at && run.end > at)?.end ?? at;
        for (const { at, what } of changes) {
          const due = what === 'endpoints' ? busyAt(at) : busyAt(at + HOLD_OFF.ceilingMs);
          const covers = (run: Started) =>
            run.at >= at && run.at <= due && (what === 'endpoints' || run.what === 'routes');
          expect(started.some(covers)).toBe(true);
        }
        const routes = started.filter((run) => run.what === 'routes');
        for (const [i, run] of routes.entries()) {
          expect(run.at - (routes[i - 1]?.at ?? -Infinity)).toBeGreaterThanOrEqual(HOLD_OFF.quietMs);
        }
        expect(started.length).toBeLessThanOrEqual(changes.length);
      }),
    );
  });

  test('with failures in between, the last word is a success that covers everything', () => {
    fc.assert(
      fc.property(steps, runs, (list, outcomes) => {
        const changes = timed(list);
        const started = play(changes, outcomes);
        for (const { at, what } of changes) {
          const covers = (run: Started) =>
            run.at >= at && !run.failed && (what === 'endpoints' || run.what === 'routes');
          expect(started.some(covers)).toBe(true);
        }
        for (const [i, run] of started.entries()) {
          const before = started[i - 1];
          if (before?.failed) expect(run.at - before.end).toBeGreaterThanOrEqual(HOLD_OFF.retryMs);
        }
      }),
    );
  });
});

describe('the loop', () => {
  test('runs what is due, one at a time', async () => {
    const time = clock();
    const seen: string[] = [];
    const finish: (() => void)[] = [];
    const loop = new HoldOff({
      ...time,
      onFailure: (cause) => expect.fail(String(cause)),
      run: (what) => {
        seen.push(`${time.now()} ${what}`);
        return new Promise<void>((resolve) => finish.push(resolve));
      },
    });
    loop.dirty('routes');
    expect(seen).toEqual([]);
    await time.advance(0);
    expect(seen).toEqual(['0 routes']);
    await time.advance(100);
    loop.dirty('endpoints');
    await time.advance(100);
    expect(seen).toEqual(['0 routes']);
    finish[0]?.();
    await new Promise((resolve) => setImmediate(resolve));
    await time.advance(0);
    expect(seen).toEqual(['0 routes', '200 endpoints']);
    finish[1]?.();
    await loop.stop();
  });

  test('a flood of events neither puts a run off nor piles up timers', async () => {
    const time = clock();
    const seen: string[] = [];
    const loop = new HoldOff({
      ...time,
      onFailure: (cause) => expect.fail(String(cause)),
      run: (what) => void seen.push(`${time.now()} ${what}`),
    });
    for (let at = 0; at < 600; at += 5) {
      loop.dirty('routes');
      expect(time.pending()).toBe(1);
      await time.advance(5);
    }
    await time.advance(1000);
    expect(seen).toEqual(['0 routes', '255 routes', '505 routes', '645 routes']);
    expect(time.pending()).toBe(0);
    await loop.stop();
  });

  test('tells of a failure and tries again, also after a throw that is no promise', async () => {
    const time = clock();
    const told: string[] = [];
    let attempts = 0;
    const loop = new HoldOff({
      ...time,
      onFailure: (cause, retryInMs) => told.push(`${String(cause)}, again in ${retryInMs} ms`),
      run: () => {
        attempts++;
        if (attempts === 1) throw new Error('thrown');
        return attempts === 2 ? Promise.reject(new Error('rejected')) : undefined;
      },
    });
    loop.dirty('routes');
    await time.advance(1000);
    expect(told).toEqual(['Error: thrown, again in 100 ms', 'Error: rejected, again in 200 ms']);
    expect(attempts).toBe(3);
    await loop.stop();
  });

  test('starts nothing after stop, and waits for what is running', async () => {
    const time = clock();
    let started = 0;
    const loop = new HoldOff({ ...time, onFailure: () => {}, run: () => void started++ });
    loop.dirty('routes');
    await loop.stop();
    loop.dirty('endpoints');
    await time.advance(1000);
    expect(started).toBe(0);
  });

  test('runs in a later turn of the real event loop', async () => {
    const ran = Promise.withResolvers<SourceEvent>();
    let called = false;
    const loop = new HoldOff({
      onFailure: ran.reject,
      run: (what) => {
        called = true;
        ran.resolve(what);
      },
    });
    loop.dirty('endpoints');
    expect(called).toBe(false);
    expect(await ran.promise).toBe('endpoints');
    await loop.stop();
  });
});

describe('endpoints ahead of routes', () => {
  test('takes the slices of now and leaves the rest as it was last', () => {
    const last = snapshotOf([ingress('a'), slice('one')]);
    const latest = { ...snapshotOf([ingress('a'), ingress('b'), slice('two')]), generation: 7 };
    const between = advanceEndpoints(last, latest);
    expect(between).toEqual({
      ...last,
      generation: 7,
      endpointSlices: latest.endpointSlices,
      slicesByService: latest.slicesByService,
    });
    expect(between.ingresses).toBe(last.ingresses);
  });

  test('is the very same when no slice changed', () => {
    expect(advanceEndpoints(EMPTY_SNAPSHOT, { ...EMPTY_SNAPSHOT, generation: 3 })).toBe(EMPTY_SNAPSHOT);
  });
});
