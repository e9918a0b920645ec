import { isDeepStrictEqual } from 'node:util';
import type { Claims } from '../ingress/claims.ts';
import type { Compilation, Members } from './compilation.ts';
import type { ClaimChange } from './compile-claims.ts';
import { parseHostGlob } from '../glob.ts';
import { type ScopeRoutes, scopeRoutes } from '../host-routes.ts';
import { type Memberships, move } from '../../model/reverse-index.ts';
import type { ObjectKey } from '../../model/objects.ts';
import { byAge, compareText } from '../precedence.ts';
import { CATCH_ALL, HOSTLESS, type Scope, scopeHost, scopeKind } from '../scope.ts';
import { type ShardedMap, edit, get } from '../../model/sharded-map.ts';
import type { GlobHost, Route, RouteTable } from '../table.ts';

export interface CompiledScopes extends Pick<RouteTable, 'hosts' | 'wildcards' | 'globs' | 'hostless'> {
  readonly scopes: ShardedMap<ScopeRoutes>;
  /** The default backend of the oldest Ingress without rules. */
  readonly catchAll: Route | null;
  readonly members: Pick<Members, 'ingressesByScope' | 'globsBySuffix'>;
  /** Ingresses that lost something, or no longer do. */
  readonly touchedIngresses: ReadonlySet<ObjectKey>;
}

/** Works out again the hosts that a changed Ingress claims or claimed. */
export function compileScopes(
  from: Compilation,
  claims: ShardedMap<Claims>,
  changes: readonly ClaimChange[],
): CompiledScopes {
  const touched = new Set<Scope>();
  for (const { before, after } of changes) {
    for (const scope of before?.scopes.keys() ?? []) touched.add(scope);
    for (const scope of after?.scopes.keys() ?? []) touched.add(scope);
  }
  const ingressesByScope = move(
    from.members.ingressesByScope,
    changes.map(({ ingress, before, after }) => {
      return { member: ingress, before: scopesOf(before), after: scopesOf(after) };
    }),
  );

  const scopes = edit(from.scopes);
  const hosts = edit(from.table.hosts);
  const wildcards = edit(from.table.wildcards);
  const touchedIngresses = new Set<ObjectKey>();
  const touchedGlobs: { scope: Scope; present: boolean }[] = [];
  for (const scope of touched) {
    const before = scopes.get(scope);
    const claimants = claimantsOf(scope, ingressesByScope, claims);
    const after = claimants.length > 0 ? keepEqual(before, scopeRoutes(scope, claimants)) : undefined;
    for (const ingress of before?.conflicts.keys() ?? []) touchedIngresses.add(ingress);
    for (const ingress of after?.conflicts.keys() ?? []) touchedIngresses.add(ingress);
    put(scopes, scope, after);
    const kind = scopeKind(scope);
    if (kind === 'precise') put(hosts, scope, after?.routes);
    else if (kind === 'wildcard') put(wildcards, scope.slice('*.'.length), after?.routes);
    else if (kind === 'glob') touchedGlobs.push({ scope, present: after !== undefined });
  }

  const settled = scopes.done();
  const globsBySuffix = move(
    from.members.globsBySuffix,
    touchedGlobs.map(({ scope, present }) => {
      const suffix = [suffixOf(scope)];
      return { member: scope, before: suffix, after: present ? suffix : [] };
    }),
  );
  const globs = edit(from.table.globs);
  for (const suffix of new Set(touchedGlobs.map(({ scope }) => suffixOf(scope)))) {
    const bucket = globBucket(get(globsBySuffix, suffix), settled, ingressesByScope, claims);
    const before = globs.get(suffix);
    if (bucket.length === 0) globs.delete(suffix);
    else if (!isDeepStrictEqual(before, bucket)) globs.set(suffix, bucket);
  }
  return {
    scopes: settled,
    hosts: hosts.done(),
    wildcards: wildcards.done(),
    globs: globs.done(),
    hostless: get(settled, HOSTLESS)?.routes ?? null,
    catchAll: get(settled, CATCH_ALL)?.routes.defaultRoute ?? null,
    members: { ingressesByScope, globsBySuffix },
    touchedIngresses,
  };
}

/** The Ingresses that claim a scope, the first in precedence first. */
export function claimantsOf(
  scope: Scope,
  ingressesByScope: Memberships,
  claims: ShardedMap<Claims>,
): readonly Claims[] {
  const ingresses = [...(get(ingressesByScope, scope) ?? [])];
  return ingresses.flatMap((ingress) => get(claims, ingress) ?? []).sort(byAge);
}

function scopesOf(claims: Claims | undefined): readonly Scope[] {
  return claims ? [...claims.scopes.keys()] : [];
}

/** Routes that come out as they were are the old ones, so that nobody takes them for a change. */
function keepEqual(before: ScopeRoutes | undefined, after: ScopeRoutes): ScopeRoutes {
  if (!before || !isDeepStrictEqual(before.routes, after.routes)) return after;
  return { ...after, routes: before.routes };
}

function suffixOf(scope: Scope): string {
  const result = parseHostGlob(scopeHost(scope));
  return result.kind === 'glob' ? result.glob.suffix : '';
}

/** The globs of one suffix: the one whose first Ingress is the oldest comes first. */
function globBucket(
  globScopes: ReadonlySet<Scope> = new Set(),
  scopes: ShardedMap<ScopeRoutes>,
  ingressesByScope: Memberships,
  claims: ShardedMap<Claims>,
): readonly GlobHost[] {
  const ranked = [...globScopes].flatMap((scope) => {
    const routes = get(scopes, scope)?.routes;
    const result = parseHostGlob(scopeHost(scope));
    const [first] = claimantsOf(scope, ingressesByScope, claims);
    if (!routes || !first || result.kind === 'refused') return [];
    const { glob, pattern } = result.glob;
    return { first, host: { glob, pattern, routes } };
  });
  ranked.sort((a, b) => byAge(a.first, b.first) || compareText(a.host.glob, b.host.glob));
  return ranked.map(({ host }) => host);
}

function put<V>(
  map: { set(key: string, value: V): void; delete(key: string): void },
  key: string,
  value: V | undefined,
): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
