import { hash } from 'node:crypto';
import { base64Of } from './crypt-base64.ts';

const PERMUTATION = [...[0, 6, 12], ...[1, 7, 13], ...[2, 8, 14], ...[3, 9, 15], ...[4, 10, 5]];

/** `$1$` of crypt(3) and `$apr1$` of Apache: a thousand rounds of MD5. `salt` has at most eight characters. */
export function md5Crypt(password: Buffer, magic: '$1$' | '$apr1$', salt: string): string {
  const saltBytes = Buffer.from(salt);
  let digest = md5(password, saltBytes, password);
  const parts = [password, Buffer.from(magic), saltBytes];
  for (let left = password.length; left > 0; left -= 16) parts.push(digest.subarray(0, Math.min(16, left)));
  for (let bits = password.length; bits > 0; bits >>= 1)
    parts.push((bits & 1) === 1 ? Buffer.from([0]) : password.subarray(0, 1));
  digest = md5(...parts);
  for (let round = 0; round < 1_000; round++) {
    const isOdd = (round & 1) === 1;
    const next = [isOdd ? password : digest];
    if (round % 3 !== 0) next.push(saltBytes);
    if (round % 7 !== 0) next.push(password);
    next.push(isOdd ? digest : password);
    digest = md5(...next);
  }
  return `${magic}${salt}$${base64Of(digest, PERMUTATION, 11)}`;
}

function md5(...parts: readonly Buffer[]): Buffer {
  return hash('md5', Buffer.concat(parts), 'buffer');
}
