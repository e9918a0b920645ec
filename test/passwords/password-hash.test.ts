import { spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hashFault, isCheap, passwordMatches } from '../../src/passwords/password-hash.ts';
import { examples } from '../support/examples.ts';

/** Made by htpasswd, openssl passwd and crypt(3). The password is `secret` unless said. */
const KNOWN: readonly (readonly [hash: string, password?: string])[] = [
  ['{PLAIN}secret'],
  ['{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ='],
  ['rl.3StKT.4T8M', 'rasmuslerdorf'],
  ['$1$abcdefgh$IQtUouv7y7Q9dRWkQEPCc.', 'pw'],
  ['$5$abcdefgh$ijtOJ//yvc/9bq1g0llFn9dB688BwBDRD90DlKKSKE1', 'pw'],
  [
    '$6$rounds=1000$abcdefgh$XqwJcW6OI747PCzoKGoK/1tWSlKoh2vkjEp0I.CpQYUGXuxtpSzAi0rXpF1oWR/3/HfvxKLb7xwD0vymBsSv8/',
    'pw',
  ],
  ['$2b$05$CCCCCCCCCCCCCCCCCCCCC.Wu1bsEWQW5nNN6kAoQ74kf4plG/SBq6', 'pw'],
  ['$2y$05$CCCCCCCCCCCCCCCCCCCCC.Wu1bsEWQW5nNN6kAoQ74kf4plG/SBq6', 'pw'],
  ['$2a$05$CCCCCCCCCCCCCCCCCCCCC.Wu1bsEWQW5nNN6kAoQ74kf4plG/SBq6', 'pw'],
];

test.each(KNOWN.map(([hashed, password = 'secret']) => [hashed, password] as const))(
  '%s',
  (hashed, password) => {
    expect(hashFault(hashed)).toBeNull();
    expect(passwordMatches(hashed, Buffer.from(password))).toBe(true);
    for (const wrong of ['', `${password}x`.slice(1), password.toUpperCase()])
      expect(passwordMatches(hashed, Buffer.from(wrong))).toBe(false);
  },
);

test('{SSHA}, with salt of any length', () => {
  for (const salt of ['1234', '12345678901234567890']) {
    const digest = hash('sha1', Buffer.from(`secret${salt}`), 'buffer');
    const hashed = `{SSHA}${Buffer.concat([digest, Buffer.from(salt)]).toString('base64')}`;
    expect(passwordMatches(hashed, Buffer.from('secret'))).toBe(true);
    expect(passwordMatches(hashed, Buffer.from('secres'))).toBe(false);
  }
});

const PASSWORDS = [
  '',
  'a',
  'password',
  'exactly8',
  'ninechars',
  'é',
  'x'.repeat(16),
  'y'.repeat(17),
  'z'.repeat(70),
];
const SALTS = ['ab', '/.', '$1$a$', '$1$abcdefgh$', '$5$salt$', '$5$rounds=1234$longer.salt.here$', '$6$s$'];

/** What crypt(3) of this system makes of them, by Perl. */
function systemCrypts(): readonly (readonly [password: string, hash: string])[] {
  const pairs = PASSWORDS.flatMap((password) => SALTS.map((salt) => [password, salt] as const));
  const script = 'while (@ARGV) { my ($p, $s) = splice(@ARGV, 0, 2); print crypt($p, $s) // "", "\\n" }';
  const { stdout, status } = spawnSync('perl', ['-e', script, ...pairs.flat()], { encoding: 'utf8' });
  if (status !== 0) return [];
  const lines = stdout.split('\n');
  return pairs.flatMap(([password], at) =>
    lines[at]?.startsWith('*') || !lines[at] ? [] : [[password, lines[at]]],
  );
}

const crypts = systemCrypts();

describe.skipIf(crypts.length === 0)('crypt(3) of this system', () => {
  test('makes the same hashes', () => {
    expect(crypts.length).toBeGreaterThan(PASSWORDS.length);
    for (const [password, hashed] of crypts) {
      expect([password, hashed, passwordMatches(hashed, Buffer.from(password))]).toEqual([
        password,
        hashed,
        true,
      ]);
      // To find a password wrong takes as long as to find it right.
      if (password === 'password') expect(passwordMatches(hashed, Buffer.from(`-${password}`))).toBe(false);
    }
  });
});

const apr1 = spawnSync('openssl', ['passwd', '-apr1', '-salt', 'abcdefgh', ...PASSWORDS.slice(1)], {
  encoding: 'utf8',
});

describe.skipIf(apr1.status !== 0)('openssl passwd -apr1', () => {
  test('makes the same hashes', () => {
    for (const [at, hashed] of apr1.stdout.trim().split('\n').entries())
      expect(passwordMatches(hashed, Buffer.from(PASSWORDS[at + 1] ?? ''))).toBe(true);
  });
});

test.each([
  ['', 'is of no kind that htpasswd makes'],
  ['secret', 'is of no kind that htpasswd makes'],
  ['$7$x$y', 'is of no kind that htpasswd makes'],
  ['$2y$13$CCCCCCCCCCCCCCCCCCCCC.Wu1bsEWQW5nNN6kAoQ74kf4plG/SBq6', 'costs more than 2^12 rounds of bcrypt'],
  ['$2y$31$CCCCCCCCCCCCCCCCCCCCC.Wu1bsEWQW5nNN6kAoQ74kf4plG/SBq6', 'costs more than 2^12 rounds of bcrypt'],
  [`$6$rounds=999999999$abcdefgh$${'x'.repeat(86)}`, 'has more than 100000 rounds'],
  [`{PLAIN}${'x'.repeat(300)}`, 'is too long'],
])('"%s" is refused, and nothing is its password', (hashed, fault) => {
  expect(hashFault(hashed)).toBe(fault);
  expect(passwordMatches(hashed, Buffer.from(hashed))).toBe(false);
});

test('no text throws or is anything but the password of itself', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(0x10ffff), { maxLength: 80 }),
      fc.constantFrom('', '$1$', '$5$', '{SHA}', '{SSHA}'),
      (points, start) => {
        const text = String.fromCodePoint(...points);
        expect(typeof isCheap(start + text)).toBe('boolean');
        expect(passwordMatches(start + text, Buffer.from('secret'))).toBe(false);
      },
    ),
    { numRuns: examples(50) },
  );
});
