import type { PolicySet } from '../policies/policy-set.ts';
import type { PolicyModule } from '../policies/policy.ts';
import { POLICIES } from '../policies/registry.ts';
import { type Problem, problem } from '../model/problem.ts';
import type { Claims } from './ingress/claims.ts';
import type { ObjectKey } from '../model/objects.ts';
import type { PathSlot } from './path-tree.ts';
import { CATCH_ALL, HOSTLESS, type Scope, describeScope } from './scope.ts';
import type { BackendKey, Route } from './table.ts';

const RESTRICTING: ReadonlySet<string> = new Set(
  POLICIES.filter(isRestrictingPolicy).map(({ name }) => name),
);

/** Whether it decides which requests are served. */
export function isRestrictingPolicy({ phase }: Pick<PolicyModule, 'phase'>): boolean {
  return phase === 'access' || phase === 'limit';
}

/** Whether TLS for a host ends at its Pods. */
export interface HostPassthrough {
  /** Null where it ends at Portico. */
  readonly backend: BackendKey | null;
  /** For each Ingress that asks for what it does not get. */
  readonly refused: ReadonlyMap<ObjectKey, Problem>;
}

/**
 * The Ingress of a host's path `/` decides, if it is of the namespace that had the host first. `restricts` is whether
 * clients of the host must show certificates: of what is not decrypted nothing can be asked.
 */
export function hostPassthrough(
  scope: Scope,
  oldestFirst: readonly Claims[],
  places: ReadonlyMap<string, PathSlot>,
  restricts: boolean,
): HostPassthrough {
  const asking = oldestFirst.filter(({ scopes }) =>
    (scopes.get(scope) ?? []).some(({ route }) => asks(route)),
  );
  const refused = new Map<ObjectKey, Problem>();
  if (asking.length === 0) return { backend: null, refused };
  const refuse = ({ ingress, object }: Claims, code: string, message: string): void => {
    refused.set(ingress, problem('error', code, object, 'metadata.annotations', message));
  };
  if (scope === HOSTLESS || scope === CATCH_ALL) {
    const message =
      'TLS is passed through by the name that a client asks for, so it ends at Portico here: give the rule a host.';
    for (const each of asking) refuse(each, 'TlsPassthroughWithoutHost', message);
    return { backend: null, refused };
  }
  const root = places.get('')?.prefix ?? places.get('/')?.whole ?? null;
  const winner = asking.find(({ ingress }) => ingress === root?.ingress);
  const isOwner = winner?.object.namespace === oldestFirst[0]?.object.namespace;
  for (const each of asking) {
    if (each === winner && isOwner) continue;
    const message = `TLS for ${describeScope(scope)} is passed through to the Pods behind its path "/", which this Ingress does not have: add the path, or remove the annotation.`;
    refuse(each, 'TlsPassthroughWithoutPath', message);
  }
  if (!winner || !isOwner || root === null || !asks(root)) return { backend: null, refused };
  const restricted = restricts ? winner.ingress : restrictedBy(scope, oldestFirst);
  if (restricted === null) return { backend: root.backend, refused };
  const message = `Ingress ${restricted} restricts who may use ${describeScope(scope)}, which nothing can keep to where TLS is passed through, so it ends at Portico: remove the annotation, or the restriction.`;
  refuse(winner, 'TlsPassthroughRefused', message);
  return { backend: null, refused };
}

function asks(route: Route): boolean {
  return route.policies?.configs['tls-passthrough'] !== undefined;
}

/** The first Ingress with a path on the host that not every request may take. */
function restrictedBy(scope: Scope, claimants: readonly Claims[]): ObjectKey | null {
  for (const { ingress, scopes } of claimants) {
    for (const { route } of scopes.get(scope) ?? []) {
      if (isRestricting(route.policies)) return ingress;
    }
  }
  return null;
}

/** Whether not every request may be served: nothing can keep to that where requests are not read. */
export function isRestricting(policies: PolicySet | null): boolean {
  if (policies === null) return false;
  return policies.closed.length > 0 || Object.keys(policies.configs).some((name) => RESTRICTING.has(name));
}
