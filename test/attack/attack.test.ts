import { describe, test } from 'vitest';
import { processes } from './families.ts';
import { play } from './runner.ts';

/** The short form of `npm run attack`: every family, without the scenes that are only in the full form. */
describe('attacks', () => {
  const named = processes.map((families) => ({ families, names: families.map(({ name }) => name) }));
  test.concurrent.for(named)('$names', async ({ families, names }, { expect }) => {
    const unsafe: string[] = [];
    const played = new Set<string>();
    for await (const { family, scene, verdict } of play(families, 'short')) {
      played.add(family);
      if (verdict.kind === 'unsafe') unsafe.push(`${scene.name}: ${scene.promise}; ${verdict.seen}`);
    }
    expect(unsafe).toEqual([]);
    expect([...played]).toEqual(names);
  });
});
