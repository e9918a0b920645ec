import { createHash } from 'node:crypto';
import { base64Of } from './crypt-base64.ts';

const DEFAULT_ROUNDS = 5_000;

interface Variant {
  readonly algorithm: 'sha256' | 'sha512';
  readonly places: readonly number[];
  readonly last: readonly number[];
}

const SHA256: Variant = {
  algorithm: 'sha256',
  places: triples(10, ([a, b, c]) => [c + 1, a + 1, b + 1]),
  last: [31, 30],
};
const SHA512: Variant = {
  algorithm: 'sha512',
  places: triples(21, ([a, b, c]) => [b + 1, c + 1, a + 1]),
  last: [63],
};

type Triple = readonly [number, number, number];

/** In which order the bytes of a digest are written: by threes, each made of the one before. */
function triples(count: number, next: (triple: Triple) => Triple): readonly number[] {
  const places: number[] = [];
  let triple: Triple = [0, count, 2 * count];
  for (let n = 0; n < count; n++, triple = next(triple)) places.push(...triple);
  return places;
}

/** What stands in a hash of `$5$` or `$6$` before the digest. */
export interface ShaCryptSetting {
  readonly variant: '5' | '6';
  /** Null where it is not written. */
  readonly rounds: number | null;
  readonly salt: string;
}

/** `$5$` and `$6$` of crypt(3), as Ulrich Drepper specifies them. */
export function shaCrypt(password: Buffer, { variant, rounds, salt }: ShaCryptSetting): string {
  const { algorithm, places, last } = variant === '5' ? SHA256 : SHA512;
  const digestOf = (...parts: readonly Buffer[]): Buffer => {
    const hash = createHash(algorithm);
    for (const part of parts) hash.update(part);
    return hash.digest();
  };
  const saltBytes = Buffer.from(salt);
  const b = digestOf(password, saltBytes, password);
  const parts = [password, saltBytes, repeated(b, password.length)];
  for (let bits = password.length; bits > 0; bits >>= 1) parts.push((bits & 1) === 1 ? b : password);
  let digest = digestOf(...parts);
  const p = repeated(digestOf(...Array<Buffer>(password.length).fill(password)), password.length);
  const s = repeated(digestOf(...Array<Buffer>(16 + (digest[0] ?? 0)).fill(saltBytes)), salt.length);
  const count = rounds ?? DEFAULT_ROUNDS;
  for (let round = 0; round < count; round++) {
    const isOdd = (round & 1) === 1;
    const next = [isOdd ? p : digest];
    if (round % 3 !== 0) next.push(s);
    if (round % 7 !== 0) next.push(p);
    next.push(isOdd ? digest : p);
    digest = digestOf(...next);
  }
  const written = rounds === null ? '' : `rounds=${rounds}$`;
  return `$${variant}$${written}${salt}$${base64Of(digest, places, ...last)}`;
}

/** Over and over, to this length. */
function repeated(digest: Buffer, length: number): Buffer {
  return Buffer.alloc(length, digest.length > 0 && length > 0 ? digest : 0);
}
