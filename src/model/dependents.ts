import type { Dependency } from './object-reader.ts';
import { type ReverseIndex, type IndexUpdate } from './reverse-index.ts';
import { difference, get } from './sharded-map.ts';
import type { Snapshot } from './snapshot.ts';

/**
 * What is compiled from objects: the claims of an Ingress, a backend, the certificate of a TLS host, the listeners of a
 * Gateway or ListenerSet, a route of a Gateway.
 */
type DependentKind = 'Ingress' | 'Backend' | 'TlsHost' | 'Gateway' | 'Route';

/** By dependency: what was compiled from it, as `Kind key`. */
export type Dependents = ReverseIndex;

interface Compiled {
  readonly dependencies: readonly Dependency[];
}

/** The index update for one compiled thing whose dependencies may have changed; undefined: it does not exist. */
export function dependentUpdate(
  kind: DependentKind,
  key: string,
  before: Compiled | undefined,
  after: Compiled | undefined,
): IndexUpdate {
  const none: readonly Dependency[] = [];
  return {
    member: `${kind} ${key}`,
    before: before?.dependencies ?? none,
    after: after?.dependencies ?? none,
  };
}

/** The keys of everything of a kind that depends on an object. */
export function dependentsOn(dependents: Dependents, kind: DependentKind, dependency: Dependency): string[] {
  const prefix = `${kind} `;
  return [...(get(dependents, dependency) ?? [])]
    .filter((member) => member.startsWith(prefix))
    .map((member) => member.slice(prefix.length));
}

/** What was compiled from an object that has changed since, by kind: the keys of all that must be compiled again. */
export type AffectedDependents = Readonly<Record<DependentKind, ReadonlySet<string>>>;

/** The dependents of every object that differs between two snapshots. */
export function affectedDependents(
  dependents: Dependents,
  before: Snapshot,
  after: Snapshot,
): AffectedDependents {
  const affected = {
    Ingress: new Set<string>(),
    Backend: new Set<string>(),
    TlsHost: new Set<string>(),
    Gateway: new Set<string>(),
    Route: new Set<string>(),
  };
  // Nothing is compiled yet.
  if (dependents.size === 0) return affected;
  for (const dependency of changedDependencies(before, after)) {
    for (const member of get(dependents, dependency) ?? []) {
      const space = member.indexOf(' ');
      affected[member.slice(0, space) as DependentKind].add(member.slice(space + 1));
    }
  }
  return affected;
}

/** Every dependency whose object differs between two snapshots. */
function* changedDependencies(before: Snapshot, after: Snapshot): Generator<Dependency> {
  for (const [key] of difference(before.secrets, after.secrets)) yield `Secret ${key}`;
  for (const [key] of difference(before.configMaps, after.configMaps)) yield `ConfigMap ${key}`;
  for (const [reference] of difference(before.unreadable, after.unreadable)) yield reference as Dependency;
  for (const [key] of difference(before.services, after.services)) {
    yield `Service ${key}`;
    yield `ServiceSpec ${key}`;
  }
  for (const [name] of difference(before.namespaces, after.namespaces)) yield `Namespace ${name}`;
  const grants = difference(before.referenceGrantsByNamespace, after.referenceGrantsByNamespace);
  for (const [namespace] of grants) yield `ReferenceGrants ${namespace}`;
  const policies = difference(before.backendTlsPoliciesByNamespace, after.backendTlsPoliciesByNamespace);
  for (const [namespace] of policies) yield `BackendTLSPolicies ${namespace}`;
  for (const [key] of difference(before.slicesByService, after.slicesByService)) yield `Service ${key}`;
  for (const [key] of difference(before.nameFaults, after.nameFaults)) yield `Service ${key}`;
}
