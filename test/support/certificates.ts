import { type KeyObject, generateKeyPairSync } from 'node:crypto';
import { type DistinguishedName, signCertificate } from '../../src/controller/x509.ts';
import type { KeyPair } from '../../src/model/secrets.ts';
import { revocationListOf } from './revocations.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Issues certificates as tests need them, and is what their clients trust. */
export interface Authority {
  /** PEM */
  readonly certificate: string;
  /** For these DNS names, the first of which is its common name; with the chain to the authority and its own certificate. */
  issue(names: readonly string[], options?: IssueOptions): KeyPair;
  /** PEM of a list that revokes these certificates. */
  revoke(...certificates: readonly string[]): string;
  /** An authority that this one vouches for. */
  delegate(): Authority;
}

export interface IssueOptions {
  readonly expired?: boolean;
  readonly organizationName?: string;
  /** Good for servers only. */
  readonly serverOnly?: boolean;
}

export function createAuthority(): Authority {
  return authorityBelow(null);
}

interface Issuer {
  readonly name: DistinguishedName;
  readonly key: KeyObject;
  readonly chain: string;
}

function authorityBelow(parent: Issuer | null): Authority {
  const key = generateKey();
  const above = parent?.name[0]?.[1];
  const name: DistinguishedName = [['commonName', above ? `Below ${above}` : 'Test authority']];
  const content = { ...valid(), subject: name, issuer: parent?.name ?? name, isAuthority: true };
  const certificate = signCertificate(content, key, parent?.key ?? key);
  const issuer = { name, key, chain: certificate + (parent?.chain ?? '') };
  return {
    certificate,
    issue(names, { expired = false, organizationName, serverOnly = false } = {}) {
      const key = generateKey();
      const subject: DistinguishedName = [
        ...(organizationName ? [['organizationName', organizationName] as const] : []),
        ['commonName', names[0] ?? ''],
      ];
      const content = { ...valid(expired), subject, issuer: name, dnsNames: names, serverOnly };
      return {
        certificate: signCertificate(content, key, issuer.key) + issuer.chain,
        key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
      };
    },
    revoke: (...certificates) => revocationListOf(name[0]?.[1] ?? '', key, certificates),
    delegate: () => authorityBelow(issuer),
  };
}

const generateKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

const valid = (expired = false) => ({
  notBefore: new Date(Date.now() - 30 * DAY_MS),
  notAfter: new Date(Date.now() + (expired ? -1 : 30) * DAY_MS),
  dnsNames: [],
  isAuthority: false,
  serverOnly: false,
});
