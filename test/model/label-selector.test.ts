import { expect, test } from 'vitest';
import { isSelected, parseLabelSelector } from '../../src/model/label-selector.ts';

test.each([
  ['team=shop', [{ team: 'shop' }], [{ team: 'blog' }, {}]],
  ['team==shop, env', [{ team: 'shop', env: '' }], [{ team: 'shop' }]],
  ['team!=shop', [{ team: 'blog' }, {}], [{ team: 'shop' }]],
  ['env in (prod, test),!legacy', [{ env: 'test' }], [{ env: 'dev' }, { env: 'prod', legacy: '' }, {}]],
  ['env notin (prod)', [{}, { env: 'dev' }], [{ env: 'prod' }]],
  ['a.b/c-d=e_f', [{ 'a.b/c-d': 'e_f' }], [{}]],
  ['toString', [], [{}]],
])('%s', (text, selected, others) => {
  const selector = parseLabelSelector(text) ?? {};
  expect(selected.filter((labels) => !isSelected(selector, labels))).toEqual([]);
  expect(others.filter((labels) => isSelected(selector, labels))).toEqual([]);
});

test.each([
  '',
  ' ',
  'a=',
  'a,',
  'a in b',
  'a in (b',
  '-a',
  'a=b=c',
  'a>1',
  '(a)',
  'a '.repeat(5_000),
  '('.repeat(5_000),
])('%s is none, or selects few', (text) => {
  const selector = parseLabelSelector(text);
  expect(selector === null || !isSelected(selector, {})).toBe(true);
});
