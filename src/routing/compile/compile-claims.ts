import { isDeepStrictEqual } from 'node:util';
import { type Claims, emptyClaims, claimNothing, readClaims } from '../ingress/claims.ts';
import { isWatchedNamespace } from '../ingress/watched-namespaces.ts';
import { type Classes, type Ownership, ownership, readClasses } from '../ingress/classes.ts';
import type { Compilation } from './compilation.ts';
import { type CompileFault, faultProblem } from './fault.ts';
import { type Ingress, type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { problem, referenceTo } from '../../model/problem.ts';
import type { CompileSettings } from '../settings.ts';
import { type AffectedDependents, dependentUpdate } from '../../model/dependents.ts';
import { ObjectReader } from '../../model/object-reader.ts';
import type { IndexUpdate } from '../../model/reverse-index.ts';
import { type ShardedMap, difference, edit, entries, get } from '../../model/sharded-map.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import { asObject, isAbsent } from '../../model/untyped.ts';

/** An Ingress that asks for something else than before. */
export interface ClaimChange {
  readonly ingress: ObjectKey;
  readonly before: Claims | undefined;
  readonly after: Claims | undefined;
}

export interface CompiledClaims {
  readonly classes: Classes;
  /** What Ingresses ask for, whether they may have it or not. */
  readonly asked: ShardedMap<Claims>;
  readonly foreign: ShardedMap<string>;
  readonly changes: readonly ClaimChange[];
  /** Of what Ingresses depend on. */
  readonly dependencyUpdates: readonly IndexUpdate[];
}

/** Reads the Ingresses that changed; all of them when what makes an Ingress ours has changed. */
export function compileClaims(
  from: Compilation,
  snapshot: Snapshot,
  settings: CompileSettings,
  dependents: AffectedDependents,
  faults: CompileFault[],
): CompiledClaims {
  const sameClasses = from.snapshot.ingressClasses === snapshot.ingressClasses;
  const classes = sameClasses ? from.classes : readClasses(snapshot.ingressClasses, settings);
  const sameOwnership =
    sameClasses || isDeepStrictEqual({ ...classes, problems: [] }, { ...from.classes, problems: [] });

  const asked = edit(from.asked);
  const foreign = edit(from.foreign);
  const changes: ClaimChange[] = [];
  const reread = (ingress: ObjectKey, object: Ingress | undefined): void => {
    const before = asked.get(ingress);
    const read = object && isolated(ingress, object);
    if (read?.kind === 'foreign') foreign.set(ingress, read.className);
    else foreign.delete(ingress);
    const after = read?.kind === 'claims' ? read.claims : undefined;
    // A new resourceVersion, a label or a status changes nothing for us.
    if (isDeepStrictEqual(before, after)) return;
    changes.push({ ingress, before, after });
    if (after) asked.set(ingress, after);
    else asked.delete(ingress);
  };
  const isolated = (ingress: ObjectKey, object: Ingress): ReadIngress => {
    const objects = new ObjectReader(snapshot, settings);
    try {
      return readIngress(ingress, object, objects, classes, settings);
    } catch (error) {
      const [namespace = '', name = ''] = ingress.split('/', 2);
      const reference = { kind: 'Ingress', namespace, name };
      const nothing = claimNothing({ ingress, object: reference, age: Number.MAX_SAFE_INTEGER });
      const problems = [faultProblem(reference, error, faults)];
      return { kind: 'claims', claims: { ...nothing, dependencies: objects.dependencies(), problems } };
    }
  };
  const affected = new Set<ObjectKey>();
  for (const [key] of difference(from.snapshot.ingresses, snapshot.ingresses)) affected.add(key);
  for (const ingress of ofOtherLabels(from.snapshot, snapshot, settings)) affected.add(ingress);
  if (!sameOwnership) for (const [key] of entries(snapshot.ingresses)) affected.add(key);
  for (const key of dependents.Ingress) affected.add(key);
  for (const key of affected) reread(key, get(snapshot.ingresses, key));
  const dependencyUpdates = changes.map(({ ingress, before, after }) =>
    dependentUpdate('Ingress', ingress, before, after),
  );
  return { classes, asked: asked.done(), foreign: foreign.done(), changes, dependencyUpdates };
}

/** The Ingresses of namespaces that have other labels now, where these count. */
function ofOtherLabels(
  before: Snapshot,
  { ingresses, namespaces }: Snapshot,
  { namespaceSelector }: CompileSettings,
): readonly ObjectKey[] {
  if (!namespaceSelector || before.namespaces === namespaces) return [];
  const changed = new Set([...difference(before.namespaces, namespaces)].map(([name]) => name));
  return [...entries(ingresses)].flatMap(([key]) => (changed.has(namespaceOf(key)) ? [key] : []));
}

type ReadIngress =
  | { readonly kind: 'claims'; readonly claims: Claims }
  /** Of a namespace that is not looked at. */
  | { readonly kind: 'unwatched' }
  | Extract<Ownership, { readonly kind: 'foreign' }>;

function readIngress(
  key: ObjectKey,
  ingress: Ingress,
  objects: ObjectReader,
  classes: Classes,
  settings: CompileSettings,
): ReadIngress {
  if (!isWatchedNamespace(namespaceOf(key), settings, objects.namespaceLabels)) return { kind: 'unwatched' };
  const owner = ownership(ingress, referenceTo('Ingress', key, ingress), classes, settings);
  switch (owner.kind) {
    case 'ours':
      if (settings.catchAll === false && !isAbsent(asObject(ingress.spec)['defaultBackend'])) {
        const object = referenceTo('Ingress', key, ingress);
        const message =
          'This Ingress is not served, because it has a defaultBackend and --catch-all=false: remove that, and write rules.';
        const refused = problem('error', 'CatchAllRefused', object, 'spec.defaultBackend', message);
        return { kind: 'claims', claims: emptyClaims(key, ingress, [...owner.problems, refused]) };
      }
      return {
        kind: 'claims',
        claims: readClaims(key, ingress, owner.problems, objects, settings),
      };
    case 'class-missing':
      return { kind: 'claims', claims: emptyClaims(key, ingress, owner.problems) };
    case 'foreign':
      return owner;
  }
}
