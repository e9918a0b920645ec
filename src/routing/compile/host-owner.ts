import type { Claims } from '../ingress/claims.ts';
import { type Problem, problem } from '../../model/problem.ts';
import { byAge } from '../precedence.ts';
import { CATCH_ALL, HOSTLESS, type Scope, describeScope, scopeKind } from '../scope.ts';
import type { CompileSettings } from '../settings.ts';

/** Who owns a scope, when namespaces own hosts. */
export interface HostOwner {
  readonly claims: Claims;
  /** The scope by which it does: this one, or the wildcard above it. */
  readonly scope: Scope;
}

/** The wildcard that takes the requests of a precise host without rules of its own; null for other scopes. */
export function wildcardAbove(scope: Scope): Scope | null {
  const dot = scopeKind(scope) === 'precise' ? scope.indexOf('.') : -1;
  return dot > 0 ? `*${scope.slice(dot)}` : null;
}

/**
 * The oldest Ingress that has a scope; its namespace has all of it. A precise host may have been had by a wildcard
 * before. Null where hosts have no owner: under `none`, and for what no rule takes, which the oldest has anyway.
 */
export function hostOwner(
  scope: Scope,
  ownership: CompileSettings['hostOwnership'],
  oldestOf: (scope: Scope) => Claims | undefined,
): HostOwner | null {
  if (ownership !== 'namespace' || scope === CATCH_ALL) return null;
  const first = oldestOf(scope);
  const wildcard = wildcardAbove(scope);
  const above = wildcard === null ? undefined : oldestOf(wildcard);
  if (wildcard !== null && above && (!first || byAge(above, first) < 0)) {
    return { claims: above, scope: wildcard };
  }
  return first ? { claims: first, scope } : null;
}

/** Whether an Ingress may have routes in a scope with this owner. */
export function mayHave(claims: Claims, owner: HostOwner | null): boolean {
  return owner === null || claims.object.namespace === owner.claims.object.namespace;
}

/** What an Ingress is told whose rules for a scope are not served, because another namespace has it. */
export function notOwner(scope: Scope, loser: Claims, owner: HostOwner): Problem {
  const { ingress, object } = owner.claims;
  const had = owner.scope === scope ? '' : ` with ${describeScope(owner.scope)}`;
  const owned = scope === HOSTLESS ? 'the rules without a host' : describeScope(scope);
  const message = `Namespace ${object.namespace} owns ${owned}: its Ingress ${ingress} came first${had}. The rules of this Ingress for it are not served; use another host.`;
  return problem('error', 'HostOwnedByNamespace', loser.object, fieldOf(scope, loser), message);
}

function fieldOf(scope: Scope, claims: Claims): string {
  if (scopeKind(scope) === 'regex') return 'metadata.annotations';
  if (scopeKind(scope) === 'glob') return 'metadata.annotations[portico.dev/host-globs]';
  const field = claims.scopes.get(scope)?.[0]?.route.field;
  return field === undefined ? 'spec.rules' : field.replace(/\.http\..*$/, '.host');
}
