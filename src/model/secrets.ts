import { type KeyObject, X509Certificate, createPrivateKey } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { asObject, asString } from './untyped.ts';
import { keyFault } from './key-fault.ts';
import type { ConfigMap, ObjectKey, Secret } from './objects.ts';

/** What the certificate of a TLS Secret says, without any byte of its key. */
export type TlsSecret =
  | { readonly kind: 'malformed'; readonly reason: string }
  /** It could be served, but at a cost to everybody else. */
  | { readonly kind: 'too-costly'; readonly reason: string }
  | {
      readonly kind: 'certificate';
      /** Milliseconds since the epoch. */
      readonly notBefore: number;
      readonly notAfter: number;
      readonly covers: (host: string) => boolean;
      /** The DNS names that it is for (subjectAltName), lower case; wildcards as `*.example.com`. */
      readonly names: readonly string[];
    };

/** What a TLS server needs to show a certificate, as PEM. Goes to the threads that serve it, and nowhere else. */
export interface KeyPair {
  /** The certificate, and those that lead from it to a root. */
  readonly certificate: string;
  readonly key: string;
}

/** The bytes of a Secret that `readTlsSecret` finds to be good. */
export function keyPairOf(secret: Secret): KeyPair {
  const pem = (name: string): string => readBytes(secret, name)?.toString('latin1') ?? '';
  return { certificate: pem('tls.crt'), key: pem('tls.key') };
}

/** What one handshake sends, and what a thread holds for it. */
const MAX_CHAIN = 10;
const MAX_CHAIN_BYTES = 64 * 1024;
const MAX_CA_CERTIFICATES = 64;
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+?-----END CERTIFICATE-----/g;

/** The `ca.crt` of a Secret. */
export type CaCertificates =
  | { readonly kind: 'certificates'; readonly pem: string }
  /** `reason` is a sentence without its end. */
  | { readonly kind: 'refused'; readonly reason: string };

const knownCaCertificates = new WeakMap<Secret, CaCertificates>();

/**
 * The certificates in the `ca.crt` of a Secret, as PEM. Only what is a certificate comes out of it, whatever else was
 * put there: unlike keys, this goes into the table. Read once per object; `absence` is the reason where there is none.
 */
export function readCaCertificates(
  key: ObjectKey,
  secret: Secret | undefined,
  absence: string,
): CaCertificates {
  if (!secret) return { kind: 'refused', reason: absence };
  let read = knownCaCertificates.get(secret);
  if (!read) knownCaCertificates.set(secret, (read = parseCaCertificates(key, secret)));
  return read;
}

function parseCaCertificates(key: ObjectKey, secret: Secret): CaCertificates {
  return caCertificatesIn(readBytes(secret, 'ca.crt'), `Secret ${key}`);
}

const knownCaBundles = new WeakMap<ConfigMap, CaCertificates>();

/** The certificates in the `ca.crt` of a ConfigMap, as `readCaCertificates` gives those of a Secret. */
export function readCaBundle(key: ObjectKey, configMap: ConfigMap): CaCertificates {
  let read = knownCaBundles.get(configMap);
  if (!read) {
    const text = asString(asObject(asObject(configMap)['data'])['ca.crt']);
    read = caCertificatesIn(text === undefined ? null : Buffer.from(text), `ConfigMap ${key}`);
    knownCaBundles.set(configMap, read);
  }
  return read;
}

function caCertificatesIn(bytes: Buffer | null, owner: string): CaCertificates {
  const blocks = pemBlocks(bytes);
  if (blocks.length > MAX_CA_CERTIFICATES) {
    const reason = `${owner} has ${blocks.length} certificates in its ca.crt, and at most ${MAX_CA_CERTIFICATES} are used`;
    return { kind: 'refused', reason };
  }
  const certificates = blocks.flatMap((block) => attempt(() => new X509Certificate(block)) ?? []);
  if (certificates.length === 0 || certificates.length < blocks.length) {
    return { kind: 'refused', reason: `There is no ${owner} with a certificate in its ca.crt` };
  }
  const fault = chainKeyFault(certificates);
  if (fault !== null)
    return { kind: 'refused', reason: `${owner} has a certificate in its ca.crt that ${fault}` };
  return { kind: 'certificates', pem: certificates.map((certificate) => certificate.toString()).join('') };
}

