import { isDeepStrictEqual } from 'node:util';
import { readHostRegex } from '../../http/regex/host-regex.ts';
import type { ScopeRoutes } from '../host-routes.ts';
import type { Claims } from '../ingress/claims.ts';
import type { ObjectKey } from '../../model/objects.ts';
import { type Problem, problem } from '../../model/problem.ts';
import { byAge, compareText } from '../precedence.ts';
import { type Scope, scopeHost } from '../scope.ts';
import { type ShardedMap, get } from '../../model/sharded-map.ts';
import type { HostRegexList } from '../table.ts';
import { TENANT_LIMITS } from '../tenant-limits.ts';

/** The hosts that are regular expressions. */
export interface HostRegexes {
  readonly scopes: ReadonlySet<Scope>;
  readonly lists: readonly HostRegexList[];
  /** The Ingresses with an expression that is one too many, and what they are told. */
  readonly leftOut: ReadonlyMap<ObjectKey, readonly Problem[]>;
}

export const NO_HOST_REGEXES: HostRegexes = { scopes: new Set(), lists: [], leftOut: new Map() };

/** As many of the expressions as a request may cost: those of the oldest Ingresses. */
export function hostRegexes(
  before: HostRegexes,
  scopes: ReadonlySet<Scope>,
  compiled: ShardedMap<ScopeRoutes>,
  claimantsOf: (scope: Scope) => readonly Claims[],
): HostRegexes {
  const ranked = [...scopes].flatMap((scope) => {
    const routes = get(compiled, scope)?.routes;
    const reading = readHostRegex(scopeHost(scope));
    const claimants = claimantsOf(scope);
    const [first] = claimants;
    if (!routes || !first || reading.kind === 'refused') return [];
    const { text, size } = reading;
    return [{ scope, first, claimants, routes, pattern: { text, ignoreCase: true, literal: '', size } }];
  });
  ranked.sort((a, b) => byAge(a.first, b.first) || compareText(a.scope, b.scope));

  const { hostRegexSizePerNamespace, hostRegexSizeInAll, hostRegexNamespaces } = TENANT_LIMITS;
  const byNamespace = new Map<string, HostRegexList['entries'][number][]>();
  const sizes = new Map<string, number>();
  const leftOut = new Map<ObjectKey, Problem[]>();
  let inAll = 0;
  for (const [rank, { scope, first, claimants, pattern, routes }] of ranked.entries()) {
    const namespace = first.object.namespace ?? '';
    const size = (sizes.get(namespace) ?? 0) + pattern.size;
    const isKnown = byNamespace.has(namespace);
    const fits = size <= hostRegexSizePerNamespace && inAll + pattern.size <= hostRegexSizeInAll;
    if (fits && (isKnown || byNamespace.size < hostRegexNamespaces)) {
      inAll += pattern.size;
      sizes.set(namespace, size);
      byNamespace.set(namespace, [...(byNamespace.get(namespace) ?? []), { pattern, rank, routes }]);
      continue;
    }
    for (const { ingress, object } of claimants) {
      const message = `The regular expressions for hosts of a namespace may have ${hostRegexSizePerNamespace} instructions, all together ${hostRegexSizeInAll}, of ${hostRegexNamespaces} namespaces; with "${scopeHost(scope)}" they have more, so it is not served: use portico.dev/host-globs or a wildcard host.`;
      const known = leftOut.get(ingress) ?? [];
      leftOut.set(ingress, [
        ...known,
        problem('error', 'TooManyHostRegexes', object, 'metadata.annotations', message),
      ]);
    }
  }
  const lists = [...byNamespace].map(([namespace, entries]) => ({ namespace, entries }));
  const areSame = isDeepStrictEqual(before.lists, lists);
  return { scopes, lists: areSame ? before.lists : lists, leftOut };
}
