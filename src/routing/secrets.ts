import { X509Certificate, createPrivateKey } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { fields, text } from '../model/untyped.ts';
import type { Secret } from '../model/objects.ts';

/** What the certificate of a TLS Secret says, without any byte of its key. */
export type TlsSecret =
  | { readonly kind: 'malformed'; readonly reason: string }
  | {
      readonly kind: 'certificate';
      /** Milliseconds since the epoch. */
      readonly notBefore: number;
      readonly notAfter: number;
      readonly covers: (host: string) => boolean;
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

const MOST_AUTHORITIES = 64;
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+?-----END CERTIFICATE-----/g;

/**
 * The certificates in the `ca.crt` of a TLS Secret, as PEM; undefined when there is none that can be read. Only what
 * is a certificate comes out of it, whatever else was put there: unlike keys, this goes into the table.
 */
export function authorityOf(secret: Secret | undefined): string | undefined {
  if (!secret || !isTlsSecret(secret)) return undefined;
  const pem = readBytes(secret, 'ca.crt')?.toString('latin1') ?? '';
  const blocks = [...pem.matchAll(PEM_CERTIFICATE)].slice(0, MOST_AUTHORITIES);
  const certificates = blocks.map(([block]) => attempt(() => new X509Certificate(block).toString()));
  if (certificates.length === 0 || certificates.includes(null)) return undefined;
  return certificates.join('');
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
  return fields(secret)['type'] === 'kubernetes.io/tls';
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
  };
}

function malformed(reason: string): TlsSecret {
  return { kind: 'malformed', reason };
}

/** A name that only the wildcard itself covers, not a name beside it. */
function probe(host: string): string {
  return host.startsWith('*.') ? `wildcard-probe-7c1d${host.slice(1)}` : host;
}

function readBytes(secret: Secret, name: string): Buffer | null {
  const plain = text(fields(fields(secret)['stringData'])[name]);
  if (plain !== undefined) return Buffer.from(plain);
  const encoded = text(fields(fields(secret)['data'])[name]);
  return encoded ? Buffer.from(encoded, 'base64') : null;
}

function attempt<T>(step: () => T): T | null {
  try {
    return step();
  } catch {
    return null;
  }
}
