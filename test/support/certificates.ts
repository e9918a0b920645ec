import { generateKeyPairSync, randomBytes } from 'node:crypto';
import forge from 'node-forge';
import type { KeyPair } from '../../src/routing/secrets.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Issues certificates as tests need them, and is what their clients trust. */
export interface Authority {
  /** PEM */
  readonly certificate: string;
  /** For these DNS names; the chain with the authority's own certificate in it. */
  issue(names: readonly string[], options?: { readonly expired?: boolean }): KeyPair;
}

export function createAuthority(): Authority {
  const own = generateKey();
  const name = [{ name: 'commonName', value: 'Test authority' }];
  const root = sign(name, name, own, own, [
    { name: 'basicConstraints', cA: true },
    { name: 'keyUsage', keyCertSign: true, digitalSignature: true },
  ]);
  return {
    certificate: root,
    issue(names, { expired = false } = {}) {
      const key = generateKey();
      const altNames = names.map((value) => ({ type: 2, value }));
      const extensions = [{ name: 'subjectAltName', altNames }];
      const subject = [{ name: 'commonName', value: names[0] ?? '' }];
      return { certificate: sign(subject, name, key, own, extensions, expired) + root, key };
    },
  };
}

function generateKey(): string {
  return generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  }).privateKey;
}

function sign(
  subject: forge.pki.CertificateField[],
  issuer: forge.pki.CertificateField[],
  key: string,
  issuerKey: string,
  extensions: object[],
  expired = false,
): string {
  const { pki } = forge;
  const privateKey = pki.privateKeyFromPem(key);
  const certificate = pki.createCertificate();
  certificate.publicKey = pki.setRsaPublicKey(privateKey.n, privateKey.e);
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`;
  certificate.validity.notBefore = new Date(Date.now() - 30 * DAY_MS);
  certificate.validity.notAfter = new Date(Date.now() + (expired ? -1 : 30) * DAY_MS);
  certificate.setSubject(subject);
  certificate.setIssuer(issuer);
  certificate.setExtensions(extensions);
  certificate.sign(pki.privateKeyFromPem(issuerKey), forge.md.sha256.create());
  return pki.certificateToPem(certificate);
}
