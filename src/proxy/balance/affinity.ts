import type { Backend, Policy, Route } from '../../routing/table.ts';

/** By route: the same with the policy of a Service that keeps a client with one endpoint. */
const sticky = new WeakMap<Route, Route>();

/**
 * The route as requests take it: a Service with session affinity balances by a consistent hash, unless an annotation
 * of the Ingress names another balance. Made once per route, whatever the number of requests.
 */
export function withAffinity(route: Route, backend: Backend): Route {
  if (backend.affinity === undefined || route.policy.overridesAffinity) return route;
  let made = sticky.get(route);
  if (!made) {
    const policy: Policy = { ...route.policy, balance: 'consistent-hash' };
    sticky.set(route, (made = { ...route, policy }));
  }
  return made;
}
