import { expect, test } from 'vitest';
import { quietTurn } from '../../../src/proxy/drain.ts';

/** How many turns are waited for when they take so long, in milliseconds. */
async function turnsWaited(turnsMs: readonly number[]): Promise<number> {
  let now = 1000;
  let turns = 0;
  await quietTurn(
    () => now,
    async () => {
      now += turnsMs[turns++ % turnsMs.length] ?? 0;
    },
  );
  return turns;
}

test('listeners are closed after a turn in which nothing happened', async () => {
  expect(await turnsWaited([0.002])).toBe(1);
  expect(await turnsWaited([3, 0.4, 0.08, 0.002, 3])).toBe(4);
});

test('or after a while, where there is no such turn', async () => {
  expect(await turnsWaited([1])).toBe(100);
  expect(await turnsWaited([500])).toBe(1);
});
