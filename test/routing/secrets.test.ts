import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Secret } from '../../src/model/objects.ts';
import { keyFault } from '../../src/model/key-fault.ts';
import { readCaCertificates, readTlsSecret } from '../../src/model/secrets.ts';
import { createAuthority } from '../support/certificates.ts';

function rsaFault(bits: number, exponent: bigint): string | null {
  const n = Buffer.alloc(bits / 8, 0xff).toString('base64url');
  const hex = exponent.toString(16);
  const e = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex').toString('base64url');
  return keyFault(createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' }));
}

describe('a key costs a handshake only so much', () => {
  it.each([2048, 3072, 4096])('RSA of %d bits is used', (bits) => {
    expect(rsaFault(bits, 65537n)).toBeNull();
  });

  it.each([
    [4104, 65537n],
    [8192, 65537n],
    [16384, 3n],
    [2048, 2n ** 64n + 1n],
  ])('RSA of %d bits with the exponent %d is not', (bits, exponent) => {
    expect(rsaFault(bits, exponent)).toContain('use RSA of at most 4096 bits');
  });

  it.each(['P-256', 'P-384', 'P-521'])('%s is used', (namedCurve) => {
    expect(keyFault(generateKeyPairSync('ec', { namedCurve }).privateKey)).toBeNull();
  });

  it.each(['brainpoolP512r1', 'sect571r1', 'secp256k1'])('%s is not', (namedCurve) => {
    expect(keyFault(generateKeyPairSync('ec', { namedCurve }).privateKey)).toContain(namedCurve);
  });

  it('Ed25519 is used, and what no client expects is not', () => {
    expect(keyFault(generateKeyPairSync('ed25519').privateKey)).toBeNull();
    expect(keyFault(generateKeyPairSync('ed448').privateKey)).toContain('ed448');
    expect(keyFault(generateKeyPairSync('x25519').privateKey)).toContain('x25519');
  });
});

describe('certificates in a Secret', () => {
  const authority = createAuthority();
  const pair = authority.issue(['app.test']);
  const secret = (data: Record<string, string>): Secret =>
    ({
      type: 'kubernetes.io/tls',
      metadata: { name: 's', namespace: 'a' },
      stringData: data,
    }) as object as Secret;
  const served = (chain: string): string => {
    const read = readTlsSecret(secret({ 'tls.crt': chain, 'tls.key': pair.key }));
    return read.kind === 'certificate' ? read.kind : read.reason;
  };

  it('are ten in a chain, and 64 KiB', () => {
    const end = '-----END CERTIFICATE-----';
    const leaf = `${pair.certificate.slice(0, pair.certificate.indexOf(end))}${end}\n`;
    expect(served(leaf + authority.certificate.repeat(9))).toBe('certificate');
    expect(served(leaf + authority.certificate.repeat(10))).toContain('has 11 certificates in its tls.crt');
    expect(served(`${leaf}${'#'.repeat(64 * 1024)}`)).toContain('more than 64 KiB');
  });

  it('are 64 that clients or pods are verified by', () => {
    const read = (count: number): ReturnType<typeof readCaCertificates> =>
      readCaCertificates('a/s', secret({ 'ca.crt': authority.certificate.repeat(count) }), 'none');
    expect(read(64).kind).toBe('certificates');
    expect(read(65)).toEqual({
      kind: 'refused',
      reason: 'Secret a/s has 65 certificates in its ca.crt, and at most 64 are used',
    });
    expect(read(0).kind).toBe('refused');
    expect(readCaCertificates('a/s', undefined, 'none')).toEqual({ kind: 'refused', reason: 'none' });
  });
});
