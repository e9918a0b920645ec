import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { difference, edit, emptyMap, entries, get, mapOf } from '../../src/model/sharded-map.ts';

const key = fc.oneof(
  fc.constantFrom('a', 'b', '', '__proto__', 'constructor', 'a.example.com'),
  fc.string({ maxLength: 2 }),
);
const step = fc.tuple(key, fc.option(fc.nat(3), { nil: undefined }));

it('is a Map whose versions do not disturb each other and differ by what was changed', () => {
  fc.assert(
    fc.property(fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 6 }), (edits) => {
      let map = emptyMap<number>();
      let model = new Map<string, number>();
      for (const steps of edits) {
        const [before, modelBefore] = [map, new Map(model)];
        const changes = edit(map);
        for (const [name, value] of steps) {
          if (value === undefined) changes.delete(name);
          else changes.set(name, value);
          if (value === undefined) model.delete(name);
          else model.set(name, value);
          expect(changes.get(name)).toBe(model.get(name));
        }
        map = changes.done();
        expect(new Map(entries(map))).toEqual(model);
        expect(map.size).toBe(model.size);
        expect(new Map(entries(before))).toEqual(modelBefore);
        for (const [name] of steps) expect(get(map, name)).toBe(model.get(name));

        const replayed = new Map(modelBefore);
        for (const [name, value] of difference(before, map)) {
          expect(modelBefore.get(name)).not.toBe(value);
          if (value === undefined) replayed.delete(name);
          else replayed.set(name, value);
        }
        expect(replayed).toEqual(model);
        model = new Map(model);
      }
      expect(mapOf(model)).toEqual(map);
    }),
  );
});
