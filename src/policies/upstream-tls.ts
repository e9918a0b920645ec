import { isSubdomain } from '../model/names.ts';
import type { ObjectKey, Secret } from '../model/objects.ts';
import { readCaCertificates, readTlsSecret } from '../model/secrets.ts';
import { type AnnotationReader, CLOSED, type NamedObject } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

/** TLS to endpoints with a Secret: what Portico shows to them, and what they are verified by. */
export interface UpstreamTlsConfig {
  /** Has the certificate and key that endpoints are shown; null shows none. */
  readonly clientSecret: ObjectKey | null;
  /** PEM that the certificates of endpoints must lead to; null verifies nothing, unless the CAs of Node are trusted. */
  readonly caCertificates: string | null;
  /** Present where certificates must lead to the CAs that come with Node. */
  readonly trustsSystem?: true;
  /** What certificates must be for, where they are verified; null takes any name. */
  readonly name: string | null;
  /** `DNS:a.example.com` or `URI:spiffe://a/b`: what certificates must be for instead, one of them. */
  readonly names?: readonly string[];
  /** Whether that name is asked for (SNI). */
  readonly sendsName: boolean;
  /** Intermediate certificates that a chain may have. */
  readonly depth: number;
  /** In OpenSSL's syntax; null for those of Node. */
  readonly ciphers: string | null;
  readonly minVersion: UpstreamTlsVersion;
  readonly maxVersion: UpstreamTlsVersion;
}

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
export type UpstreamTlsVersion = (typeof VERSIONS)[number];

const SECRET: AnnotationSpec = {
  name: 'backend-tls-secret',
  nginx: 'proxy-ssl-secret',
  values: 'the name of a Secret',
  default: 'none',
  scope: 'path',
  refersTo: 'Secret',
  about:
    'For TLS to Pods: Portico shows them the `tls.crt` of this Secret, with the key `tls.key`, where it has both. With ' +
    '`backend-tls-verify` the certificate of a Pod must lead to one in its `ca.crt`. Only the `relay` engine does either; ' +
    '`http-proxy` answers 501 to such a route.',
  difference: 'it counts for the paths of its Ingress, not for the whole host.',
};

const VERIFY: AnnotationSpec = {
  name: 'backend-tls-verify',
  nginx: 'proxy-ssl-verify',
  values: '`on`, `off`',
  default: 'off',
  scope: 'path',
  about: 'Whether the certificates of Pods are verified by the `ca.crt` of `backend-tls-secret`.',
  difference: '`on` without a Secret closes the paths, where ingress-nginx verifies nothing.',
};

const DEPTH: AnnotationSpec = {
  name: 'backend-tls-verify-depth',
  nginx: 'proxy-ssl-verify-depth',
  values: 'a whole number',
  default: '1',
  scope: 'path',
  about: 'How many intermediate certificates may stand between that of a Pod and the `ca.crt`.',
};

const NAME: AnnotationSpec = {
  name: 'backend-tls-name',
  nginx: 'proxy-ssl-name',
  values: 'a DNS name',
  default: 'none: any name will do',
  scope: 'path',
  about: 'What the verified certificate of a Pod must be for, and what `backend-tls-server-name` asks for.',
  difference: 'without it certificates may be for any name, and variables are not valid.',
};

const SERVER_NAME: AnnotationSpec = {
  name: 'backend-tls-server-name',
  nginx: 'proxy-ssl-server-name',
  values: '`on`, `off`',
  default: 'off',
  scope: 'path',
  about: 'Whether Pods are asked for `backend-tls-name` (SNI).',
};

const CIPHERS: AnnotationSpec = {
  name: 'backend-tls-ciphers',
  nginx: 'proxy-ssl-ciphers',
  values: 'a list of OpenSSL',
  default: 'those of Node',
  scope: 'path',
  about: 'The cipher suites for TLS 1.2 to Pods.',
  difference: 'it takes names of suites and groups with colons between them, without operators.',
};

const PROTOCOLS: AnnotationSpec = {
  name: 'backend-tls-protocols',
  nginx: 'proxy-ssl-protocols',
  values: '`TLSv1.2`, `TLSv1.3`, or both with a blank between them',
  default: 'both',
  scope: 'path',
  about: 'The versions of TLS that are spoken to Pods.',
  difference: 'versions before 1.2 are left out, and without it 1.3 is spoken, too.',
};

const OTHERS = [VERIFY, DEPTH, NAME, SERVER_NAME, CIPHERS, PROTOCOLS];

