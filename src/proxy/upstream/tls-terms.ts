import { createHash } from 'node:crypto';
import {
  type ConnectionOptions,
  type DetailedPeerCertificate,
  type PeerCertificate,
  type SecureContext,
  type SecureContextOptions,
  checkServerIdentity,
  createSecureContext,
} from 'node:tls';
import type { KeyPair } from '../../model/secrets.ts';
import type { UpstreamTlsVersion } from '../../policies/upstream-tls.ts';

/** How TLS is spoken to upstreams. */
export interface UpstreamTls {
  /** Connections with the same id may serve each other's requests. */
  readonly id: string;
  readonly options: Pick<
    ConnectionOptions,
    'rejectUnauthorized' | 'servername' | 'secureContext' | 'checkServerIdentity'
  >;
}

/** Certificates of Pods are signed by their cluster at best: connections are encrypted, and not verified. */
const UNVERIFIED: UpstreamTls = { id: 'tls', options: { rejectUnauthorized: false } };

/** What a route asks of TLS to its upstreams. */
export interface TlsTerms {
  /** PEM that the certificate of an upstream must lead to; null verifies nothing. */
  readonly caCertificates: string | null;
  /** Whether it must lead to the CAs that come with Node. */
  readonly trustsSystem?: boolean;
  /** Of these (`DNS:…`, `URI:…`) a verified certificate must have one, instead of the name. */
  readonly names?: readonly string[];
  /** What is asked for (SNI); null asks for nothing. */
  readonly serverName: string | null;
  /** What a verified certificate must be for; null takes any: upstreams are reached by address, and no certificate is for that. */
  readonly verifiedName: string | null;
  /** Intermediate certificates of a chain; null sets no limit. */
  readonly depth: number | null;
  /** What the upstream is shown, as PEM. */
  readonly client: KeyPair | null;
  readonly ciphers: string | null;
  readonly minVersion?: UpstreamTlsVersion;
  readonly maxVersion?: UpstreamTlsVersion;
}

/** How TLS is spoken as a route asks for it. */
export function upstreamTls(terms: TlsTerms): UpstreamTls {
  const { caCertificates, serverName, verifiedName, names, depth, client, ciphers, minVersion, maxVersion } =
    terms;
  const name = serverName === null ? {} : { servername: serverName };
  const isPlain = caCertificates === null && client === null && ciphers === null && minVersion === undefined;
  if (isPlain && serverName === null) return UNVERIFIED;
  if (isPlain) return { id: `tls ${serverName}`, options: { rejectUnauthorized: false, ...name } };
  const digest = createHash('sha256').update(JSON.stringify(terms)).digest('base64');
  const secureContext = contextOf(digest, {
    ...(caCertificates !== null && { ca: caCertificates }),
    ...(client && { cert: client.certificate, key: client.key }),
    ...(ciphers !== null && { ciphers }),
    ...(minVersion && { minVersion }),
    ...(maxVersion && { maxVersion }),
  });
  if (caCertificates === null && !terms.trustsSystem) {
    return { id: `tls ${digest}`, options: { rejectUnauthorized: false, secureContext, ...name } };
  }
  const check = (_: string, certificate: PeerCertificate): Error | undefined => {
    if (depth !== null && intermediatesOf(certificate as DetailedPeerCertificate) > depth) {
      return new Error('the chain of the certificate is too long');
    }
    if (names !== undefined) return checkNames(names, certificate);
    return verifiedName === null ? undefined : checkServerIdentity(verifiedName, certificate);
  };
  return {
    id: `tls ${digest}`,
    options: { rejectUnauthorized: true, secureContext, checkServerIdentity: check, ...name },
  };
}

/** BackendTLSPolicy, `subjectAltNames`: whether the certificate is for one of them. */
function checkNames(names: readonly string[], certificate: PeerCertificate): Error | undefined {
  const present = new Set((certificate.subjectaltname ?? '').split(', '));
  const isFor = (name: string): boolean =>
    name.startsWith('DNS:')
      ? checkServerIdentity(name.slice('DNS:'.length), certificate) === undefined
      : present.has(name);
  return names.some(isFor) ? undefined : new Error('the certificate is for none of the names');
}

/** Between the certificate and the root, which is its own issuer. */
function intermediatesOf(certificate: DetailedPeerCertificate): number {
  let count = -1;
  let each = certificate;
  const seen = new Set<DetailedPeerCertificate>();
  while (each.issuerCertificate && each.issuerCertificate !== each && !seen.has(each)) {
    seen.add(each);
    each = each.issuerCertificate;
    count++;
  }
  return Math.max(count, 0);
}

const contexts = new Map<string, SecureContext>();
const MOST_CONTEXTS = 256;

function contextOf(digest: string, options: SecureContextOptions): SecureContext {
  let context = contexts.get(digest);
  if (!context) {
    if (contexts.size >= MOST_CONTEXTS) contexts.clear();
    contexts.set(digest, (context = createSecureContext(options)));
  }
  return context;
}
