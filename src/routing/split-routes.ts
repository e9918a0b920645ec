import type { CanaryClaims, Claims } from './ingress/claims.ts';
import { namespaceOf } from '../model/objects.ts';
import { type Problem, type Severity, problem } from '../model/problem.ts';
import { type PolicySet, policySet } from '../policies/policy-set.ts';
import type { PathSlot } from './path-tree.ts';
import { type Scope, describeScope } from './scope.ts';
import type { Route } from './table.ts';

export interface SplitRoutes {
  readonly places: ReadonlyMap<string, PathSlot>;
  readonly defaultRoute: Route | null;
}

/**
 * The routes of a scope after canaries, oldest first, have taken their shares. A canary takes one of a route of its own
 * namespace that has the same place, and only one canary does; `tell` is told of each path where it cannot, and why.
 */
export function splitRoutes(
  scope: Scope,
  places: ReadonlyMap<string, PathSlot>,
  defaultRoute: Route | null,
  canaries: readonly Claims[],
  tell: (canary: Claims, problem: Problem) => void,
): SplitRoutes {
  if (canaries.length === 0) return { places, defaultRoute };
  const split = new Map(places);
  let splitDefault = defaultRoute;
  for (const claims of canaries) {
    const { canary, object } = claims;
    if (canary === null) continue;
    const shareOf = (main: Route | null, own: Route): Route | null => {
      const fault = shareFault(scope, main, own);
      if (fault === null) return main && withCanary(main, own, canary);
      const field = own.pathType === 'DefaultBackend' ? own.field : `${own.field}.path`;
      tell(claims, problem(fault.severity, fault.code, object, field, fault.message));
      return main;
    };
    for (const { at, route } of canary.scopes.get(scope) ?? []) {
      const place = split.get(at) ?? { whole: null, prefix: null };
      const kind = route.pathType === 'Exact' ? 'whole' : 'prefix';
      const share = shareOf(place[kind], route);
      if (share !== null) split.set(at, { ...place, [kind]: share });
    }
    if (canary.defaultRoute !== null) splitDefault = shareOf(splitDefault, canary.defaultRoute);
  }
  return { places: split, defaultRoute: splitDefault };
}

/** Why a canary gets no share of a route, or null when it does. */
function shareFault(
  scope: Scope,
  main: Route | null,
  own: Route,
): { severity: Severity; code: string; message: string } | null {
  const what =
    own.pathType === 'DefaultBackend'
      ? `a default backend for ${describeScope(scope)}`
      : `${own.pathType} "${own.path}" of ${describeScope(scope)}`;
  if (main === null) {
    const message = `No other Ingress of this namespace serves ${what}, so this canary gets no requests there: create the main Ingress, or correct the host and path.`;
    return { severity: 'warning', code: 'CanaryWithoutMain', message };
  }
  if (namespaceOf(main.ingress) !== namespaceOf(own.ingress)) {
    const message = `Ingress ${main.ingress} of another namespace serves ${what}, and a canary gets requests of its own namespace only: move the canary there.`;
    return { severity: 'error', code: 'CanaryOfAnotherNamespace', message };
  }
  const first = main.backends?.find(({ canary }) => canary !== null)?.canary;
  if (first) {
    const message =
      first.ingress === own.ingress
        ? `This canary has another path that is the same as ${what}, which counts: remove one of them.`
        : `Canary ${first.ingress} comes first and gets the share of ${what}, so this one gets no requests there: remove one of them.`;
    return { severity: 'error', code: 'CanaryConflict', message };
  }
  if (main.backend === own.backend) {
    const message = `Ingress ${main.ingress} sends ${what} to ${own.backend} too, so this canary changes nothing there: name another Service.`;
    return { severity: 'warning', code: 'CanarySameBackend', message };
  }
  return null;
}

function withCanary(main: Route, own: Route, { config, policies }: CanaryClaims): Route {
  const { header, cookie, weight, total } = config;
  const route = { ...main, policies: policiesOfCanary(main.policies, policies) };
  const canary = { ingress: own.ingress, conditions: { header, cookie }, route };
  return {
    ...main,
    backends: [
      { key: main.backend, weight: total - weight, canary: null },
      { key: own.backend, weight, canary },
    ],
  };
}

/** Those of the main Ingress, but with what the canary says of how its own endpoints are chosen. */
function policiesOfCanary(main: PolicySet | null, canary: PolicySet): PolicySet | null {
  const { affinity: shared, ...others } = main?.configs ?? {};
  const { balance } = canary.configs;
  const affinity = shared?.keepsCanary ? shared : canary.configs.affinity;
  if (balance === undefined && affinity === shared) return main;
  const configs = { ...others, ...(affinity && { affinity }), ...(balance && { balance }) };
  return policySet(configs, main?.closed ?? []);
}
