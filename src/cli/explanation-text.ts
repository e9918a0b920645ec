import type { FullExplanation } from '../routing/explain-url.ts';
import type { Backend, Endpoint, Route } from '../routing/table.ts';

type RuleReference = Pick<Route, 'path' | 'pathType' | 'ingress' | 'kind' | 'field'>;

/** An explanation for a person at a terminal. */
export function explanationText(url: string, full: FullExplanation): string {
  const { outcome, steps, otherRules, otherRuleCount, notServed, problems, policies } = full;
  const lines = [url, ...steps.map((step) => `  ${step}`), ...certificateLines(full)];
  switch (outcome.kind) {
    case 'redirect':
      if (outcome.route) lines.push(...routeLines(outcome.route, policies));
      lines.push(`${outcome.status}: to ${outcome.location}`);
      break;
    case 'refuse': {
      const { route, status, reason, message, unavailable } = outcome;
      if (route) lines.push(...routeLines(route, policies));
      const why = route && unavailable ? ` (backend ${route.backend}: ${unavailable})` : '';
      lines.push(`${status} ${reason}: ${message}${why}`);
      break;
    }
    case 'forward':
      lines.push(...routeLines(outcome.route, policies), ...backendLines(outcome.backend, full.protocol));
      break;
  }
  if (otherRules.length > 0) lines.push('other matching rules:');
  for (const { route, because } of otherRules) lines.push(`  ${ruleText(route)}: ${because}`);
  if (otherRuleCount > otherRules.length) lines.push(`  and ${otherRuleCount - otherRules.length} more`);
  for (const { ingress, because } of notServed) lines.push(`not served: Ingress ${ingress}: ${because}`);
  if (problems.length > 0) lines.push('problems:', ...problems.map((each) => `  ${each}`));
  return `${lines.join('\n')}\n`;
}

function certificateLines({ certificate }: FullExplanation): string[] {
  if (certificate === null) return [];
  const { secret, host, ingress, validUntil } = certificate;
  if (secret === null) return ['certificate: the self-signed default, which browsers refuse'];
  const until = validUntil === null ? '' : `, valid until ${validUntil}`;
  const why = host === null ? '--default-tls-secret' : `for "${host}", by Ingress ${ingress}`;
  return [`certificate: Secret ${secret} (${why})${until}`];
}

function routeLines(route: RuleReference, policies: readonly string[]): string[] {
  if (route.ingress === '') return ["route: the controller's own default backend"];
  return [`route: ${ruleText(route)}`, ...policies.map((policy) => `  policy: ${policy}`)];
}

function ruleText({ path, pathType, kind, ingress, field }: RuleReference): string {
  const rule = pathType === 'DefaultBackend' ? 'default backend' : `${pathType} ${path || '/'}`;
  return `${rule} of ${kind ?? 'Ingress'} ${ingress} at ${field}`;
}

function backendLines(
  { key, externalName, endpoints, failoverEndpoints = [] }: Backend,
  protocol: string | null,
): string[] {
  const targets = externalName
    ? [`${externalName.host}:${externalName.port} by DNS`]
    : endpoints.map(endpointText);
  return [
    `backend: ${key}`,
    `  protocol: ${protocol}`,
    ...targets.map((target) => `  endpoint: ${target}`),
    ...(failoverEndpoints.length > 0 ? ['  remote, used when none of these can be reached:'] : []),
    ...failoverEndpoints.map((endpoint) => `  endpoint: ${endpointText(endpoint)}`),
  ];
}

function endpointText({ address, port, pod, node, zone, terminating }: Endpoint): string {
  const about = [pod && `Pod ${pod}`, node && `node ${node}`, zone && `zone ${zone}`].filter(Boolean);
  const place = about.length > 0 ? ` (${about.join(', ')})` : '';
  return `${address.includes(':') ? `[${address}]` : address}:${port}${place}${terminating ? ', terminating' : ''}`;
}
