import { hash as digestOf, timingSafeEqual } from 'node:crypto';
import { compareSync } from 'bcryptjs';
import { desCrypt } from './des-crypt.ts';
import { md5Crypt } from './md5-crypt.ts';
import { type ShaCryptSetting, shaCrypt } from './sha-crypt.ts';

/** As long as a hash may be; the longest is one of `$6$`. */
const MAX_LENGTH = 256;
/** 2^12 rounds take 300 ms of a core, and each more doubles that. */
const MAX_BCRYPT_COST = 12;
/** As much as that. */
const MAX_SHA_ROUNDS = 100_000;
/** Beyond it no password is compared: hashing takes time in proportion to it. */
const MAX_PASSWORD_BYTES = 512;

const PLAIN = /^\{PLAIN\}/;
const SHA = /^\{SHA\}[A-Za-z0-9+/]{27}=$/;
const SSHA = /^\{SSHA\}[A-Za-z0-9+/]{28,}={0,2}$/;
const MD5 = /^(\$1\$|\$apr1\$)([^$]{0,8})\$[./0-9A-Za-z]{22}$/;
const SHA_CRYPT = /^\$([56])\$(?:rounds=(\d{1,9})\$)?([^$]{0,16})\$[./0-9A-Za-z]{43,86}$/;
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}$/;
const DES = /^[./0-9A-Za-z]{13}$/;

/** Why passwords cannot be compared with a hash of an htpasswd file, to follow "has a hash that"; null when they can. */
export function hashFault(hash: string): string | null {
  if (hash.length > MAX_LENGTH) return 'is too long';
  const cost = Number(BCRYPT.exec(hash)?.[1] ?? 4);
  if (cost < 4 || cost > MAX_BCRYPT_COST) return `costs more than 2^${MAX_BCRYPT_COST} rounds of bcrypt`;
  if (Number(SHA_CRYPT.exec(hash)?.[2] ?? 0) > MAX_SHA_ROUNDS)
    return `has more than ${MAX_SHA_ROUNDS} rounds`;
  const known = [PLAIN, SHA, SSHA, MD5, SHA_CRYPT, BCRYPT, DES].some((form) => form.test(hash));
  return known ? null : 'is of no kind that htpasswd makes';
}

/** Whether to compare a password with it takes microseconds. */
export function isCheap(hash: string): boolean {
  return hash.startsWith('{');
}

/** Whether a password is that of a hash. The time it takes tells nothing of how much of it is right. */
export function passwordMatches(hash: string, password: Buffer): boolean {
  if (hashFault(hash) !== null || password.length > MAX_PASSWORD_BYTES) return false;
  if (PLAIN.test(hash)) return areEqual(Buffer.from(hash.slice('{PLAIN}'.length)), password);
  if (SHA.test(hash)) return areEqual(Buffer.from(hash.slice('{SHA}'.length), 'base64'), sha1(password));
  if (SSHA.test(hash)) {
    const salted = Buffer.from(hash.slice('{SSHA}'.length), 'base64');
    return areEqual(salted.subarray(0, 20), sha1(Buffer.concat([password, salted.subarray(20)])));
  }
  if (BCRYPT.test(hash)) return compareSync(password.toString(), hash);
  const made = cryptOf(hash, password);
  return made !== null && areEqual(Buffer.from(hash), Buffer.from(made));
}

function cryptOf(hash: string, password: Buffer): string | null {
  const [, magic, salt = ''] = MD5.exec(hash) ?? [];
  if (magic === '$1$' || magic === '$apr1$') return md5Crypt(password, magic, salt);
  const sha = shaSetting(hash);
  return sha ? shaCrypt(password, sha) : desCrypt(password, hash);
}

function shaSetting(hash: string): ShaCryptSetting | null {
  const [, variant, rounds, salt = ''] = SHA_CRYPT.exec(hash) ?? [];
  if (variant !== '5' && variant !== '6') return null;
  return { variant, rounds: rounds === undefined ? null : Number(rounds), salt };
}

function sha1(bytes: Buffer): Buffer {
  return digestOf('sha1', bytes, 'buffer');
}

/** Compares digests, which are of one length. */
function areEqual(a: Buffer, b: Buffer): boolean {
  return timingSafeEqual(digestOf('sha256', a, 'buffer'), digestOf('sha256', b, 'buffer'));
}
