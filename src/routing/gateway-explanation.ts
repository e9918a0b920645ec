import { get, entries } from '../model/sharded-map.ts';
import { gatewayRoutes } from './gateway-routes.ts';
import type { ArrivalPort } from './gateway-routes.ts';
import { findRoute } from './find-route.ts';
import { findPath } from './path-tree.ts';
import { TOO_COSTLY } from '../http/regex/first-match.ts';
import type { CompileSettings } from './settings.ts';
import {
  type GatewayPort,
  type HostRoutes,
  INVALID_REFERENCE,
  type Route,
  type RouteTable,
  portKey,
} from './table.ts';

/**
 * Where a request for a URL arrives: the port in it, or the usual one of its scheme. Of several Gateways that have the port,
 * each at an address of its own, the first one with the host.
 */
export function arrivalOf(
  table: RouteTable,
  { ingressPorts }: Pick<CompileSettings, 'ingressPorts'>,
  scheme: 'http' | 'https',
  hostField: string,
  host: string,
): ArrivalPort {
  if (table.ports.size === 0) return {};
  const port = Number(/:(\d+)$/.exec(hostField)?.[1] ?? (scheme === 'https' ? 443 : 80));
  const isOwn = port === (scheme === 'https' ? ingressPorts?.https : ingressPorts?.http);
  const open = [...entries(table.ports)]
    .filter(([, each]) => (each.clientPort ?? each.port) === port && each.isTls === (scheme === 'https'))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const shared = open.find(([key]) => key === portKey('', port));
  const [key] = shared ?? open.find(([, each]) => gatewayRoutes(each, host) !== null) ?? open[0] ?? [];
  if (key === undefined) return {};
  return { portKey: key, ...(!(isOwn && key === portKey('', port)) && { gatewayOnly: true as const }) };
}

/** Ports that one sentence names. */
const MAX_PORTS = 3;

/** On which other ports Gateways have a host that nobody has where the request arrives; empty where none do. */
export function otherPortSteps(
  table: RouteTable,
  { portKey: key }: ArrivalPort,
  host: string,
): readonly string[] {
  const others = [...entries(table.ports)]
    .filter(([each, port]) => each !== key && host !== '' && gatewayRoutes(port, host) !== null)
    .map(([, { port, isTls }]) => `${isTls ? 'https' : 'http'}://${host}:${port}/`);
  const urls = [...new Set(others)].sort();
  if (urls.length === 0) return [];
  const more = urls.length > MAX_PORTS ? ` and ${urls.length - MAX_PORTS} more` : '';
  const advice = urls.length === 1 ? 'explain that URL' : 'explain one of these URLs';
  return [`A Gateway has this host at ${urls.slice(0, MAX_PORTS).join(', ')}${more}: ${advice}.`];
}

/** How the outcome of a request on the port of a Gateway came about, one sentence a step. */
export function gatewaySteps(
  table: RouteTable,
  { portKey: key = '' }: ArrivalPort,
  routes: HostRoutes,
  host: string,
  path: string,
  taken: Route | null,
): readonly string[] {
  const port = get(table.ports, key);
  return [...listenerSteps(port, routes, host), ...routeSteps(routes, path, taken), ...splitSteps(taken)];
}

function listenerSteps(port: GatewayPort | undefined, routes: HostRoutes, host: string): readonly string[] {
  const listener = routes.gateway?.listener ?? '';
  const at = listener.lastIndexOf('/');
  const named = `Listener "${listener.slice(at + 1)}" of ${listener.slice(0, at)}`;
  const where = port
    ? ` on port ${port.clientPort ?? port.port}${port.address === '' ? '' : ` of ${port.address}`}`
    : '';
  const by = routes.host === '' ? 'all hosts' : `"${routes.host}"`;
  return [
    `${named} has "${host}"${where}: no listener has a more specific hostname, and its routes for ${by} are asked.`,
  ];
}

function routeSteps(routes: HostRoutes, path: string, taken: Route | null): readonly string[] {
  const found = findRoute(routes, path);
  if (found === TOO_COSTLY)
    return [`The regular expressions of this host would take too long for "${path}".`];
  const passed: string[] = [];
  let each = found;
  while (each !== null && each !== taken) {
    passed.push(
      `${describe(each)} has a path for "${path}", and its other conditions do not take the request.`,
    );
    const next: Route | undefined = each.next === undefined ? undefined : routes.linked?.[each.next];
    // What a regular expression comes before is looked for again.
    each = next ?? (each.pattern === undefined ? null : findPath(routes.paths, path));
  }
  if (taken === null) return [...passed, `No route takes "${path}", so the answer is 404.`];
  return [...passed, `The first route that takes "${path}" is ${describe(taken)}.`];
}

function describe({ kind = 'HTTPRoute', ingress, field, path, pathType }: Route): string {
  return `${pathType} "${path}" (${kind} ${ingress}, ${field})`;
}

function splitSteps(route: Route | null): readonly string[] {
  const { backends = [] } = route ?? {};
  const sum = backends.reduce((total, { weight }) => total + weight, 0);
  return backends.map(({ key, weight }) => {
    const to = key === INVALID_REFERENCE ? 'get 500, since their backend cannot be used' : `go to ${key}`;
    return `${weight} of ${sum} requests ${to}.`;
  });
}
