import { isDeepStrictEqual } from 'node:util';
import { type HostCertificate, hostCertificate } from './certificates.ts';
import type { Claims } from './claims.ts';
import type { Compilation, Members } from './compilation.ts';
import type { ClaimChange } from './compile-claims.ts';
import { claimantsOf } from './compile-scopes.ts';
import { move } from './memberships.ts';
import type { ObjectKey } from './objects.ts';
import type { CompileSettings } from './settings.ts';
import { type ShardedMap, difference, edit, entries, get } from './sharded-map.ts';
import type { Snapshot } from './snapshot.ts';
import type { CertificateReference } from './table.ts';

export interface CompiledCertificates {
  readonly certificates: ShardedMap<HostCertificate>;
  readonly table: ShardedMap<CertificateReference>;
  readonly validUntil: number;
  readonly members: Pick<Members, 'ingressesByTlsHost' | 'ingressesBySecret'>;
  readonly touchedIngresses: ReadonlySet<ObjectKey>;
}

/** Works out again the TLS hosts whose Ingress or Secret changed; all of them when a certificate has come of age. */
export function compileCertificates(
  from: Compilation,
  snapshot: Snapshot,
  settings: CompileSettings,
  claims: ShardedMap<Claims>,
  changes: readonly ClaimChange[],
): CompiledCertificates {
  const ingressesByTlsHost = move(
    from.members.ingressesByTlsHost,
    changes.map(({ ingress, before, after }) => ({
      member: ingress,
      before: hostsOf(before),
      after: hostsOf(after),
    })),
  );
  const ingressesBySecret = move(
    from.members.ingressesBySecret,
    changes.map(({ ingress, before, after }) => {
      return { member: ingress, before: secretsOf(before), after: secretsOf(after) };
    }),
  );

  const touched = new Set(changes.flatMap(({ before, after }) => [...hostsOf(before), ...hostsOf(after)]));
  for (const [secret] of difference(from.snapshot.secrets, snapshot.secrets)) {
    for (const ingress of get(ingressesBySecret, secret) ?? []) {
      for (const [host, tls] of get(claims, ingress)?.tls ?? []) if (tls.secret === secret) touched.add(host);
    }
  }
  const timePassed = settings.now >= from.certificatesValidUntil || settings.now < from.settings.now;
  if (timePassed) for (const [host] of entries(from.certificates)) touched.add(host);

  const certificates = edit(from.certificates);
  const table = edit(from.table.certificates);
  const touchedIngresses = new Set<ObjectKey>();
  let validUntil = timePassed ? Infinity : from.certificatesValidUntil;
  for (const host of touched) {
    const before = certificates.get(host);
    const claimants = claimantsOf(host, ingressesByTlsHost, claims);
    for (const ingress of before?.problems.keys() ?? []) touchedIngresses.add(ingress);
    if (claimants.length === 0) {
      certificates.delete(host);
      table.delete(host);
      continue;
    }
    const after = hostCertificate(host, claimants, snapshot, settings.now);
    for (const ingress of after.problems.keys()) touchedIngresses.add(ingress);
    validUntil = Math.min(validUntil, after.validUntil);
    if (!isDeepStrictEqual(before, after)) certificates.set(host, after);
    const { certificate } = after;
    if (!certificate) table.delete(host);
    else if (!isDeepStrictEqual(table.get(host), certificate)) table.set(host, certificate);
  }
  return {
    certificates: certificates.done(),
    table: table.done(),
    validUntil,
    members: { ingressesByTlsHost, ingressesBySecret },
    touchedIngresses,
  };
}

function hostsOf(claims: Claims | undefined): readonly string[] {
  return claims ? [...claims.tls.keys()] : [];
}

function secretsOf(claims: Claims | undefined): readonly ObjectKey[] {
  return claims ? [...claims.tls.values()].map((tls) => tls.secret) : [];
}
