import * as fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, test } from 'vitest';
import { FirstMatch, TOO_COSTLY } from '../../src/http/regex/first-match.ts';
import { matchGroups } from '../../src/http/regex/groups.ts';
import { type Program, compileRegex, literalPrefix } from '../../src/http/regex/regex-program.ts';
import { parseRegex } from '../../src/http/regex/syntax.ts';
import { examples } from '../support/examples.ts';

function parsed(text: string, ignoreCase = false) {
  const regex = parseRegex(text, ignoreCase);
  if (regex.kind === 'invalid') throw new Error(`${text} ${regex.why}`);
  return regex;
}

function programOf(texts: readonly string[], ignoreCase = false): Program {
  const program = compileRegex(
    texts.map((text) => parsed(text, ignoreCase)),
    100_000,
  );
  if (program === null) throw new Error('too large');
  return program;
}

const groupsOf = (regex: string, text: string) => matchGroups(programOf([regex]), text);

describe('what a regular expression takes', () => {
  test.each([
    ['/foo(/|$)(.*)', '/foo/bar', ['/foo/bar', '/', 'bar']],
    ['/foo(/|$)(.*)', '/foo', ['/foo', '', '']],
    ['/foo(/|$)(.*)', '/food', null],
    ['/(a|ab)(c|bcd)(d*)', '/abcd', ['/abcd', 'a', 'bcd', '']],
    ['/(a+?)(a*)', '/aaa', ['/aaa', 'a', 'aa']],
    ['/(?:v(\\d)|w)/x', '/w/x', ['/w/x', undefined]],
    ['/(?P<id>[0-9a-f]{4})-(?<rest>\\w{2,3})', '/12ab-xyzz', ['/12ab-xyz', '12ab', 'xyz']],
    ['(?i)/A[b-d]', '/aC', ['/aC']],
    ['/(?i:a)b', '/Ab', ['/Ab']],
    ['/(?i:a)b', '/AB', null],
    ['/\\Qa.b\\E+', '/a.bbb', ['/a.bbb']],
    ['/[^/]+\\.(?:js|css)$', '/x.css', ['/x.css']],
    ['/[^/]+\\.(?:js|css)$', '/x.css/y', null],
    ['/x\\b', '/x-y', ['/x']],
    ['/x\\B', '/x-y', null],
    ['/[[:alpha:]_]+[^[:^digit:]]', '/ab_1', ['/ab_1']],
    ['/[]a-]+', '/]-a', ['/]-a']],
    ['/a{,2}', '/a{,2}', ['/a{,2}']],
    ['/\\x41\\x{42}\\.', '/AB.', ['/AB.']],
    ['/é', '/\u00c3\u00a9', ['/\u00c3\u00a9']],
    ['/(?U)(a+)(a*)', '/aaa', ['/a', 'a', '']],
    ['', 'anything', ['']],
  ] as [string, string, unknown][])('%s of %s', (regex, text, expected) => {
    expect(groupsOf(regex, text)).toEqual(expected);
  });

  test.each([
    ['/(?!api)', 'looks ahead or behind, which RE2 cannot do'],
    ['/(?<=a)b', 'looks ahead or behind, which RE2 cannot do'],
    ['/(a)\\1', 'refers back to a group, which RE2 cannot do'],
    ['/a++', 'repeats a repetition with "+", which RE2 does not understand'],
    ['/a**', 'repeats a repetition with "*", which RE2 does not understand'],
    ['/(a', 'has an opening parenthesis without a closing one'],
    ['/a)', 'has a closing parenthesis without an opening one'],
    ['/[a', 'has an opening bracket without a closing one'],
    ['/[z-a]', 'has a range in brackets that is not valid'],
    ['/[é]', 'has "é" in brackets, where only ASCII is supported'],
    ['/a{3,2}', 'has the count "{3,2}", which is not valid'],
    ['/a{1001}', 'has the count "{1001}", which is not valid'],
    ['*', 'repeats nothing with "*"'],
    ['/\\pL', 'has "\\p", which is not supported'],
    ['/a\\', 'has "\\", which is not supported'],
    ['/(?m)a', 'has a group that begins with "(?m", which is not supported'],
    ['('.repeat(100_000), 'has groups more than 50 deep'],
  ])('%s cannot be used', (regex, why) => {
    expect(parseRegex(regex)).toEqual({ kind: 'invalid', why });
  });

  test.each([
    ['/foo(/|$)(.*)', '/foo'],
    ['/Foo/v1', '/foo/v1'],
    ['/(foo)/x*', '/foo/'],
    ['^/a', '/a'],
    ['/(a|b)', '/'],
    ['.*', ''],
  ])('%s begins with %j', (regex, prefix) => {
    expect(literalPrefix(parsed(regex, true))).toBe(prefix);
  });
});

