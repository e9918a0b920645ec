import type { KeyObject } from 'node:crypto';

/** Twice the size takes eight times as long: a handshake with 16,384 bits stops a thread for a quarter of a second. */
const MAX_RSA_BITS = 4096;
/** Verifying takes one multiplication for each bit. */
const MAX_RSA_EXPONENT = 2n ** 64n;
/** OpenSSL has fast code for these, or they are small. */
const CURVES: ReadonlyMap<string, string> = new Map([
  ['prime256v1', 'P-256'],
  ['secp384r1', 'P-384'],
  ['secp521r1', 'P-521'],
]);
const SUPPORTED = `use RSA of at most ${MAX_RSA_BITS} bits, ECDSA with ${[...CURVES.values()].join(', ')}, or Ed25519`;

/**
 * Why a key, private or public, is not used, or null: what it costs a thread to sign or verify with it is bounded,
 * since all tenants share the threads.
 */
export function keyFault(key: KeyObject): string | null {
  const type = key.asymmetricKeyType ?? 'unknown';
  const { modulusLength, publicExponent, namedCurve } = key.asymmetricKeyDetails ?? {};
  switch (type) {
    case 'rsa':
    case 'rsa-pss':
      if (modulusLength === undefined || modulusLength > MAX_RSA_BITS)
        return `has an RSA key of ${modulusLength ?? 'unknown'} bits: ${SUPPORTED}`;
      return publicExponent !== undefined && publicExponent < MAX_RSA_EXPONENT
        ? null
        : `has an RSA key whose public exponent is too large: ${SUPPORTED}`;
    case 'ec':
      return namedCurve !== undefined && CURVES.has(namedCurve)
        ? null
        : `has an elliptic-curve key with ${namedCurve ?? 'parameters of its own'}: ${SUPPORTED}`;
    case 'ed25519':
      return null;
    default:
      return `has a key of type ${type}: ${SUPPORTED}`;
  }
}
