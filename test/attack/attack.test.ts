import { describe, test } from 'vitest';
import { families } from './families.ts';
import { play } from './runner.ts';

/** The short form of `npm run attack`: every family, without the scenes that are only in the full form. */
describe('attacks', () => {
  test.concurrent.for(families)('$name', async (family, { expect }) => {
    const unsafe: string[] = [];
    let count = 0;
    for await (const { scene, verdict } of play(family, 'short')) {
      count++;
      if (verdict.kind === 'unsafe') unsafe.push(`${scene.name}: ${scene.promise}; ${verdict.seen}`);
    }
    expect(unsafe).toEqual([]);
    expect(count).toBeGreaterThan(0);
  });
});
