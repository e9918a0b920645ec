import { X509Certificate } from 'node:crypto';
import { entries, values } from '../../src/model/sharded-map.ts';
import type {
  Backend,
  Endpoint,
  GatewayPort,
  HostClients,
  HostRoutes,
  PathTree,
  Route,
  RouteTable,
  StreamRoute,
} from '../../src/routing/table.ts';
import type { ClientAuth } from '../../src/policies/client-certificate.ts';
import { describePolicies } from '../../src/policies/describe-policies.ts';
import { describeConditions } from '../../src/policies/canary.ts';
import { samePolicies } from '../../src/policies/policy-set.ts';
import { hostsOf } from '../../src/routing/table-view.ts';
import type { Problem } from '../../src/model/problem.ts';
import { describeObject } from '../../src/model/problem.ts';

/** A table as the goldens show it: short, sorted, and without what is the same everywhere. */
export function describeTable(table: RouteTable): Record<string, unknown> {
  const hosts: Record<string, unknown> = {};
  for (const [host, routes] of sorted(entries(table.hosts))) hosts[host] = describeHost(routes);
  for (const [suffix, routes] of sorted(entries(table.wildcards)))
    hosts[`*.${suffix}`] = describeHost(routes);
  for (const [suffix, bucket] of sorted(entries(table.globs))) {
    for (const { glob, routes } of bucket) hosts[`${glob} (glob under ${suffix})`] = describeHost(routes);
  }
  for (const { namespace, entries: regexes } of table.hostRegexes) {
    for (const { rank, routes } of regexes) {
      hosts[`~ ${routes.host} (${rank + 1}. of all, of ${namespace})`] = describeHost(routes);
    }
  }
  if (table.hostless) hosts['(no host)'] = describeHost(table.hostless);
  const backends: Record<string, unknown> = {};
  for (const [key, backend] of sorted(entries(table.backends))) backends[key] = describeBackend(backend);
  const policies = new Map([...entries(table.clientPolicies)]);
  const clients: Record<string, string> = {};
  for (const { host, clients: asked } of hostsOf(table)) {
    if (asked) clients[host || '(no host)'] = describeClients(asked, policies.get(asked.policyId));
  }
  const certificates = [...values(table.certificates)].map(
    (c) => `${c.host}: ${c.secret ?? '(default)'} by ${c.ingress}`,
  );
  const streams: Record<string, string> = {};
  for (const [port, stream] of sorted(entries(table.streams))) streams[port] = describeStream(stream);
  const ports: Record<string, unknown> = {};
  for (const [key, port] of sorted(entries(table.ports))) ports[key] = describePort(port);
  return {
    hosts,
    ...(table.ports.size > 0 && { ports }),
    ...(table.defaultRoute && { default: describeRoute(table.defaultRoute) }),
    backends,
    ...(certificates.length > 0 && { certificates: certificates.sort() }),
    ...(table.streams.size > 0 && { streams }),
    ...(Object.keys(clients).length > 0 && { clients: Object.fromEntries(sorted(Object.entries(clients))) }),
  };
}

function describePort({ isTls, hosts, certificates }: GatewayPort): Record<string, unknown> {
  const described: Record<string, unknown> = {};
  for (const [, routes] of sorted(entries(hosts))) {
    const { gateway } = routes;
    const tls = gateway?.tls && { '(TLS)': `${gateway.tls.mode} ${gateway.tls.route?.ingress ?? 'nothing'}` };
    described[routes.host || '(all hosts)'] = {
      '(listener)': gateway?.listener,
      ...tls,
      ...describeHost(routes),
    };
  }
  const shown = Object.fromEntries(sorted(entries(certificates)));
  return { ...(isTls && { certificates: shown }), ...described };
}

function describeStream({ backend, configMap, gateway, ...proxy }: StreamRoute): string {
  if (gateway) {
    const { route } = gateway;
    return route ? `${route.backend}${splitText(route)} by ${route.kind} ${route.ingress}` : 'reset';
  }
  const accepts = proxy.acceptsProxyProtocol ? ', takes PROXY headers' : '';
  const sends = proxy.sendsProxyProtocol ? ', sends PROXY headers' : '';
  return `${backend}${accepts}${sends} by ${configMap}`;
}

function describeClients({ ingress }: HostClients, policy: ClientAuth | undefined): string {
  if (!policy) return `unverifiable by ${ingress}`;
  const names = (policy.caCertificates.match(/-----BEGIN[^]+?-----END CERTIFICATE-----/g) ?? []).map(
    (block) => new X509Certificate(block).subject.replaceAll('\n', ', '),
  );
  const passed = policy.passCertificate ? ', told to pods' : '';
  return `${policy.required ? 'required' : 'optional'} of ${names.join(' and ')}${passed} by ${ingress}`;
}

export function describeProblem({ severity, code, object, field, message }: Problem): string {
  return `${severity} ${code} ${describeObject(object)}${field && ` ${field}`}: ${message}`;
}

