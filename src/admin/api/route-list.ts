import type { RouteRow } from './answers.ts';
import { get, values } from '../../model/sharded-map.ts';
import { compareText } from '../../routing/precedence.ts';
import { type RouteSource, routeId, routeSource } from '../../routing/route-source.ts';
import type { BackendKey, HostRoutes, Route, RouteTable, StreamRoute } from '../../routing/table.ts';
import { hostsOf, routesOf } from '../../routing/table-view.ts';
import { sortedInSteps } from '../sorted-in-steps.ts';

/** A rule of a host, or a TCP or UDP port: what one line of the list is made of. */
export type ServedRoute =
  | { readonly kind: 'http'; readonly host: string; readonly listener: string; readonly route: Route }
  | { readonly kind: 'stream'; readonly host: ''; readonly listener: string; readonly stream: StreamRoute };

/** What the list depends on. */
export type RouteParts = Pick<
  RouteTable,
  'hosts' | 'wildcards' | 'globs' | 'hostRegexes' | 'hostless' | 'defaultRoute' | 'ports' | 'streams'
>;

/** Everything that a table serves, by host, path and object. */
export function* servedRoutes(table: RouteParts): Generator<void, readonly ServedRoute[]> {
  const found: ServedRoute[] = [...values(table.streams)].map((stream) => ({
    kind: 'stream',
    host: '',
    listener: stream.gateway?.address ?? '',
    stream,
  }));
  if (table.defaultRoute) found.push({ kind: 'http', host: '', listener: '', route: table.defaultRoute });
  // Hosts are fewer than routes: it takes half the time to sort them first.
  for (const routes of yield* sortedInSteps([...hostsOf(table)], byHost)) {
    const { host, gateway } = routes;
    const ofHost = [...routesOf(routes)].map((route): ServedRoute => {
      return { kind: 'http', host, listener: gateway?.listener ?? '', route };
    });
    found.push(...(ofHost.length > 1 ? yield* sortedInSteps(ofHost, byPath) : ofHost));
    yield;
  }
  return found;
}

function byHost(a: HostRoutes, b: HostRoutes): number {
  return compareText(a.host, b.host) || compareText(a.gateway?.listener ?? '', b.gateway?.listener ?? '');
}

function byPath(a: ServedRoute, b: ServedRoute): number {
  return compareText(pathOf(a), pathOf(b)) || compareText(idOf(a), idOf(b));
}

function pathOf(served: ServedRoute): string {
  return served.kind === 'http' ? served.route.path : `${served.stream.protocol}/${served.stream.port}`;
}

export function idOf(served: ServedRoute): string {
  if (served.kind === 'http') return routeId(served.route);
  const { kind, namespace, name, field } = sourceOf(served);
  return `${kind}/${namespace}/${name}/${field}`;
}

export function sourceOf(served: ServedRoute): RouteSource {
  if (served.kind === 'http') return routeSource(served.route);
  const { gateway, configMap, protocol, port } = served.stream;
  if (gateway?.route) return routeSource(gateway.route);
  const slash = configMap.indexOf('/');
  const [namespace, name] = [configMap.slice(0, Math.max(slash, 0)), configMap.slice(slash + 1)];
  return { kind: configMap === '' ? 'Gateway' : 'ConfigMap', namespace, name, field: `${protocol}/${port}` };
}

/** What takes the routes in which every word of a text occurs: in the host, the path, the object or a backend. */
export function routeFilter(text: string): (served: ServedRoute) => boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean).slice(0, MAX_WORDS);
  return (served) => {
    const object = served.kind === 'http' ? served.route.ingress : served.stream.configMap;
    return words.every(
      (word) =>
        served.host.includes(word) ||
        object.includes(word) ||
        pathOf(served).toLowerCase().includes(word) ||
        backendKeysOf(served).some((key) => key.includes(word)),
    );
  };
}

const MAX_WORDS = 8;

/** Of the object `Kind/namespace/name`, and of its field too where one is given. */
export function routesOfObject(
  all: readonly ServedRoute[],
  object: string,
  field: string,
): Generator<void, readonly ServedRoute[]> {
  return matching(all, (served) => {
    const { kind, namespace, name, field: own } = sourceOf(served);
    return `${kind}/${namespace}/${name}` === object && (field === '' || own === field);
  });
}

function* matching(
  all: readonly ServedRoute[],
  takes: (served: ServedRoute) => boolean,
): Generator<void, readonly ServedRoute[]> {
  const found: ServedRoute[] = [];
  for (const served of all) {
    if (takes(served)) found.push(served);
    yield;
  }
  return found;
}

export function backendKeysOf(served: ServedRoute): readonly BackendKey[] {
  if (served.kind === 'stream') return [served.stream.backend];
  const { backend, backends } = served.route;
  return backends ? backends.map(({ key }) => key) : [backend];
}

export function routeRow(all: RouteTable['backends'], served: ServedRoute): RouteRow {
  const { host, listener } = served;
  const row = { id: idOf(served), host, ...(listener !== '' && { listener }), source: sourceOf(served) };
  if (served.kind === 'stream') {
    const { protocol, backend } = served.stream;
    return {
      ...row,
      path: pathOf(served),
      pathType: protocol.toUpperCase(),
      backends: [shareOf(all, backend, 1)],
      policies: [],
      closed: [],
      matches: [],
    };
  }
  const { path, pathType, backend, backends, policies, matches } = served.route;
  const sum = backends?.reduce((sum, { weight }) => sum + weight, 0) ?? 0;
  const { method, headers = [], query = [] } = matches ?? {};
  return {
    ...row,
    path,
    pathType,
    backends: backends?.map(({ key, weight, canary }) =>
      shareOf(all, key, sum === 0 ? 0 : weight / sum, canary?.ingress),
    ) ?? [shareOf(all, backend, 1)],
    policies: Object.keys(policies?.configs ?? {}),
    closed: policies?.closed ?? [],
    // Their values stay here: one may be a credential.
    matches: [
      ...(method === undefined ? [] : [`method ${method}`]),
      ...headers.map(({ name }) => `header ${name}`),
      ...query.map(({ name }) => `query ${name}`),
    ],
  };
}

function shareOf(
  all: RouteTable['backends'],
  key: BackendKey,
  share: number,
  canary?: string,
): RouteRow['backends'][number] {
  const backend = get(all, key);
  const unavailable = backend ? backend.unavailable : 'service-not-found';
  const endpoints = (backend?.endpoints.length ?? 0) + (backend?.failoverEndpoints?.length ?? 0);
  return {
    key,
    share,
    ...(canary !== undefined && { canary }),
    endpoints: backend?.externalName ? 1 : endpoints,
    ...(unavailable && { unavailable }),
  };
}
