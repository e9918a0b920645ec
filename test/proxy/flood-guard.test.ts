import { expect, it } from 'vitest';
import { FloodGuard } from '../../src/proxy/downstream/http2/flood-guard.ts';

function times(
  calm: FloodGuard,
  count: number,
  what: 'resets' | 'answered' | 'settings' | 'pings',
  now = 0,
): boolean {
  let disturbed = false;
  for (let i = 0; i < count; i++) disturbed = calm.count(what, now);
  return disturbed;
}

it('a client that resets most of what it asks disturbs', () => {
  const calm = new FloodGuard(0);
  expect(times(calm, 200, 'resets')).toBe(false);
  expect(times(calm, 1, 'resets')).toBe(true);
});

it('a client that gives up less than it takes does not', () => {
  const calm = new FloodGuard(0);
  times(calm, 5_000, 'answered');
  expect(times(calm, 4_000, 'resets')).toBe(false);
});

it('what was long ago is forgotten', () => {
  const calm = new FloodGuard(0);
  for (let second = 0; second < 60; second++) {
    expect(times(calm, 15, 'resets', second * 1_000)).toBe(false);
    expect(times(calm, 5, 'settings', second * 1_000)).toBe(false);
  }
});

it('settings and pings disturb by themselves', () => {
  expect(times(new FloodGuard(0), 101, 'settings')).toBe(true);
  expect(times(new FloodGuard(0), 10_000, 'pings')).toBe(false);
  expect(times(new FloodGuard(0), 10_001, 'pings')).toBe(true);
});
