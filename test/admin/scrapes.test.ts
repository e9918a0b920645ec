import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { shareScrapes } from '../../src/admin/scrapes.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] }));
afterEach(() => void vi.useRealTimers());

it('a scrape serves for a second, from when it began to be built', async () => {
  let builds = 0;
  const share = shareScrapes(async () => ({ contentType: '', chunks: [], bytes: ++builds }));
  const seen: number[] = [];
  const scrape = () => share(async ({ bytes }) => void seen.push(bytes));
  await scrape();
  vi.advanceTimersByTime(999);
  await scrape();
  vi.advanceTimersByTime(1);
  await Promise.all([scrape(), scrape()]);
  expect(seen).toEqual([1, 1, 2, 2]);
});
