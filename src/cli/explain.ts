import { healthCheck, httpsRedirect } from '../config/compile-settings.ts';
import type { CompileConfig } from '../config/config.ts';
import { EXIT } from '../config/exit-codes.ts';
import { describePolicies } from '../policies/describe-policies.ts';
import { type Problem, describeObject } from '../model/problem.ts';
import { formatProblem } from '../model/format-problem.ts';
import { readTlsSecret } from '../model/secrets.ts';
import { get } from '../model/sharded-map.ts';
import { serviceOf } from '../routing/backends.ts';
import type { Compilation } from '../routing/compile/compile.ts';
import { compileOnce } from './compile-once.ts';
import { type Explanation, explain } from '../routing/explanation.ts';
import type { Backend, Endpoint, Route } from '../routing/table.ts';

const URL_PARTS = /^(?:([a-z][a-z0-9+.-]*):\/\/)?([^/?#]+)([^#]*)/i;

/** What `explain` says beyond how the request is routed: what the route's policies do, and what is wrong around it. */
interface FullExplanation extends Explanation {
  /** What the Pods of the backend are spoken to; null where nothing is forwarded. */
  readonly protocol: string | null;
  readonly policies: readonly string[];
  /** Of the Ingress, the Service and the Secret that take part, with what they are about. */
  readonly problems: readonly string[];
}

/** `portico explain`: says what a URL reaches and why. */
export async function runExplain(
  config: CompileConfig,
  env: NodeJS.ProcessEnv,
  url: string,
  { output, offline }: { readonly output: 'text' | 'json'; readonly offline: boolean },
  write: (text: string) => void,
): Promise<number> {
  const [, scheme = 'http', host, rest = ''] = URL_PARTS.exec(url) ?? [];
  if (host === undefined) {
    console.error(`portico explain: '${url}' is not a URL; write http://host/path`);
    return EXIT.usage;
  }
  const lowerScheme = scheme.toLowerCase();
  if (lowerScheme !== 'http' && lowerScheme !== 'https') {
    console.error(
      `portico explain: '${scheme}:' is not supported; write http://host/path or https://host/path`,
    );
    return EXIT.usage;
  }
  const compiled = await compileOnce(config, env, { assumeClass: offline });
  if (compiled.kind !== 'compiled') {
    console.error(`portico explain: ${compiled.message}`);
    return compiled.kind === 'no-input' ? EXIT.noInput : EXIT.unavailable;
  }
  const path = rest.startsWith('/') ? rest : `/${rest}`;
  const { compilation, problems, locate } = compiled;
  const request = { scheme: lowerScheme, host, path } as const;
  const explanation = explain(compilation, request, httpsRedirect(config), healthCheck(config));
  const { route } = explanation.outcome;
  const subjects = subjectsOf(explanation);
  const full: FullExplanation = {
    ...explanation,
    protocol: explanation.outcome.kind === 'forward' ? protocolOf(explanation.outcome) : null,
    policies: describePolicies(route?.policies ?? null),
    problems: problems
      .filter((each) => subjects.has(describeObject(each.object)) || isRefused(each, compilation))
      .map((problem) => `${problem.severity}: ${formatProblem(problem, locate(problem))}`),
  };
  write(output === 'json' ? `${JSON.stringify(full, null, 2)}\n` : explanationText(url, full, compilation));
  return EXIT.ok;
}

/** Whether a problem keeps a file or an Ingress from being read at all: it may be the one that was to serve the URL. */
function isRefused({ object, severity }: Problem, { snapshot }: Compilation): boolean {
  if (object.kind === 'File') return true;
  if (object.kind !== 'Ingress' || severity !== 'error') return false;
  return get(snapshot.ingresses, `${object.namespace}/${object.name}`) === undefined;
}

/** The objects that take part in what a request gets. */
function subjectsOf({ outcome, certificate, notServed }: Explanation): ReadonlySet<string> {
  const { route } = outcome;
  const service = route ? serviceOf(route.backend) : null;
  return new Set([
    ...(route ? [`Ingress ${route.ingress}`] : []),
    ...(service ? [`Service ${service}`] : []),
    ...(certificate?.ingress ? [`Ingress ${certificate.ingress}`] : []),
    ...(certificate?.secret ? [`Secret ${certificate.secret}`] : []),
    ...notServed.map(({ ingress }) => `Ingress ${ingress}`),
  ]);
}

function protocolOf({ route, backend }: { readonly route: Route; readonly backend: Backend }): string {
  return route.policies?.configs['backend-transport']?.protocol ?? backend.protocol;
}

function explanationText(url: string, full: FullExplanation, compilation: Compilation): string {
  const { outcome, steps, otherRules, notServed, problems } = full;
  const lines = [url, ...steps.map((step) => `  ${step}`), ...certificateLines(full, compilation)];
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
      lines.push(...routeLines(outcome.route), ...backendLines(outcome.backend, full.protocol));
      break;
  }
  if (otherRules.length > 0) lines.push('other matching rules:');
  for (const { route, because } of otherRules) lines.push(`  ${ruleText(route)}: ${because}`);
  for (const { ingress, because } of notServed) lines.push(`not served: Ingress ${ingress}: ${because}`);
  if (problems.length > 0) lines.push('problems:', ...problems.map((each) => `  ${each}`));
  return `${lines.join('\n')}\n`;
}

function certificateLines({ certificate }: FullExplanation, { snapshot }: Compilation): string[] {
  if (certificate === null) return [];
  const { secret, host, ingress } = certificate;
  if (secret === null) return ['certificate: the self-signed default, which browsers refuse'];
  const object = get(snapshot.secrets, secret);
  const read = object && readTlsSecret(object);
  const until = read?.kind === 'certificate' ? `, valid until ${new Date(read.notAfter).toISOString()}` : '';
  const why = host === null ? '--default-tls-secret' : `for "${host}", by Ingress ${ingress}`;
  return [`certificate: Secret ${secret} (${why})${until}`];
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
