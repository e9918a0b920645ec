import { isDeepStrictEqual } from 'node:util';
import { type HostCertificate, defaultCertificate, hostCertificate } from '../certificates.ts';
import type { Claims } from '../ingress/claims.ts';
import type { Compilation, Indexes } from './compilation.ts';
import type { ClaimChange } from './compile-claims.ts';
import { type CompiledScopes, claimantsOf, indexed } from './compile-scopes.ts';
import { type AffectedDependents, dependentUpdate } from '../../model/dependents.ts';
import { ObjectReader } from '../../model/object-reader.ts';
import { type CompileFault, faultProblem } from './fault.ts';
import { type ReverseIndex, type IndexUpdate, updateIndex } from '../../model/reverse-index.ts';
import type { Scope } from '../scope.ts';
import type { ObjectKey } from '../../model/objects.ts';
import type { Problem } from '../../model/problem.ts';
import { type KeyPair, keyPairOf } from '../../model/secrets.ts';
import type { CompileSettings } from '../settings.ts';
import { type ShardedMap, difference, edit, entries, get } from '../../model/sharded-map.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../../model/snapshot.ts';
import type { CertificateReference } from '../table.ts';

export interface CompiledCertificates {
  readonly certificates: ShardedMap<HostCertificate>;
  readonly table: ShardedMap<CertificateReference>;
  readonly keys: ShardedMap<KeyPair>;
  /** What is wrong with the default certificate; undefined when that was not looked at again. */
  readonly defaultProblem: Problem | null | undefined;
  readonly validUntil: number;
  readonly indexes: Pick<Indexes, 'ingressesByTlsHost' | 'hostsBySecret'>;
  /** Of what certificates depend on. */
  readonly dependencyUpdates: readonly IndexUpdate[];
  readonly affectedIngresses: ReadonlySet<ObjectKey>;
}

/** Works out again the TLS hosts whose Ingress or Secret changed; all of them when a certificate has come of age. */
export function compileCertificates(
  from: Compilation,
  snapshot: Snapshot,
  settings: CompileSettings,
  claims: ShardedMap<Claims>,
  changes: readonly ClaimChange[],
  { scopes, indexes: { ingressesByScope } }: Pick<CompiledScopes, 'scopes' | 'indexes'>,
  portUpdates: readonly IndexUpdate[],
  dependents: AffectedDependents,
  faults: CompileFault[],
): CompiledCertificates {
  const ingressesByTlsHost = updateIndex(
    from.indexes.ingressesByTlsHost,
    changes.map(({ ingress, before, after }) => ({
      member: ingress,
      before: hostsOf(before),
      after: hostsOf(after),
    })),
  );

  const affected = new Set(changes.flatMap(({ before, after }) => [...hostsOf(before), ...hostsOf(after)]));
  // Another namespace has a scope now: other entries count for the hosts below it.
  const changedScopes = ingressesByTlsHost.size > 0 ? difference(from.scopes, scopes) : [];
  for (const [scope, after] of changedScopes) {
    if (indexed(scope, ingressesByTlsHost, claims).some(({ yields }) => yields.has(scope))) {
      affected.add(scope);
    }
    if (get(from.scopes, scope)?.namespace === after?.namespace) continue;
    if (get(ingressesByTlsHost, scope)) affected.add(scope);
    for (const ingress of get(ingressesByScope, scope) ?? []) {
      for (const host of hostsOf(get(claims, ingress))) affected.add(host);
    }
  }
  for (const host of dependents.TlsHost) affected.add(host);
  const timePassed = settings.now >= from.certificatesValidUntil || settings.now < from.settings.now;
  if (timePassed) for (const [host] of entries(from.certificates)) affected.add(host);

  const certificates = edit(from.certificates);
  const table = edit(from.table.certificates);
  const affectedIngresses = new Set<ObjectKey>();
  const updates: IndexUpdate[] = [...portUpdates];
  const dependencyUpdates: IndexUpdate[] = [];
  const put = (host: string, after: CertificateReference | null): void => {
    const before = table.get(host);
    updates.push({ member: host, before: secretOf(before), after: secretOf(after) });
    if (after === null) table.delete(host);
    else if (!isDeepStrictEqual(before, after)) table.set(host, after);
  };
  let validUntil = timePassed ? Infinity : from.certificatesValidUntil;
  let defaultProblem: Problem | null | undefined;
  const { defaultTlsSecret } = settings;
  if (defaultTlsSecret && (timePassed || isAnother(defaultTlsSecret, from.snapshot, snapshot))) {
    const after = defaultCertificate(defaultTlsSecret, new ObjectReader(snapshot, settings), settings.now);
    validUntil = Math.min(validUntil, after.validUntil);
    defaultProblem = after.problem;
    put('', after.certificate);
  }
  for (const host of affected) {
    const before = certificates.get(host);
    const [first] = claimantsOf(host, ingressesByScope, claims);
    const claimants = indexed(host, ingressesByTlsHost, claims).filter(
      (each) => !each.yields.has(host) || each === first,
    );
    for (const ingress of before?.problems.keys() ?? []) affectedIngresses.add(ingress);
    if (claimants.length === 0) {
      certificates.delete(host);
      dependencyUpdates.push(dependentUpdate('TlsHost', host, before, undefined));
      put(host, null);
      continue;
    }
    const ownerOf = (scope: Scope): string => get(scopes, scope)?.namespace ?? '';
    const objects = new ObjectReader(snapshot, settings);
    const after = isolated(claimants, objects, faults, () =>
      hostCertificate(host, claimants, ownerOf, objects, settings.now),
    );
    dependencyUpdates.push(dependentUpdate('TlsHost', host, before, after));
    for (const ingress of after.problems.keys()) affectedIngresses.add(ingress);
    validUntil = Math.min(validUntil, after.validUntil);
    if (!isDeepStrictEqual(before, after)) certificates.set(host, after);
    put(host, after.certificate);
  }
  const hostsBySecret = updateIndex(from.indexes.hostsBySecret, updates);
  return {
    certificates: certificates.done(),
    table: table.done(),
    keys: compileKeys(from, updates, hostsBySecret, snapshot),
    defaultProblem,
    validUntil,
    indexes: { ingressesByTlsHost, hostsBySecret },
    dependencyUpdates,
    affectedIngresses,
  };
}

