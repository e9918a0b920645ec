import { healthCheck, httpsRedirect } from '../config/compile-settings.ts';
import type { CompileConfig } from '../config/config.ts';
import { EXIT } from '../config/exit-codes.ts';
import { describePolicies } from '../policies/describe-policies.ts';
import { compileOnce } from './compile-once.ts';
import { type Explanation, explain } from '../routing/explanation.ts';
import type { Backend, Endpoint, Route } from '../routing/table.ts';

const URL_PARTS = /^(?:(https?):\/\/)?([^/?#]+)([^#]*)/i;

/** `portico explain`: says what a URL reaches and why. */
export async function runExplain(
  config: CompileConfig,
  env: NodeJS.ProcessEnv,
  url: string,
  output: 'text' | 'json',
  write: (text: string) => void,
): Promise<number> {
  const [, scheme = 'http', host, rest = ''] = URL_PARTS.exec(url) ?? [];
  if (host === undefined) {
    console.error(`portico explain: '${url}' is not a URL; write http://host/path`);
    return EXIT.usage;
  }
  const compiled = await compileOnce(config, env);
  if (compiled.kind !== 'compiled') {
    console.error(`portico explain: ${compiled.message}`);
    return compiled.kind === 'no-input' ? EXIT.noInput : EXIT.unavailable;
  }
  const path = rest.startsWith('/') ? rest : `/${rest}`;
  const request = { scheme: scheme.toLowerCase() === 'https' ? 'https' : 'http', host, path } as const;
  const explanation = explain(compiled.compilation, request, httpsRedirect(config), healthCheck(config));
  write(output === 'json' ? `${JSON.stringify(explanation, null, 2)}\n` : explanationText(url, explanation));
  return EXIT.ok;
}

function explanationText(url: string, { outcome, steps, otherRules }: Explanation): string {
  const lines = [url, ...steps.map((step) => `  ${step}`)];
  switch (outcome.kind) {
    case 'redirect':
      if (outcome.route) lines.push(...routeLines(outcome.route));
      lines.push(`${outcome.status}: to ${outcome.location}`);
      break;
    case 'refuse': {
      const { route, status, reason, message, unavailable } = outcome;
      if (route) lines.push(...routeLines(route));
      const why = route && unavailable ? ` (backend ${route.backend}: ${unavailable})` : '';
      lines.push(`${status} ${reason}: ${message}${why}`);
      break;
    }
    case 'forward':
      lines.push(...routeLines(outcome.route), ...backendLines(outcome.backend));
      break;
  }
  if (otherRules.length > 0) lines.push('other matching rules:');
  for (const { route, because } of otherRules) lines.push(`  ${ruleText(route)}: ${because}`);
  return `${lines.join('\n')}\n`;
}

function routeLines(route: Route): string[] {
  if (route.ingress === '') return ["route: the controller's own default backend"];
  return [
    `route: ${ruleText(route)}`,
    ...describePolicies(route.policies).map((policy) => `  policy: ${policy}`),
  ];
}

function ruleText(route: Route): string {
  const rule =
    route.pathType === 'DefaultBackend' ? 'default backend' : `${route.pathType} ${route.path || '/'}`;
  return `${rule} of Ingress ${route.ingress} at ${route.field}`;
}

function backendLines({ key, externalName, endpoints, failoverEndpoints = [] }: Backend): string[] {
  const targets = externalName
    ? [`${externalName.host}:${externalName.port} by DNS`]
    : endpoints.map(endpointText);
  return [
    `backend: ${key}`,
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
