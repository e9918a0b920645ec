import type { Dependency } from './object-reader.ts';
import { type Memberships, type Move } from './reverse-index.ts';
import { difference, get } from './sharded-map.ts';
import type { Snapshot } from './snapshot.ts';

/** What is compiled from objects: the claims of an Ingress, a backend, the certificate of a TLS host. */
type DependentKind = 'Ingress' | 'Backend' | 'TlsHost';

/** By dependency: what was compiled from it, as `Kind key`. */
export type Dependents = Memberships;

interface Compiled {
  readonly dependencies: readonly Dependency[];
}

/** The move of one compiled thing that now depends on something else; undefined stands for one that is not there. */
export function dependentMove(
  kind: DependentKind,
  key: string,
  before: Compiled | undefined,
  after: Compiled | undefined,
): Move {
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

/** Every dependency whose object differs between two snapshots. */
export function* changedDependencies(before: Snapshot, after: Snapshot): Generator<Dependency> {
  for (const [key] of difference(before.secrets, after.secrets)) yield `Secret ${key}`;
  for (const [key] of difference(before.services, after.services)) yield `Service ${key}`;
  for (const [key] of difference(before.slicesByService, after.slicesByService)) yield `Service ${key}`;
  for (const [key] of difference(before.nameFaults, after.nameFaults)) yield `Service ${key}`;
}