function pemBlocks(bytes: Buffer | null): readonly string[] {
  return [...(bytes?.toString('latin1') ?? '').matchAll(PEM_CERTIFICATE)].map(([block]) => block);
}

function chainKeyFault(certificates: readonly X509Certificate[]): string | null {
  for (const certificate of certificates) {
    const key = attempt(() => certificate.publicKey);
    const fault = key ? keyFault(key) : 'has a key that cannot be read';
    if (fault !== null) return fault;
  }
  return null;
}

const known = new WeakMap<Secret, TlsSecret>();

/** Reads a `kubernetes.io/tls` Secret; once per object, since parsing costs more than compiling. */
export function readTlsSecret(secret: Secret): TlsSecret {
  let read = known.get(secret);
  if (!read) known.set(secret, (read = parse(secret)));
  return read;
}

/** Whether a Secret is of the type that Ingresses may name. */
export function isTlsSecret(secret: Secret): boolean {
  return asObject(secret)['type'] === 'kubernetes.io/tls';
}

function parse(secret: Secret): TlsSecret {
  const certificateBytes = readBytes(secret, 'tls.crt');
  const keyBytes = readBytes(secret, 'tls.key');
  if (!certificateBytes) return malformed('has no tls.crt');
  if (!keyBytes) return malformed('has no tls.key');

  // What OpenSSL says of a key is not repeated: no byte of it may reach a log.
  const certificate = attempt(() => new X509Certificate(certificateBytes));
  if (!certificate) return malformed('has a tls.crt that is not a PEM certificate');
  const key = attempt(() => createPrivateKey(keyBytes));
  if (!key) return malformed('has a tls.key that is not an unencrypted PEM private key');
  const costly = tooCostly(certificateBytes, key);
  if (costly !== null) return { kind: 'too-costly', reason: costly };
  if (!attempt(() => certificate.checkPrivateKey(key)))
    return malformed('has a tls.key that does not belong to its tls.crt');
  if (!attempt(() => createSecureContext({ cert: certificateBytes, key: keyBytes })))
    return malformed(
      'has a certificate that no TLS server can use, because of a short key or a broken chain',
    );
  return {
    kind: 'certificate',
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
    covers: (host) => certificate.checkHost(probe(host)) !== undefined,
    names: namesOf(certificate),
  };
}

function namesOf({ subjectAltName = '' }: X509Certificate): readonly string[] {
  const names = subjectAltName.split(', ').filter((each) => each.startsWith('DNS:'));
  return names.map((each) => each.slice('DNS:'.length).toLowerCase());
}

/** Judged before the key is used for the first time. */
function tooCostly(certificateBytes: Buffer, key: KeyObject): string | null {
  const fault = keyFault(key);
  if (fault !== null) return fault;
  if (certificateBytes.length > MAX_CHAIN_BYTES)
    return `has a tls.crt of more than ${MAX_CHAIN_BYTES / 1024} KiB`;
  const blocks = pemBlocks(certificateBytes);
  if (blocks.length > MAX_CHAIN)
    return `has ${blocks.length} certificates in its tls.crt, and at most ${MAX_CHAIN} are served`;
  const chain = blocks.flatMap((block) => attempt(() => new X509Certificate(block)) ?? []);
  const inChain = chainKeyFault(chain);
  return inChain === null ? null : `has a certificate in its tls.crt that ${inChain}`;
}

function malformed(reason: string): TlsSecret {
  return { kind: 'malformed', reason };
}

/** A name that only the wildcard itself covers, not a name beside it. */
function probe(host: string): string {
  return host.startsWith('*.') ? `wildcard-probe-7c1d${host.slice(1)}` : host;
}

function readBytes(secret: Secret, name: string): Buffer | null {
  const plain = asString(asObject(asObject(secret)['stringData'])[name]);
  if (plain !== undefined) return Buffer.from(plain);
  const encoded = asString(asObject(asObject(secret)['data'])[name]);
  return encoded ? Buffer.from(encoded, 'base64') : null;
}

function attempt<T>(step: () => T): T | null {
  try {
    return step();
  } catch {
    return null;
  }
}
