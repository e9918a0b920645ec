import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeadEdit, type HeaderField, applyEdit, fieldsViewOf } from '../../src/http/head-edit.ts';

const name = fc.constantFrom('A', 'a', 'b', 'Long-Name', 'long-name', 'Set-Cookie');
const value = fc.constantFrom('1', '2', '3');
const field = fc.tuple(name, value);
const step = fc.tuple(fc.constantFrom('set', 'add', 'setDefault', 'remove'), name, value);

/** The same, told without a thought for speed. */
function byHand(
  fields: readonly HeaderField[],
  steps: readonly (readonly [string, string, string])[],
): HeaderField[] {
  const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
  return steps.reduce<HeaderField[]>(
    (now, [kind, name, value]) => {
      const others = now.filter(([each]) => !same(each, name));
      if (kind === 'remove') return others;
      if (kind === 'set') return [...others, [name, value]];
      if (kind === 'add' || others.length === now.length) return [...now, [name, value]];
      return now;
    },
    [...fields],
  );
}

describe('an edit of a head', () => {
  it('comes to the same as its steps one by one', () => {
    fc.assert(
      fc.property(fc.array(field), fc.array(step), (fields, steps) => {
        const edit = new HeadEdit(fieldsViewOf(fields));
        for (const [kind, name, value] of steps) {
          if (kind === 'remove') edit.remove(name);
          else edit[kind as 'set' | 'add' | 'setDefault'](name, value);
        }
        const expected = byHand(fields, steps);
        expect(applyEdit(fields, edit)).toEqual(expected);
        for (const each of ['a', 'b', 'long-name', 'set-cookie']) {
          expect(edit.value(each)).toBe(fieldsViewOf(expected).value(each));
        }
      }),
    );
  });

  it('passes over names of other lengths at a glance, and never over its own', () => {
    const edit = new HeadEdit(fieldsViewOf([]));
    edit.remove('Server');
    expect([edit.mayDrop(6), edit.mayDrop(7), edit.drops('server'), edit.drops('cookie')]).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });
});
