import { assert, double, integer, property } from 'fast-check';
import { expect, test } from 'vitest';
import { backoffMs, relistDelayMs } from '../../src/kubernetes/backoff.ts';

test('doubles up to half a minute, between the half and the whole of it', () => {
  const least = [1, 2, 3, 4, 5, 6, 7, 8, 1000].map((failures) => backoffMs(failures, () => 0));
  const most = [1, 2, 3, 4, 5, 6, 7, 8, 1000].map((failures) => backoffMs(failures, () => 0.9999999));
  expect(least).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  expect(most).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
});

test('Retry-After is a lower bound, bounded itself, and what comes back after it is spread like the rest', () => {
  expect(backoffMs(1, () => 0, 7000)).toBe(7000);
  expect(backoffMs(1, () => 0.9999999, 7000)).toBe(7250);
  expect(backoffMs(8, () => 0, 7000)).toBe(15_000);
  expect(backoffMs(8, () => 0.9999999, 17_000)).toBe(32_000);
  expect(backoffMs(1, () => 0, 86_400_000)).toBe(300_000);
});

test('a relist waits less than two seconds, and less than half a minute however often it expires', () => {
  const expiries = integer({ min: 0, max: 10_000 });
  const random = double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  assert(
    property(expiries, random, (count, drawn) => {
      const delayMs = relistDelayMs(count, () => drawn);
      const longestMs = Math.min(30_000, 2_000 * 2 ** Math.min(count, 30));
      expect(Number.isInteger(delayMs)).toBe(true);
      expect(delayMs).toBeLessThanOrEqual(longestMs);
      expect(delayMs).toBeGreaterThanOrEqual(count === 0 ? 0 : longestMs / 2);
      // A list that expires again is never asked for sooner than one that did not.
      expect(relistDelayMs(count + 1, () => drawn)).toBeGreaterThanOrEqual(delayMs);
    }),
  );
});

test('5,000 nodes that are told 410 at once come back evenly over two seconds', () => {
  const nodes = 5_000;
  const tenths = Array.from({ length: 20 }, () => 0);
  // What 5,000 draws of an even generator are, without the luck.
  for (let node = 0; node < nodes; node++) {
    const delayMs = relistDelayMs(0, () => (node + 0.5) / nodes);
    tenths[Math.floor(delayMs / 100)]!++;
  }
  for (const count of tenths) expect(Math.abs(count - nodes / 20)).toBeLessThanOrEqual(2);
});
