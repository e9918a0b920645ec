import { isDeepStrictEqual } from 'node:util';
import type { Claims } from '../ingress/claims.ts';
import { wwwHostTaken } from '../ingress/www-claims.ts';
import type { Compilation, Indexes } from './compilation.ts';
import type { ClaimChange } from './compile-claims.ts';
import { type CompileFault, faultProblem } from './fault.ts';
import { type GlobBucket, globBucket, suffixOf } from './glob-bucket.ts';
import { type HostRegexes, hostRegexes } from './host-regexes.ts';
import { hostOwner, mayHave, notOwner, wildcardAbove } from './host-owner.ts';
import { type ScopeRoutes, scopeRoutes } from '../host-routes.ts';
import { type ReverseIndex, type IndexUpdate, updateIndex } from '../../model/reverse-index.ts';
import { compactMap } from '../../model/compact.ts';
import type { ObjectKey } from '../../model/objects.ts';
import type { Problem } from '../../model/problem.ts';
import { byAge } from '../precedence.ts';
import { CATCH_ALL, HOSTLESS, type Scope, scopeKind } from '../scope.ts';
import type { CompileSettings } from '../settings.ts';
import { SharedRoutes, shareTrees } from './share-trees.ts';
import { type ShardedMap, edit, get } from '../../model/sharded-map.ts';
import type { Route, RouteTable } from '../table.ts';

export interface CompiledScopes extends Pick<
  RouteTable,
  'hosts' | 'wildcards' | 'globs' | 'hostless' | 'passthroughs'
> {
  readonly scopes: ShardedMap<ScopeRoutes>;
  readonly globBuckets: ShardedMap<GlobBucket>;
  readonly hostRegexes: HostRegexes;
  /** The default backend of the oldest Ingress without rules. */
  readonly catchAll: Route | null;
  readonly indexes: Pick<
    Indexes,
    'ingressesByScope' | 'canariesByScope' | 'globsBySuffix' | 'hostsByWildcard'
  >;
  /** Ingresses that lost something, or no longer do. */
  readonly affectedIngresses: ReadonlySet<ObjectKey>;
}

