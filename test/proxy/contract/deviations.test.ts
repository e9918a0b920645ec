import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { deviations } from '../../support/deviations.ts';

it('every deviation names a behaviour of the contract', () => {
  const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test.ts'));
  const contract = files.map((name) => readFileSync(join(import.meta.dirname, name), 'utf8')).join('');
  const titles = [...contract.matchAll(/behaves\(\s*(['`])(.*?)\1,/g)].map(([, , title = '']) => title);
  // What a title is made of is not known here: its text around that must fit.
  const names = (title: string, behaviour: string): boolean => {
    const [first = '', ...rest] = title.split(/\$\{[^}]*\}/);
    return rest.length === 0
      ? behaviour === title
      : behaviour.startsWith(first) && rest.every((part) => behaviour.includes(part)) && first !== '';
  };
  const unknown = deviations.filter(({ behaviour }) => !titles.some((title) => names(title, behaviour)));
  expect(unknown.map(({ behaviour }) => behaviour)).toEqual([]);
});
