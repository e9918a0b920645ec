import { expect, test } from 'vitest';
import { backoffMs } from '../../src/watch/backoff.ts';

test('doubles up to half a minute, between the half and the whole of it', () => {
  const least = [1, 2, 3, 4, 5, 6, 7, 8, 1000].map((failures) => backoffMs(failures, () => 0));
  const most = [1, 2, 3, 4, 5, 6, 7, 8, 1000].map((failures) => backoffMs(failures, () => 0.9999999));
  expect(least).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  expect(most).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
});

test('Retry-After is a lower bound, and bounded itself', () => {
  expect(backoffMs(1, () => 0, 7000)).toBe(7000);
  expect(backoffMs(8, () => 0, 7000)).toBe(15_000);
  expect(backoffMs(1, () => 0, 86_400_000)).toBe(300_000);
});
