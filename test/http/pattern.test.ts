import { expect, test } from 'vitest';
import { compilePattern, patternFault } from '../../src/http/pattern.ts';

test.each([
  ['^v[12]$', 'v1', 'v3'],
  ['beta', 'a beta b', 'BETA'],
  ['(?i)beta', 'BETA', 'bet'],
])('%s finds %s and not %s', (expression, found, missed) => {
  expect(patternFault(expression)).toBeNull();
  const finds = compilePattern(expression);
  expect([finds(found), finds(missed)]).toEqual([true, false]);
});

test.each(['(', '(?=a)', '\\1', '((a{100}){100}){100}', 'a'.repeat(513), '(?:a?){400}', '\ud800('])(
  '%s cannot be used',
  (expression) => {
    expect(patternFault(expression)).not.toBeNull();
  },
);

test('an expression that would backtrack is matched in time that follows the text', () => {
  const finds = compilePattern('^(a+)+$');
  expect([finds(`${'a'.repeat(1000)}!`), finds('a'.repeat(1000)), finds('a'.repeat(2000))]).toEqual([
    false,
    true,
    false,
  ]);
});
