import type { Explained, ExplainedBackend, ExplainedRule } from './answers.ts';
import type { FullExplanation } from '../../routing/explain-url.ts';
import type { Backend, Route } from '../../routing/table.ts';

/** Endpoints, rules and problems that one answer has of each. */
const MAX_EACH = 200;

/**
 * An explanation as `portico explain --output json` prints it, in which routes are without the configs of their policies
 * (`policies` describes them) and long lists are cut.
 */
export function explanationView(full: FullExplanation): Explained {
  const { outcome, otherRules, notServed, problems } = full;
  return {
    ...full,
    outcome: outcomeView(outcome),
    otherRules: otherRules.map((lost) => ({ ...lost, route: routeView(lost.route) })),
    notServed: notServed.slice(0, MAX_EACH),
    problems: problems.slice(0, MAX_EACH),
  };
}

function outcomeView(outcome: FullExplanation['outcome']): Explained['outcome'] {
  switch (outcome.kind) {
    case 'forward': {
      const { kind, route, backend } = outcome;
      return { kind, route: routeView(route), backend: backendView(backend) };
    }
    case 'redirect':
    case 'refuse':
      return { ...outcome, route: outcome.route && routeView(outcome.route) };
  }
}

function routeView({ path, pathType, kind, ingress, field, backend }: Route): ExplainedRule {
  return { path, pathType, ...(kind && { kind }), ingress, field, backend };
}

function backendView(backend: Backend): ExplainedBackend {
  const { key, protocol, endpoints, failoverEndpoints, lastResort, externalName, unavailable } = backend;
  return {
    ...{ key, protocol, lastResort, externalName, unavailable },
    endpoints: endpoints.slice(0, MAX_EACH),
    endpointCount: endpoints.length,
    ...(failoverEndpoints && { failoverEndpoints: failoverEndpoints.slice(0, MAX_EACH) }),
  };
}
