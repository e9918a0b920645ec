import { generateKeyPairSync, randomBytes } from 'node:crypto';
import forge from 'node-forge';
import type { KeyPair } from '../../src/model/secrets.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Issues certificates as tests need them, and is what their clients trust. */
export interface Authority {
  /** PEM */
  readonly certificate: string;
  /** For these DNS names, the first of which is its common name; with the chain to the authority and its own certificate. */
  issue(names: readonly string[], options?: IssueOptions): KeyPair;
  /** An authority that this one vouches for. */
  delegate(): Authority;
}

export interface IssueOptions {
  readonly expired?: boolean;
  /** Further parts of the subject: `{ organizationName: 'Shop' }`. */
  readonly subject?: Readonly<Record<string, string>>;
  /** Good for servers only. */
  readonly serverOnly?: boolean;
}

export function createAuthority(): Authority {
  return authorityBelow(null);
}

interface Issuer {
  readonly name: forge.pki.CertificateField[];
  readonly key: string;
  readonly chain: string;
}

function authorityBelow(parent: Issuer | null): Authority {
  const key = generateKey();
  const above = parent?.name[0]?.value;
  const name = [{ name: 'commonName', value: above ? `Below ${String(above)}` : 'Test authority' }];
  const certificate = sign(name, parent?.name ?? name, key, parent?.key ?? key, [
    { name: 'basicConstraints', cA: true },
    { name: 'keyUsage', keyCertSign: true, digitalSignature: true },
  ]);
  const issuer = { name, key, chain: certificate + (parent?.chain ?? '') };
  return {
    certificate,
    issue(names, { expired = false, subject = {}, serverOnly = false } = {}) {
      const key = generateKey();
      const altNames = names.map((value) => ({ type: 2, value }));
      const extensions = [
        { name: 'subjectAltName', altNames },
        ...(serverOnly ? [{ name: 'extKeyUsage', serverAuth: true }] : []),
      ];
      const parts = Object.entries({ ...subject, commonName: names[0] ?? '' });
      const fields = parts.map(([part, value]) => ({ name: part, value, valueTagClass: UTF8 }));
      return { certificate: sign(fields, name, key, issuer.key, extensions, expired) + issuer.chain, key };
    },
    delegate: () => authorityBelow(issuer),
  };
}

const UTF8 = forge.asn1.Type.UTF8 as unknown as forge.asn1.Class;

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
