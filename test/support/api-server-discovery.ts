import { createHash } from 'node:crypto';
import type { ApiRequest } from './api-server-faults.ts';
import { GATEWAY_RESOURCES, RESOURCES, type Resource } from './api-server-resources.ts';
import type { ServerState } from './api-server.ts';
import type { Reply } from './api-server-watches.ts';

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
const VERBS = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];

interface ServedVersion {
  readonly version: string;
  readonly resources: readonly Resource[];
}

/** What clients ask before they ask anything else. */
export function discovery(server: ServerState, request: ApiRequest, reply: Reply): void {
  const groups = servedGroups(server);
  const [, root, name = '', version] = request.path.split('/');
  if (request.path === '/version') return send(reply, { major: '1', minor: '35', gitVersion: 'v1.35.0' });
  if (['/readyz', '/livez', '/healthz'].includes(request.path)) {
    reply.head(200, { 'Content-Type': 'text/plain; charset=utf-8' });
    return reply.end('ok');
  }
  if (request.path === '/api') return send(reply, { kind: 'APIVersions', versions: ['v1'] });
  if (request.path === '/apis') {
    if (server.aggregatedDiscovery() && `${request.headers['accept']}`.includes('v=v2;'))
      return aggregated(groups, request, reply);
    const named = [...groups].map(([each, versions]) => groupOf(each, versions));
    return send(reply, { kind: 'APIGroupList', apiVersion: 'v1', groups: named });
  }
  const versions = groups.get(name);
  if (root === 'apis' && versions && !version)
    return send(reply, { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(name, versions) });
  const core = { version: 'v1', resources: RESOURCES.filter(({ group }) => group === '') };
  const wanted = root === 'api' && name === 'v1' ? core : versions?.find((each) => each.version === version);
  if (!wanted) return pageNotFound(reply);
  const resources = wanted.resources.map((row) => ({
    name: row.resource,
    singularName: row.kind.toLowerCase(),
    shortNames: { services: ['svc'], ingresses: ['ing'] }[row.resource],
    namespaced: row.namespaced,
    kind: row.kind,
    verbs: VERBS,
  }));
  const groupVersion = wanted === core ? 'v1' : `${name}/${wanted.version}`;
  send(reply, { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources });
}

export function pageNotFound(reply: Reply): void {
  reply.head(404, { 'Content-Type': 'text/plain; charset=utf-8' });
  reply.end('404 page not found\n');
}

function servedGroups(server: ServerState): ReadonlyMap<string, readonly ServedVersion[]> {
  const groups = new Map<string, ServedVersion[]>();
  for (const row of [...RESOURCES, ...GATEWAY_RESOURCES]) {
    for (const version of row.versions) {
      if (row.group === '' || !server.serves(row, version)) continue;
      const versions = groups.get(row.group) ?? [];
      groups.set(row.group, versions);
      const resources = versions.find((each) => each.version === version)?.resources ?? [];
      const others = versions.filter((each) => each.version !== version);
      versions.splice(0, versions.length, ...others, { version, resources: [...resources, row] });
    }
  }
  return groups;
}

function groupOf(name: string, versions: readonly ServedVersion[]): object {
  const named = versions.map(({ version }) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: named, preferredVersion: named[0] };
}

/** Everything in one document, with an ETag. */
function aggregated(
  groups: ReadonlyMap<string, readonly ServedVersion[]>,
  request: ApiRequest,
  reply: Reply,
): void {
  const items = [...groups].map(([group, versions]) => ({
    metadata: { name: group, creationTimestamp: null },
    versions: versions.map(({ version, resources }) => ({
      version,
      resources: resources.map((row) => ({
        resource: row.resource,
        responseKind: { group, version, kind: row.kind },
        scope: row.namespaced ? 'Namespaced' : 'Cluster',
        singularResource: row.kind.toLowerCase(),
        verbs: VERBS,
      })),
      freshness: 'Current',
    })),
  }));
  const body = { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items };
  const text = JSON.stringify(body);
  const etag = `"${createHash('sha512').update(text).digest('hex').toUpperCase()}"`;
  if (request.headers['if-none-match'] === etag) {
    reply.head(304, { ETag: etag });
    return reply.end();
  }
  reply.head(200, { 'Content-Type': AGGREGATED, ETag: etag, Vary: 'Accept' });
  reply.end(text);
}

function send(reply: Reply, body: object): void {
  reply.head(200);
  reply.end(JSON.stringify(body));
}
