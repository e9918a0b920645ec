import type { FullExplanation } from '../../routing/explain-url.ts';
import type { Backend, Route } from '../../routing/table.ts';

/** Endpoints, rules and problems that one answer has of each. */
const MAX_EACH = 200;

/**
 * An explanation as `portico explain --output json` prints it, in which routes are without the configs of their policies
 * (`policies` describes them) and long lists are cut.
 */
export function explanationView(full: FullExplanation): object {
  const { outcome, otherRules, notServed, problems } = full;
  return {
    ...full,
    outcome: {
      ...outcome,
      route: outcome.route && routeView(outcome.route),
      ...(outcome.kind === 'forward' && { backend: backendView(outcome.backend) }),
    },
    otherRules: otherRules.slice(0, MAX_EACH).map((lost) => ({ ...lost, route: routeView(lost.route) })),
    otherRuleCount: otherRules.length,
    notServed: notServed.slice(0, MAX_EACH),
    problems: problems.slice(0, MAX_EACH),
  };
}

function routeView({ path, pathType, kind, ingress, field, backend }: Route): object {
  return { path, pathType, ...(kind && { kind }), ingress, field, backend };
}

function backendView(backend: Backend): object {
  const { key, protocol, endpoints, failoverEndpoints, lastResort, externalName, unavailable } = backend;
  return {
    ...{ key, protocol, lastResort, externalName, unavailable },
    endpoints: endpoints.slice(0, MAX_EACH),
    endpointCount: endpoints.length,
    ...(failoverEndpoints && { failoverEndpoints: failoverEndpoints.slice(0, MAX_EACH) }),
  };
}