/** A host whose certificate we fail on has the default one. */
function isolated(
  claimants: readonly Claims[],
  objects: ObjectReader,
  faults: CompileFault[],
  compileHost: () => HostCertificate,
): HostCertificate {
  try {
    return compileHost();
  } catch (error) {
    const problems = new Map(
      claimants.map(({ ingress, object }) => [ingress, [faultProblem(object, error, faults)]]),
    );
    return { certificate: null, problems, validUntil: Infinity, dependencies: objects.dependencies() };
  }
}

/** The keys of the Secrets that serve some host. A Secret with the same bytes as before keeps its object. */
function compileKeys(
  from: Compilation,
  updates: readonly IndexUpdate[],
  hostsBySecret: ReverseIndex,
  snapshot: Snapshot,
): ShardedMap<KeyPair> {
  const keys = edit(from.keys);
  const affected = new Set(updates.flatMap((each) => [...each.before, ...each.after]));
  for (const [key] of difference(from.snapshot.secrets, snapshot.secrets)) {
    if (get(hostsBySecret, key)) affected.add(key);
  }
  for (const key of affected) {
    const secret = get(hostsBySecret, key) && get(snapshot.secrets, key);
    const pair = secret ? keyPairOf(secret) : null;
    if (!pair) keys.delete(key);
    else if (!isDeepStrictEqual(keys.get(key), pair)) keys.set(key, pair);
  }
  return keys.done();
}

function isAnother(secret: ObjectKey, before: Snapshot, after: Snapshot): boolean {
  return before === EMPTY_SNAPSHOT || get(before.secrets, secret) !== get(after.secrets, secret);
}

function secretOf(certificate: CertificateReference | null | undefined): readonly ObjectKey[] {
  return certificate?.secret ? [certificate.secret] : [];
}

function hostsOf(claims: Claims | undefined): readonly string[] {
  return claims ? [...claims.tls.keys()] : [];
}
