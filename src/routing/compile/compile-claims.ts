import { isDeepStrictEqual } from 'node:util';
import { type Claims, noClaims, readClaims } from '../ingress/claims.ts';
import { type Classes, ownership, readClasses } from '../ingress/classes.ts';
import type { Compilation } from './compilation.ts';
import type { Ingress, ObjectKey } from '../../model/objects.ts';
import { referenceTo } from '../../model/problem.ts';
import type { CompileSettings } from '../settings.ts';
import { changedDependencies, dependentMove, dependentsOn } from '../../model/dependents.ts';
import { ObjectReader } from '../../model/object-reader.ts';
import type { Move } from '../../model/reverse-index.ts';
import { type ShardedMap, difference, edit, entries, get } from '../../model/sharded-map.ts';
import type { Snapshot } from '../../model/snapshot.ts';

/** An Ingress that asks for something else than before. */
export interface ClaimChange {
  readonly ingress: ObjectKey;
  readonly before: Claims | undefined;
  readonly after: Claims | undefined;
}

export interface CompiledClaims {
  readonly classes: Classes;
  readonly claims: ShardedMap<Claims>;
  readonly changes: readonly ClaimChange[];
  /** Of what Ingresses depend on. */
  readonly dependencyMoves: readonly Move[];
}

/** Reads the Ingresses that changed; all of them when what makes an Ingress ours has changed. */
export function compileClaims(
  from: Compilation,
  snapshot: Snapshot,
  settings: CompileSettings,
): CompiledClaims {
  const sameClasses = from.snapshot.ingressClasses === snapshot.ingressClasses;
  const classes = sameClasses ? from.classes : readClasses(snapshot.ingressClasses, settings);
  const sameOwnership = isDeepStrictEqual({ ...classes, problems: [] }, { ...from.classes, problems: [] });

  const claims = edit(from.claims);
  const changes: ClaimChange[] = [];
  const reread = (ingress: ObjectKey, object: Ingress | undefined): void => {
    const before = claims.get(ingress);
    const after = object === undefined ? undefined : claimsOf(ingress, object, snapshot, classes, settings);
    // A new resourceVersion, a label or a status changes nothing for us.
    if (isDeepStrictEqual(before, after)) return;
    changes.push({ ingress, before, after });
    if (after) claims.set(ingress, after);
    else claims.delete(ingress);
  };
  for (const [key, object] of difference(from.snapshot.ingresses, snapshot.ingresses)) reread(key, object);
  if (!sameOwnership) for (const [key, object] of entries(snapshot.ingresses)) reread(key, object);
  for (const dependency of changedDependencies(from.snapshot, snapshot)) {
    for (const key of dependentsOn(from.members.dependents, 'Ingress', dependency)) {
      reread(key, get(snapshot.ingresses, key));
    }
  }
  const dependencyMoves = changes.map(({ ingress, before, after }) =>
    dependentMove('Ingress', ingress, before, after),
  );
  return { classes, claims: claims.done(), changes, dependencyMoves };
}

function claimsOf(
  key: ObjectKey,
  ingress: Ingress,
  snapshot: Snapshot,
  classes: Classes,
  settings: CompileSettings,
): Claims | undefined {
  const owner = ownership(ingress, referenceTo('Ingress', key, ingress), classes, settings);
  switch (owner.kind) {
    case 'ours':
      return readClaims(key, ingress, owner.problems, new ObjectReader(snapshot));
    case 'class-missing':
      return noClaims(key, ingress, owner.problems);
    case 'foreign':
      return undefined;
  }
}