/** Works out again the hosts that a changed Ingress claims or claimed. */
export function compileScopes(
  from: Compilation,
  settings: CompileSettings,
  claims: ShardedMap<Claims>,
  changes: readonly ClaimChange[],
  faults: CompileFault[],
): CompiledScopes {
  const ingressesByScope = updateIndex(
    from.indexes.ingressesByScope,
    changes.map(({ ingress, before, after }) => {
      return { member: ingress, before: scopesOf(before), after: scopesOf(after) };
    }),
  );
  const canariesByScope = updateIndex(
    from.indexes.canariesByScope,
    changes.map(({ ingress, before, after }) => {
      return { member: ingress, before: canaryScopesOf(before), after: canaryScopesOf(after) };
    }),
  );
  const claimants = (scope: Scope): readonly Claims[] => claimantsOf(scope, ingressesByScope, claims);
  const affected = new Set(
    changes.flatMap(({ before, after }) => [
      ...scopesOf(before),
      ...scopesOf(after),
      ...canaryScopesOf(before),
      ...canaryScopesOf(after),
    ]),
  );
  const { hostOwnership } = settings;
  if (hostOwnership === 'namespace') addHostsBelow(affected, from, claimants);

  const shared = new SharedRoutes();
  const fresh = new Map<Scope, ScopeRoutes>();
  for (const scope of affected) {
    const named = indexed(scope, ingressesByScope, claims);
    const all = claimantsAmong(named, scope);
    const yielded = yieldedAt(scope, all, named);
    const canaries = indexed(scope, canariesByScope, claims);
    if (all.length === 0 && canaries.length === 0) continue;
    const owner = hostOwner(scope, hostOwnership, (each) => claimants(each)[0]);
    if (owner === null) {
      const routes = isolated(scope, all, canaries, shared, faults);
      fresh.set(scope, yielded.size === 0 ? routes : withConflicts(routes, yielded));
      continue;
    }
    const having = all.filter((each) => mayHave(each, owner));
    const routes = isolated(scope, having, canaries, shared, faults);
    const conflicts = new Map([...routes.conflicts, ...yielded]);
    for (const each of all) {
      if (!mayHave(each, owner)) conflicts.set(each.ingress, [notOwner(scope, each, owner)]);
    }
    const { namespace = '' } = owner.claims.object;
    fresh.set(scope, { ...routes, namespace, conflicts: compactMap(conflicts) });
  }
  shareTrees(from.scopes, fresh);

  const scopes = edit(from.scopes);
  const hosts = edit(from.table.hosts);
  const wildcards = edit(from.table.wildcards);
  const passthroughs = edit(from.table.passthroughs);
  const affectedIngresses = new Set<ObjectKey>();
  const globUpdates: IndexUpdate[] = [];
  const hostUpdates: IndexUpdate[] = [];
  const regexUpdates: { readonly scope: Scope; readonly after: ScopeRoutes | undefined }[] = [];
  for (const scope of affected) {
    const before = scopes.get(scope);
    const after = reuseIfEqual(before, fresh.get(scope));
    for (const ingress of before?.conflicts.keys() ?? []) affectedIngresses.add(ingress);
    for (const ingress of after?.conflicts.keys() ?? []) affectedIngresses.add(ingress);
    put(scopes, scope, after);
    const routes = after?.routes ?? undefined;
    put(passthroughs, scope, routes?.passthrough);
    const kind = scopeKind(scope);
    if (kind === 'precise') put(hosts, scope, routes);
    else if (kind === 'wildcard') put(wildcards, scope.slice('*.'.length), routes);
    else if (kind === 'glob') globUpdates.push(filed(scope, suffixOf(scope), before, after));
    else if (kind === 'regex') regexUpdates.push({ scope, after });
    const above = hostOwnership === 'namespace' ? wildcardAbove(scope) : null;
    if (above !== null) hostUpdates.push(filed(scope, above, before, after));
  }

  const done = scopes.done();
  const globsBySuffix = updateIndex(from.indexes.globsBySuffix, globUpdates);
  const globs = edit(from.table.globs);
  const globBuckets = edit(from.globBuckets);
  for (const suffix of new Set(globUpdates.flatMap((each) => [...each.before, ...each.after]))) {
    const bucket = globBucket(suffix, get(globsBySuffix, suffix), done, claimants);
    const before = globBuckets.get(suffix);
    for (const ingress of before?.leftOut.keys() ?? []) affectedIngresses.add(ingress);
    for (const ingress of bucket.leftOut.keys()) affectedIngresses.add(ingress);
    if (bucket.globs.length === 0) {
      globBuckets.delete(suffix);
      globs.delete(suffix);
      continue;
    }
    if (!isDeepStrictEqual(before?.leftOut, bucket.leftOut) || !isSame(before?.globs, bucket.globs)) {
      globBuckets.set(suffix, bucket);
    }
    if (!isSame(globs.get(suffix), bucket.globs)) globs.set(suffix, bucket.globs);
  }
  const regexes = regexesAfter(from.hostRegexes, regexUpdates, done, claimants);
  if (regexes !== from.hostRegexes) {
    for (const { leftOut } of [from.hostRegexes, regexes]) {
      for (const ingress of leftOut.keys()) affectedIngresses.add(ingress);
    }
  }
  return {
    hostRegexes: regexes,
    scopes: done,
    globBuckets: globBuckets.done(),
    hosts: hosts.done(),
    wildcards: wildcards.done(),
    passthroughs: passthroughs.done(),
    globs: globs.done(),
    hostless: get(done, HOSTLESS)?.routes ?? null,
    catchAll: get(done, CATCH_ALL)?.routes?.defaultRoute ?? null,
    indexes: {
      ingressesByScope,
      canariesByScope,
      globsBySuffix,
      hostsByWildcard: updateIndex(from.indexes.hostsByWildcard, hostUpdates),
    },
    affectedIngresses,
  };
}

/**
 * The Ingresses that have a scope, the oldest first: those with rules for it, or the first of those that redirect from there
 * while there are none.
 */
export function claimantsOf(
  scope: Scope,
  ingressesByScope: ReverseIndex,
  claims: ShardedMap<Claims>,
): readonly Claims[] {
  return claimantsAmong(indexed(scope, ingressesByScope, claims), scope);
}

function claimantsAmong(oldestFirst: readonly Claims[], scope: Scope): readonly Claims[] {
  if (oldestFirst.every(({ yields }) => !yields.has(scope))) return oldestFirst;
  const withRules = oldestFirst.filter(({ yields }) => !yields.has(scope));
  return withRules.length > 0 ? withRules : oldestFirst.slice(0, 1);
}

function withConflicts(routes: ScopeRoutes, more: ReadonlyMap<ObjectKey, readonly Problem[]>): ScopeRoutes {
  return { ...routes, conflicts: compactMap(new Map([...routes.conflicts, ...more])) };
}

const NONE_YIELDED: ReadonlyMap<ObjectKey, readonly Problem[]> = new Map();
const NOBODY: readonly Claims[] = [];

