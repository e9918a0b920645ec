import { hostFault } from '../../model/names.ts';
import type { ObjectKey } from '../../model/objects.ts';
import { type ObjectReference, type Problem, problem } from '../../model/problem.ts';
import { type PolicySet, policySet } from '../../policies/policy-set.ts';
import { otherWwwHost } from '../../policies/www-redirect.ts';
import { type Scope, scopeKind } from '../scope.ts';
import type { Route } from '../table.ts';
import type { TlsClaim } from './tls-claims.ts';

/**
 * The other host, with or without `www.`, of each host that has rules in an Ingress that asks for redirects; `others` of its
 * scopes have no rules of their own. One path is all that such a host has, which leads to no Pod.
 */
export function wwwClaims<C extends { readonly at: string; readonly route: Route }>(
  scopes: ReadonlyMap<Scope, readonly C[]>,
  others: readonly Scope[],
  policies: PolicySet | null,
): ReadonlyMap<Scope, readonly C[]> {
  const claims = new Map<Scope, readonly C[]>();
  const config = policies?.configs['www-redirect'];
  if (!config) return claims;
  for (const [to, [first]] of scopes) {
    const host = otherWwwHost(to);
    const isServed = scopeKind(to) === 'precise' && hostFault(host) === null && !others.includes(to);
    if (!isServed || !first) continue;
    const redirect = { status: config.status, location: { host: to } };
    const configs = { redirect, 'ssl-redirect': { when: 'never' } } as const;
    const { pattern: _, ...route } = first.route;
    const redirecting = {
      ...route,
      path: '/',
      pathType: 'Prefix',
      policies: policySet(configs, []),
    } as const;
    claims.set(host, [{ ...first, at: '', route: redirecting }]);
  }
  return claims;
}

/** The TLS hosts of an Ingress, with those that are redirected: what no entry says of them is that of their target. */
export function withWwwHosts(
  tls: ReadonlyMap<string, TlsClaim>,
  redirected: ReadonlySet<Scope>,
): ReadonlyMap<string, TlsClaim> {
  if (tls.size === 0 || redirected.size === 0) return tls;
  const all = new Map(tls);
  for (const host of redirected) {
    const target = tls.get(otherWwwHost(host));
    if (target && !tls.get(host)?.secret) all.set(host, { ...target, scope: host });
  }
  return all;
}

/** What an Ingress is told whose redirect is not served because an Ingress, `taker`, has rules for the host. */
export function wwwHostTaken(host: Scope, taker: ObjectKey, object: ObjectReference): Problem {
  const message = `Ingress ${taker} serves host "${host}", so clients are not redirected from there to "${otherWwwHost(host)}"; remove that host there if they should be.`;
  return problem('info', 'WwwRedirectNotServed', object, 'metadata.annotations', message);
}