/** Expressions over a small alphabet, so that texts match often. */
const { regex: regexes } = fc.letrec<{ regex: string; atom: string }>((tie) => ({
  atom: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('a', 'b', '/', '.', '[ab]', '[^a]', '\\w', '\\b', '\\B', '$', '^', '(?i:A)'),
    fc.tuple(fc.constantFrom('(', '(?:'), tie('regex')).map(([open, inner]) => `${open}${inner})`),
  ),
  regex: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('atom'),
    fc
      .tuple(tie('atom'), fc.constantFrom('*', '+', '?', '*?', '+?', '??', '{2}', '{1,2}', '{0,2}?'))
      .map(([atom, count]) => `(?:${atom})${count}`),
    fc.tuple(tie('regex'), tie('regex')).map(([one, other]) => one + other),
    fc.tuple(tie('regex'), tie('regex')).map(([one, other]) => `${one}|${other}`),
  ),
}));
const texts = fc.string({ unit: fc.constantFrom('a', 'b', '/', 'A', '-'), maxLength: 10 });

describe('as RE2 does it', () => {
  test('the groups of any expression', () => {
    fc.assert(
      fc.property(regexes, texts, (regex, text) => {
        const matcher = RE2JS.compile(regex).matcher(text);
        const expected = matcher.lookingAt()
          ? Array.from({ length: matcher.groupCount() + 1 }, (_, group) => matcher.group(group) ?? undefined)
          : null;
        expect(groupsOf(regex, text)).toEqual(expected);
      }),
      { numRuns: examples(375) },
    );
  });

  test('the first of any expressions', () => {
    fc.assert(
      fc.property(fc.array(regexes, { maxLength: 6 }), fc.array(texts, { maxLength: 4 }), (list, some) => {
        const automaton = new FirstMatch(programOf(list, true));
        for (const text of some) {
          const first = list.findIndex((regex) =>
            RE2JS.compile(regex, RE2JS.CASE_INSENSITIVE).matcher(text).lookingAt(),
          );
          expect(automaton.find(text), text).toBe(first);
        }
      }),
      { numRuns: examples(175) },
    );
  });
});

describe('whatever it costs', () => {
  const text = 'ab'.repeat(2_000);

  test.each(['(a|b)*a(a|b){200}c', '((a|b)+)+c', '(a?){200}a{200}', '(.*)(.*)(.*)(.*)c'])(
    '%s is followed or given up, on any text',
    (regex) => {
      const program = compileRegex([parsed(regex)], 2_000);
      if (program === null) throw new Error('too large');
      expect([-1, 0, TOO_COSTLY]).toContain(new FirstMatch(program).find(text));
      const groups = matchGroups(program, text);
      expect(groups === null || groups === TOO_COSTLY || Array.isArray(groups)).toBe(true);
    },
  );

  test('an expression that has very many instructions is not compiled', () => {
    expect(compileRegex([parsed('((a{1000}){1000}){1000}')], 500)).toBeNull();
  });

  test('an automaton forgets states, and finds the same', () => {
    const automaton = new FirstMatch(programOf(['(?:a|b)*a(?:a|b){12}c']));
    for (let seed = 1, i = 0; i < 300; i++) {
      let random = '';
      while (random.length < 60) random += 'ab'[(seed = (seed * 48_271) % 2_147_483_647) & 1];
      expect(automaton.find(`${random}a${'b'.repeat(12)}c`)).toBe(0);
      expect(automaton.find(random)).toBe(-1);
    }
    expect(automaton.bytes).toBeLessThan(1024 * 1024);
  });
});
