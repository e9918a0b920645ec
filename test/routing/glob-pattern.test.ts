import * as fc from 'fast-check';
import picomatch from 'picomatch';
import { describe, expect, it } from 'vitest';
import { parseHostGlob } from '../../src/routing/glob.ts';
import { patternTakes } from '../../src/routing/glob-pattern.ts';
import { examples } from '../support/examples.ts';

const SUFFIX = 'b.a';

/** As `match` asks it: null when the glob is refused, or the host has another suffix. */
function takes(glob: string, host: string): boolean | null {
  const result = parseHostGlob(glob);
  if (result.kind === 'refused' || result.glob.suffix !== SUFFIX || !host.endsWith(`.${SUFFIX}`)) return null;
  return result.glob.patterns.some((pattern) => patternTakes(pattern, host, host.length - SUFFIX.length - 1));
}

/** The same by picomatch, which separates by slashes. */
function picomatchTakes(glob: string, host: string): boolean {
  const options = { dot: true, noextglob: true, nonegate: true, strictSlashes: true };
  return picomatch.isMatch(host.replaceAll('.', '/'), glob.replaceAll('.', '/'), options);
}

describe('host globs', () => {
  it('take what picomatch takes', () => {
    const part = fc.constantFrom('a', 'b', 'ab', '-', '*', '*', '?', '[ab]', '[a-c]', '{a,b}', '{a,ab,b}');
    const label = fc.oneof(
      { weight: 1, arbitrary: fc.constant('**') },
      { weight: 5, arbitrary: fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('')) },
    );
    const glob = fc.array(label, { minLength: 1, maxLength: 3 });
    const host = fc.array(fc.stringMatching(/^[abc-]{1,4}$/), { minLength: 1, maxLength: 4 });
    let compared = 0;
    fc.assert(
      fc.property(glob, fc.array(host, { minLength: 5, maxLength: 20 }), (labels, hosts) => {
        const written = `${labels.join('.')}.${SUFFIX}`;
        for (const each of hosts) {
          const name = `${each.join('.')}.${SUFFIX}`;
          const ours = takes(written, name);
          if (ours === null) continue;
          compared++;
          expect([written, name, ours]).toEqual([written, name, picomatchTakes(written, name)]);
        }
      }),
      { numRuns: examples(175) },
    );
    expect(compared).toBeGreaterThan(1000);
  });

  it.each([
    ['*', 'must end in two literal labels'],
    ['*.com', 'must end in two literal labels'],
    ['*com', 'must end in two literal labels'],
    ['**.com', 'must end in two literal labels'],
    ['a**.example.com', 'as a whole label'],
    ['{a,b}{a,b}{a,b,c,d,e,f,g,h,i}.example.com', 'combinations of choices'],
    ['[b-a].example.com', 'out of order'],
  ])('%s is refused', (glob, reason) => {
    expect(parseHostGlob(glob)).toMatchObject({ kind: 'refused', reason: expect.stringContaining(reason) });
  });
});
