import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalizeHost, normalizePath } from '../../src/routing/match.ts';
import { normalizeRulePath } from '../../src/http/path.ts';
import { examples } from '../support/examples.ts';

describe('normalizeHost', () => {
  it.each([
    ['example.com', 'example.com'],
    ['EXAMPLE.com:443', 'example.com'],
    ['example.com.', 'example.com'],
    ['example.com.:80', 'example.com'],
    ['example.com:', 'example.com'],
    ['localhost', 'localhost'],
    ['10.0.0.1:8080', '10.0.0.1'],
    ['_acme._tcp.example.com', '_acme._tcp.example.com'],
    ['[::1]', '[::1]'],
    ['[FD00::A]:8080', '[fd00::a]'],
  ])('%s is %s', (written, host) => {
    expect(normalizeHost(written)).toBe(host);
  });

  it.each([
    '',
    '.',
    ':80',
    'a..b',
    '.a',
    'a.b..',
    'a b',
    'a,b',
    'a/b',
    'a@b',
    'a:b',
    'a:80:80',
    'a:65536',
    'a:123456',
    'a:+80',
    'é.com',
    'a\0',
    'a%41',
    '[::1',
    '[::1]x',
    '[::1]:x',
    '[fe80::1%25eth0]',
    '[1.2.3.4]',
    '[]',
    '::1',
    'a'.repeat(64),
    `${'a.'.repeat(127)}a`,
  ])('%j is malformed', (written) => {
    expect(normalizeHost(written)).toBeNull();
  });

  it('changes nothing twice', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.domain(), fc.stringMatching(/^[a-zA-Z0-9.:[\]_-]{0,20}$/)),
        (written) => {
          const host = normalizeHost(written);
          if (host !== null) expect(normalizeHost(host)).toBe(host);
        },
      ),
    );
  });
});

describe('normalizePath', () => {
  it.each([
    ['/', '/'],
    ['/a/b', '/a/b'],
    ['/a?b=/../c', '/a'],
    ['/?', '/'],
    ['//', '/'],
    ['/a//b///', '/a/b/'],
    ['/a/./b/.', '/a/b/'],
    ['/a/b/..', '/a/'],
    ['/a/b/../../', '/'],
    ['/a//../b', '/b'],
    ['/%7Euser/%41', '/~user/A'],
    ['/%2e%2E/x', null],
    ['/a/%2e./b', '/b'],
    ['/a%2fb', '/a%2Fb'],
    ['/a%2Fb/..', '/'],
    ['/%c3%a9', '/%C3%A9'],
    ['/\u00c3\u00a9', '/%C3%A9'],
    ['/a b"<>', '/a%20b%22%3C%3E'],
    ["/a;v=1/b:c@d!$&'()*+,=", "/a;v=1/b:c@d!$&'()*+,="],
    ['/...', '/...'],
    ['/.hidden', '/.hidden'],
    ['/a%3Fb', '/a%3Fb'],
    ['/..;/x', '/..;/x'],
    ['/a\\..\\b', '/a%5C..%5Cb'],
    ['/..', null],
    ['/a/../../b', null],
    ['/%', null],
    ['/%a', null],
    ['/%0g', null],
    ['/%00', null],
    ['/a\0', null],
    ['/\u20ac', null],
    ['a', null],
    ['', null],
    ['*', null],
  ])('%j is %j', (target, path) => {
    expect(normalizePath(target)).toBe(path);
  });

  it('changes nothing twice, and never leaves what it is there to remove', () => {
    const hostile = fc
      .stringMatching(/^(\/|\.|%2[eEfF5]|%[0-9a-f]{2}|[a-z?]){0,24}$/)
      .map((rest) => `/${rest}`);
    fc.assert(
      fc.property(fc.oneof(hostile, fc.string()), (target) => {
        const path = normalizePath(target);
        if (path === null) return;
        expect(normalizePath(path)).toBe(path);
        expect(path).toMatch(/^\/([^/]+\/)*[^/]*$/);
        expect(path).not.toMatch(/\/\.{1,2}(\/|$)|\?|%(?![0-9A-F]{2})|%00/);
      }),
      { numRuns: examples(500) },
    );
  });

  it('gives rules the form that the same path has in a request', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (rest) => {
        if (rest.includes('?') || rest.includes('%')) return;
        const sent = Buffer.from(`/${rest}`, 'utf8').toString('latin1');
        expect(normalizeRulePath(`/${rest}`)).toBe(normalizePath(sent));
      }),
    );
  });
});
