import type { Claims } from '../ingress/claims.ts';
import { parseHostGlob } from '../glob.ts';
import type { ScopeRoutes } from '../host-routes.ts';
import type { ObjectKey } from '../../model/objects.ts';
import { type Problem, problem } from '../../model/problem.ts';
import { byAge, compareText } from '../precedence.ts';
import { type Scope, scopeHost } from '../scope.ts';
import { type ShardedMap, get } from '../../model/sharded-map.ts';
import type { GlobHost } from '../table.ts';
import { TENANT_LIMITS } from '../tenant-limits.ts';

/** The globs with one suffix. */
export interface GlobBucket {
  /** In order of precedence: the one whose first Ingress is the oldest comes first. */
  readonly globs: readonly GlobHost[];
  /** The Ingresses with a glob that is one too many, and what they are told. */
  readonly leftOut: ReadonlyMap<ObjectKey, readonly Problem[]>;
}

/** The literal labels at the end of a glob scope. */
export function suffixOf(scope: Scope): string {
  const result = parseHostGlob(scopeHost(scope));
  return result.kind === 'glob' ? result.glob.suffix : '';
}

/** The globs of one suffix, as many as a request may cost. */
export function globBucket(
  suffix: string,
  globScopes: ReadonlySet<Scope> = new Set(),
  scopes: ShardedMap<ScopeRoutes>,
  claimantsOf: (scope: Scope) => readonly Claims[],
): GlobBucket {
  const ranked = [...globScopes].flatMap((scope) => {
    const routes = get(scopes, scope)?.routes;
    const result = parseHostGlob(scopeHost(scope));
    const claimants = claimantsOf(scope);
    const [first] = claimants;
    if (!routes || !first || result.kind === 'refused') return [];
    const { glob, patterns } = result.glob;
    return { first, claimants, host: { glob, patterns, routes } };
  });
  ranked.sort((a, b) => byAge(a.first, b.first) || compareText(a.host.glob, b.host.glob));

  const { globsPerSuffix, globsPerSuffixAndNamespace } = TENANT_LIMITS;
  // The namespace that had the suffix first comes first: others cannot use up what it may have.
  const isOwner = ({ first }: (typeof ranked)[number]): boolean =>
    first.object.namespace === ranked[0]?.first.object.namespace;
  const ownersFirst = [...ranked.filter(isOwner), ...ranked.filter((each) => !isOwner(each))];
  const admitted = new Set<GlobHost>();
  const leftOut = new Map<ObjectKey, Problem[]>();
  const used = new Map<string, number>();
  let sum = 0;
  for (const { first, claimants, host } of ownersFirst) {
    const namespace = first.object.namespace ?? '';
    const size = host.patterns.length;
    const ofNamespace = (used.get(namespace) ?? 0) + size;
    if (sum + size <= globsPerSuffix && ofNamespace <= globsPerSuffixAndNamespace) {
      sum += size;
      used.set(namespace, ofNamespace);
      admitted.add(host);
      continue;
    }
    for (const { ingress, object } of claimants) {
      const message = `There may be ${globsPerSuffix} globs under "${suffix}", and ${globsPerSuffixAndNamespace} of one namespace; those that come first are as many, so "${host.glob}" is not served: use a wildcard host or another suffix.`;
      const list = leftOut.get(ingress) ?? [];
      leftOut.set(ingress, list);
      const field = 'metadata.annotations[portico.dev/host-globs]';
      list.push(problem('error', 'TooManyHostGlobs', object, field, message));
    }
  }
  return { globs: ranked.map(({ host }) => host).filter((host) => admitted.has(host)), leftOut };
}
