import { generateKeyPairSync } from 'node:crypto';
import type { KeyPair } from '../model/secrets.ts';
import { type DistinguishedName, signCertificate } from './x509.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const VALID_FOR_DAYS = 365;
const NAME: DistinguishedName = [['commonName', 'Portico default certificate']];

/**
 * A self-signed certificate for hosts that have none, so that TLS works and nobody takes it for a real one. `now` is
 * in milliseconds since the epoch.
 */
export function createDefaultCertificate(now: number): KeyPair {
  // ECDSA: a key of RSA takes a tenth of a second to make, and sometimes three.
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const content = {
    subject: NAME,
    issuer: NAME,
    // Clocks differ.
    notBefore: new Date(now - DAY_MS),
    notAfter: new Date(now + VALID_FOR_DAYS * DAY_MS),
    dnsNames: ['portico.invalid'],
    isAuthority: false,
    serverOnly: true,
  };
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { certificate: signCertificate(content, privateKey, privateKey), key };
}