/** The Ingresses that would redirect from a scope if those that have it had no rules for it, and what they are told. */
function yieldedAt(
  scope: Scope,
  having: readonly Claims[],
  named: readonly Claims[],
): ReadonlyMap<ObjectKey, readonly Problem[]> {
  const [first] = having;
  if (!first || having.length === named.length || first.yields.has(scope)) return NONE_YIELDED;
  const yielding = named.filter(({ yields }) => yields.has(scope));
  return new Map(
    yielding.map(({ ingress, object }) => [ingress, [wwwHostTaken(scope, first.ingress, object)]]),
  );
}

/** The Ingresses that an index has under a key, the oldest first. */
export function indexed(key: string, index: ReverseIndex, claims: ShardedMap<Claims>): readonly Claims[] {
  const ingresses = get(index, key);
  // Most keys have one Ingress, or none.
  if (ingresses === undefined) return NOBODY;
  const found = [...ingresses].flatMap((ingress) => get(claims, ingress) ?? []);
  return found.length > 1 ? found.sort(byAge) : found;
}

function scopesOf(claims: Claims | undefined): readonly Scope[] {
  return claims ? [...claims.scopes.keys()] : [];
}

function canaryScopesOf(claims: Claims | undefined): readonly Scope[] {
  return claims?.canary ? [...claims.canary.scopes.keys()] : [];
}

/** A scope is filed under its suffix, or the wildcard above it, for as long as there is one. */
function filed(
  scope: Scope,
  key: string,
  before: ScopeRoutes | undefined,
  after: ScopeRoutes | undefined,
): IndexUpdate {
  return { member: scope, before: before ? [key] : [], after: after ? [key] : [] };
}

function regexesAfter(
  before: HostRegexes,
  updates: readonly { readonly scope: Scope; readonly after: ScopeRoutes | undefined }[],
  compiled: ShardedMap<ScopeRoutes>,
  claimants: (scope: Scope) => readonly Claims[],
): HostRegexes {
  if (updates.length === 0) return before;
  const scopes = new Set(before.scopes);
  for (const { scope, after } of updates) {
    if (after) scopes.add(scope);
    else scopes.delete(scope);
  }
  return hostRegexes(before, scopes, compiled, claimants);
}

/** The precise hosts under a wildcard have another owner when the oldest Ingress of the wildcard is another one. */
function addHostsBelow(
  affected: Set<Scope>,
  from: Compilation,
  claimants: (scope: Scope) => readonly Claims[],
): void {
  for (const scope of [...affected]) {
    if (scopeKind(scope) !== 'wildcard') continue;
    const [before] = claimantsOf(scope, from.indexes.ingressesByScope, from.claims);
    const [after] = claimants(scope);
    if (before && after && byAge(before, after) === 0) continue;
    for (const host of get(from.indexes.hostsByWildcard, scope) ?? []) affected.add(host);
  }
}

/** The routes of a scope. A claimant that makes this fail is left out; the others are served. */
function isolated(
  scope: Scope,
  oldestFirst: readonly Claims[],
  canaries: readonly Claims[],
  shared: SharedRoutes,
  faults: CompileFault[],
): ScopeRoutes {
  try {
    return scopeRoutes(scope, oldestFirst, canaries, shared);
  } catch {
    let routes = scopeRoutes(scope, [], [], shared);
    const sound: Claims[] = [];
    const soundCanaries: Claims[] = [];
    const failed = new Map<ObjectKey, readonly Problem[]>();
    for (const each of [...oldestFirst, ...canaries]) {
      const list = each.canary ? soundCanaries : sound;
      list.push(each);
      try {
        routes = scopeRoutes(scope, sound, soundCanaries, shared);
      } catch (error) {
        list.pop();
        failed.set(each.ingress, [faultProblem(each.object, error, faults)]);
      }
    }
    return { ...routes, conflicts: new Map([...routes.conflicts, ...failed]) };
  }
}

/** Routes that come out as they were are the old ones, so that nobody takes them for a change. */
function reuseIfEqual(
  before: ScopeRoutes | undefined,
  after: ScopeRoutes | undefined,
): ScopeRoutes | undefined {
  // Trees are compared already: where they are equal, they are the same.
  if (before?.routes?.paths !== after?.routes?.paths || !isDeepStrictEqual(before?.routes, after?.routes)) {
    return after;
  }
  return before && after && { ...after, routes: before.routes };
}

function isSame(before: GlobBucket['globs'] | undefined, after: GlobBucket['globs']): boolean {
  return (
    before?.length === after.length &&
    before.every(({ glob, routes }, i) => glob === after[i]?.glob && routes === after[i].routes)
  );
}

function put<V>(
  map: { set(key: string, value: V): void; delete(key: string): void },
  key: string,
  value: V | undefined,
): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