export const upstreamTls = definePolicy({
  name: 'upstream-tls',
  phase: 'upstream',
  summary:
    'Certificates in TLS to Pods: the one that Portico shows, and how theirs are verified. What is spoken at all says ' +
    '`backend-protocol`. Without `backend-tls-secret` the others have no effect.',
  annotations: [SECRET, ...OTHERS],
  whenInvalid: 'close',
  reservedPrefixes: ['portico.dev/backend-tls'],

  parse(read): UpstreamTlsConfig | null {
    const verifies = read.choice(VERIFY, ['on', 'off']) === 'on';
    if (!read.has(SECRET)) {
      if (verifies)
        read.fail(
          'BackendCaMissing',
          VERIFY,
          `No Secret is named that Pods could be verified by; ${CLOSED}.`,
        );
      return null;
    }
    const secret = read.secret(SECRET, '');
    const name = readName(read);
    const sendsName = read.choice(SERVER_NAME, ['on', 'off']) === 'on';
    const depth = read.wholeNumber(DEPTH, 0, 10) ?? 1;
    const ciphers = readCiphers(read);
    const [minVersion, maxVersion] = readProtocols(read);
    if (secret === null) return null;
    const clientSecret = readClientSecret(read, secret);
    const caCertificates = verifies ? readCa(read, secret) : null;
    return { clientSecret, caCertificates, name, sendsName, depth, ciphers, minVersion, maxVersion };
  },

  secrets: ({ clientSecret }) => (clientSecret === null ? [] : [clientSecret]),

  describe({ clientSecret, caCertificates, trustsSystem, names = [], name, sendsName }) {
    const shown = clientSecret === null ? 'no certificate shown' : `certificate of Secret ${clientSecret}`;
    const verified =
      caCertificates === null && !trustsSystem
        ? 'not verified'
        : `verified${names.length > 0 ? ` as ${names.join(' or ')}` : name === null ? '' : ` as ${name}`}`;
    return `${shown}, ${verified}${sendsName && name !== null ? `, asked for ${name}` : ''}`;
  },
});

const MAX_CIPHERS_LENGTH = 1024;

/** Null where the Secret has no certificate and key, as one that is only there to verify by. */
function readClientSecret(
  read: AnnotationReader,
  { key, object, absence }: NamedObject<Secret>,
): ObjectKey | null {
  if (!object) {
    read.fail('SecretNotFound', SECRET, `${absence}; ${CLOSED}.`);
    return null;
  }
  const { data, stringData } = object;
  const names = { ...data, ...stringData };
  if (!('tls.crt' in names) && !('tls.key' in names)) return null;
  const found = readTlsSecret(object);
  if (found.kind === 'certificate') return key;
  read.fail('BackendCertificateInvalid', SECRET, `Secret ${key} ${found.reason}; ${CLOSED}.`);
  return null;
}

function readCa(read: AnnotationReader, { key, object, absence }: NamedObject<Secret>): string | null {
  if (!object) return null;
  const found = readCaCertificates(key, object, absence);
  if (found.kind === 'certificates') return found.pem;
  const message = `The ca.crt of Secret ${key} has no certificates that can be used, so those of Pods cannot be verified; ${CLOSED}.`;
  read.fail('BackendCaMissing', SECRET, message);
  return null;
}

function readName(read: AnnotationReader): string | null {
  const written = read.text(NAME)?.trim() ?? null;
  if (written === null || isSubdomain(written)) return written;
  read.invalid(NAME, 'is not a DNS name', 'write what the certificates of Pods are for');
  return null;
}

function readCiphers(read: AnnotationReader): string | null {
  const written = read.text(CIPHERS)?.trim() ?? '';
  if (written === '' || written === 'DEFAULT') return null;
  if (written.length <= MAX_CIPHERS_LENGTH && /^[A-Z0-9_-]+(?::[A-Z0-9_-]+)*$/i.test(written)) return written;
  read.invalid(CIPHERS, 'is not a list of cipher suites', 'write names with colons between them');
  return null;
}

function readProtocols(read: AnnotationReader): [UpstreamTlsVersion, UpstreamTlsVersion] {
  const written = read.text(PROTOCOLS)?.trim() ?? '';
  if (written === '') return ['TLSv1.2', 'TLSv1.3'];
  const names = written.split(/\s+/);
  const known = VERSIONS.filter((version) => names.includes(version));
  const [first] = known;
  if (first) return [first, known.at(-1) ?? first];
  read.invalid(PROTOCOLS, 'has no version that is spoken', 'write TLSv1.2, TLSv1.3 or both');
  return ['TLSv1.2', 'TLSv1.3'];
}