export function describeEndpoint({ address, port }: Pick<Endpoint, 'address' | 'port'>): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** `Prefix /cart`, as requests name the route they expect. */
export function routeName({ pathType, path }: Route): string {
  return path === '' ? pathType : `${pathType} ${path}`;
}

function describeHost(routes: HostRoutes): Record<string, string> {
  const paths: Record<string, string> = {};
  for (const [at, route] of describeNodes(routes.paths)) {
    paths[at] = describeChain(route, routes.linked).map(describeRoute).join(' | ');
  }
  for (const { namespace, entries: patterns } of routes.patterns?.lists ?? []) {
    for (const [index, { pattern, route }] of patterns.entries()) {
      const mode = pattern.ignoreCase ? '~*' : '~';
      paths[`${mode} ^${pattern.text} (${index + 1}. of ${namespace})`] = describeRoute(route);
    }
  }
  if (routes.defaultRoute) paths['default'] = describeRoute(routes.defaultRoute);
  if (routes.passthrough) paths['(TLS)'] = `passed through to ${routes.passthrough}`;
  return paths;
}

/** A route and those that are asked after it at the same place. */
function describeChain(first: Route, linked: readonly Route[] = []): readonly Route[] {
  const next = first.next === undefined ? undefined : linked[first.next];
  return next && next.path === first.path ? [first, ...describeChain(next, linked)] : [first];
}

function* describeNodes(tree: PathTree, place = 0, before = ''): Generator<[string, Route]> {
  const node = tree[place];
  if (!node) return;
  const at = before + node.label;
  if (node.whole) yield [`= ${at}`, node.whole];
  if (node.prefix) yield [`${at}/...`, node.prefix];
  for (const child of node.children?.values() ?? []) yield* describeNodes(tree, child, at);
}

function describeRoute(route: Route): string {
  const source = route.ingress === '' ? 'the controller' : `${route.ingress} ${route.field}`;
  const kind = route.kind ? `${route.kind} ` : '';
  return `${routeName(route)}${matchText(route)} -> ${route.backend}${splitText(route)}${policyText(route)} by ${kind}${source}`;
}

/** ` if POST, x-version: 2`; empty for a route that its path alone decides about. */
function matchText({ matches }: Route): string {
  if (matches === undefined) return '';
  const { method, headers = [], query = [], isGrpc } = matches;
  const parts = [
    ...(method === undefined ? [] : [method]),
    ...(isGrpc ? ['gRPC'] : []),
    ...headers.map(({ name, value, isPattern }) => `${name}${isPattern ? ' ~' : ':'} ${value}`),
    ...query.map(({ name, value, isPattern }) => `?${name}${isPattern ? '~' : '='}${value}`),
  ];
  return ` if ${parts.join(', ')}`;
}

/** ` (90), shop/next:80 (10 or header x-canary, of shop/web-canary)`; empty for a route with one backend. */
function splitText(main: Route): string {
  const [first, ...others] = main.backends ?? [];
  if (!first) return '';
  const rest = others.map(({ key, weight, canary, route }) => {
    const conditions = canary === null ? '' : describeConditions(canary.conditions);
    const whose = canary === null ? '' : ` of ${canary.ingress}`;
    const served = canary?.route ?? route ?? main;
    const own = samePolicies(served.policies, main.policies) ? '' : policyText(served);
    return `, ${key} (${conditions}${conditions && ', then '}${weight}${whose}${own})`;
  });
  const own = first.route ? policyText(first.route) : '';
  return ` (${first.weight}${own})${rest.join('')}`;
}

/** ` [balance: ewma by client-ip]`; empty for a route without policies. */
function policyText({ policies }: Route): string {
  if (policies === null) return '';
  const closed = policies.closed.length > 0 ? [`503, closed by ${policies.closed.join(', ')}`] : [];
  return ` [${[...describePolicies(policies), ...closed].join('; ')}]`;
}

function describeBackend(backend: Backend): string {
  if (backend.unavailable) return `503 ${backend.unavailable}`;
  const places = backend.externalName
    ? [`DNS ${backend.externalName.host}:${backend.externalName.port}`]
    : backend.endpoints.map((endpoint) => describeEndpoint(endpoint) + describeExtras(endpoint));
  const spare = backend.failoverEndpoints?.map(describeEndpoint) ?? [];
  const otherwise = spare.length > 0 ? `, otherwise ${spare.join(', ')}` : '';
  const affinity = backend.affinity ? ' by client-ip' : '';
  return `${backend.protocol} ${places.join(', ')}${otherwise}${affinity}${backend.lastResort ? ' as a last resort' : ''}`;
}

function describeExtras({ zone, node, pod, terminating }: Endpoint): string {
  const extras = [pod, node, zone, terminating && 'terminating'].filter(Boolean);
  return extras.length > 0 ? ` (${extras.join(', ')})` : '';
}

function sorted<V>(pairs: Iterable<[string, V]>): [string, V][] {
  return [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));
}
