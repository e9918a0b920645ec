import { X509Certificate } from 'node:crypto';
import type { CertificateRow } from './answers.ts';
import type { ObjectKey, Secret } from '../../model/objects.ts';
import { keyPairOf, readTlsSecret } from '../../model/secrets.ts';
import { type ShardedMap, get, values } from '../../model/sharded-map.ts';
import { compareText } from '../../routing/precedence.ts';
import type { RouteTable } from '../../routing/table.ts';
import { sortedInSteps } from '../sorted-in-steps.ts';

/** What shows which certificate. */
export interface CertificateSource extends Pick<RouteTable, 'certificates' | 'ports'> {
  readonly secrets: ShardedMap<Secret>;
}

/** A TLS host, or the default, which is the empty one. */
export interface ServedCertificate {
  readonly host: string;
  /** `namespace/name`; null where the self-signed default is served. */
  readonly secret: ObjectKey | null;
  /** The Ingress that says so, or the listener of a Gateway. */
  readonly by: string;
  /** Milliseconds since the epoch; null where there is no certificate. */
  readonly notAfter: number | null;
}

/** Of all hosts, by when they expire: the earliest first, hosts without a certificate last. */
export function* servedCertificates({
  certificates,
  ports,
  secrets,
}: CertificateSource): Generator<void, readonly ServedCertificate[]> {
  const found: ServedCertificate[] = [];
  for (const { host, secret, ingress } of values(certificates)) {
    found.push({ host, secret, by: ingress, notAfter: notAfterOf(secret, secrets) });
    yield;
  }
  for (const port of values(ports)) {
    for (const { host, gateway } of values(port.hosts)) {
      const secret = get(port.certificates, host.startsWith('*.') ? host.slice(1) : host);
      yield;
      if (secret === undefined) continue;
      found.push({ host, secret, by: gateway?.listener ?? '', notAfter: notAfterOf(secret, secrets) });
    }
  }
  return yield* sortedInSteps(
    found,
    (a, b) => (a.notAfter ?? Infinity) - (b.notAfter ?? Infinity) || compareText(a.host, b.host),
  );
}

function notAfterOf(secret: ObjectKey | null, secrets: ShardedMap<Secret>): number | null {
  const object = secret === null ? undefined : get(secrets, secret);
  // Read before, when it was compiled.
  const read = object && readTlsSecret(object);
  return read?.kind === 'certificate' ? read.notAfter : null;
}

/** Names in one row: a certificate may have thousands. */
const MAX_NAMES = 50;

/** What the certificate says, and nothing of its key. */
export function certificateRow(
  { host, secret, by, notAfter }: ServedCertificate,
  secrets: ShardedMap<Secret>,
): CertificateRow {
  const object = notAfter === null || secret === null ? undefined : get(secrets, secret);
  const certificate = object && new X509Certificate(keyPairOf(object).certificate);
  const names = certificate?.subjectAltName?.split(', ') ?? [];
  return {
    host,
    secret,
    ingress: by,
    notBefore: certificate ? certificate.validFromDate.toISOString() : null,
    notAfter: certificate ? certificate.validToDate.toISOString() : null,
    subject: certificate?.subject.replaceAll('\n', ', ') ?? null,
    issuer: certificate?.issuer.replaceAll('\n', ', ') ?? null,
    names: names.slice(0, MAX_NAMES),
    fingerprint: certificate?.fingerprint256 ?? null,
  };
}
