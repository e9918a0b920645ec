import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { shareEqual } from '../../src/model/share-equal.ts';

const json = fc.jsonValue({ maxDepth: 4 });

test('the result equals what is new, and is what was there if that is equal', () => {
  fc.assert(
    fc.property(json, json, (before, after) => {
      expect(shareEqual(before, after)).toEqual(after);
      expect(shareEqual(before, structuredClone(before))).toBe(before);
    }),
  );
});

test('a change shares everything beside it', () => {
  fc.assert(
    fc.property(json, json, json, (spec, rule, status) => {
      const before = { spec: { rules: [rule, 'old'], spec }, status: 1 };
      const after = structuredClone({ spec: { rules: [rule, 'new'], spec }, status });
      const shared = shareEqual<typeof after>(before as typeof after, after);
      expect(shared).toEqual(after);
      expect(shared.spec.rules[0]).toBe(before.spec.rules[0]);
      expect(shared.spec.spec).toBe(before.spec.spec);
    }),
  );
});
