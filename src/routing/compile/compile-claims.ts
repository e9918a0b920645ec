import { isDeepStrictEqual } from 'node:util';
import { type Claims, noClaims, readClaims } from '../ingress/claims.ts';
import { type Classes, ownership, readClasses } from '../ingress/classes.ts';
import type { Compilation, Members } from './compilation.ts';
import type { Ingress, ObjectKey } from '../../model/objects.ts';
import { referenceTo } from '../../model/problem.ts';
import type { CompileSettings } from '../settings.ts';
import { move } from '../../model/reverse-index.ts';
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
  readonly members: Pick<Members, 'ingressesByAuthority'>;
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
  for (const [secret] of difference(from.snapshot.secrets, snapshot.secrets)) {
    for (const key of get(from.members.ingressesByAuthority, secret) ?? []) {
      reread(key, get(snapshot.ingresses, key));
    }
  }
  const moves = changes.map(({ ingress, before, after }) => {
    return { member: ingress, before: authoritiesOf(before), after: authoritiesOf(after) };
  });
  const ingressesByAuthority = move(from.members.ingressesByAuthority, moves);
  return { classes, claims: claims.done(), changes, members: { ingressesByAuthority } };
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
      return readClaims(key, ingress, owner.problems, (secret) => get(snapshot.secrets, secret));
    case 'class-missing':
      return noClaims(key, ingress, owner.problems);
    case 'foreign':
      return undefined;
  }
}

function authoritiesOf(claims: Claims | undefined): readonly ObjectKey[] {
  return claims?.authorities ?? [];
}
