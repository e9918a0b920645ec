import { generateKeyPair, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import forge from 'node-forge';
import type { KeyPair } from '../model/secrets.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const VALID_FOR_DAYS = 365;
const NAME = 'Portico default certificate';

/**
 * A self-signed certificate for hosts that have none, so that TLS works and nobody takes it for a real one. `now` is
 * in milliseconds since the epoch.
 */
export async function createDefaultCertificate(now: number): Promise<KeyPair> {
  // Node makes the key, which is slow where it is not done by OpenSSL; the library puts the certificate together.
  const { privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const { pki, md } = forge;
  const key = pki.privateKeyFromPem(privateKey);
  const certificate = pki.createCertificate();
  certificate.publicKey = pki.setRsaPublicKey(key.n, key.e);
  // RFC 5280 4.1.2.2: positive, and hard to guess.
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`;
  // Clocks differ.
  certificate.validity.notBefore = new Date(now - DAY_MS);
  certificate.validity.notAfter = new Date(now + VALID_FOR_DAYS * DAY_MS);
  const subject = [{ name: 'commonName', value: NAME }];
  certificate.setSubject(subject);
  certificate.setIssuer(subject);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: false },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true },
    { name: 'extKeyUsage', serverAuth: true },
    { name: 'subjectAltName', altNames: [{ type: 2, value: 'portico.invalid' }] },
  ]);
  certificate.sign(key, md.sha256.create());
  return { certificate: pki.certificateToPem(certificate), key: privateKey };
}
