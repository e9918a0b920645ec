import type { ApiRequest, Fault } from './api-server-faults.ts';
import type { ServerState } from './api-server.ts';
import { discovery, pageNotFound } from './api-server-discovery.ts';
import {
  type ResourcePath,
  apiVersionOf,
  parsePath,
  parseSelector,
  qualifiedName,
  status,
} from './api-server-resources.ts';
import {
  type Reply,
  type Watch,
  writeBookmark,
  writeChange,
  writeEvent,
  writeExpired,
} from './api-server-watches.ts';
import { write } from './api-server-writes.ts';

/** Answers one request as a kube-apiserver would, or with the fault it was given. */
export function answer(
  server: ServerState,
  request: ApiRequest,
  reply: Reply,
  fault: Fault | undefined,
  token: string | undefined,
): void {
  if (fault?.kind === 'status') {
    const retryAfter =
      fault.retryAfterSeconds === undefined ? {} : { 'Retry-After': `${fault.retryAfterSeconds}` };
    return send(
      reply,
      fault.status,
      status(fault.status, fault.reason, fault.message ?? 'scripted'),
      retryAfter,
    );
  }
  if (fault?.kind === 'body') {
    reply.head(fault.status, { 'Content-Type': fault.contentType });
    return reply.end(fault.body);
  }
  if (token !== undefined && request.headers['authorization'] !== `Bearer ${token}`)
    return send(reply, 401, status(401, 'Unauthorized', 'Unauthorized'));

  const path = parsePath(request.path);
  if (!path) return discovery(server, request, reply);
  if (!server.serves(path.resource, path.version)) return pageNotFound(reply);
  if (server.forbidden.has(path.resource.resource)) return forbid(request, path, reply);
  switch (request.verb) {
    case 'list':
      return list(server, path, request.query, reply, fault?.kind === 'cut');
    case 'watch':
      return watch(server, path, request.query, reply, fault);
    case 'get': {
      const stored = server.store.get(path.resource, keyOf(path));
      return stored ? send(reply, 200, stored.json) : notFound(path, reply);
    }
    case 'other':
      return notFound(path, reply);
    case 'create':
    case 'update':
    case 'patch':
    case 'delete':
      return write(server, path, request, reply);
  }
}

export function send(
  reply: Reply,
  code: number,
  body: object | string,
  headers?: Record<string, string>,
): void {
  reply.head(code, headers);
  reply.end(typeof body === 'string' ? body : JSON.stringify(body));
}

export function keyOf(path: ResourcePath): string {
  return path.namespace === undefined ? `${path.name}` : `${path.namespace}/${path.name}`;
}

export function notFound(path: ResourcePath, reply: Reply): void {
  const details = { name: path.name, group: path.resource.group, kind: path.resource.resource };
  const message = `${qualifiedName(path.resource)} "${path.name}" not found`;
  send(reply, 404, status(404, 'NotFound', message, { details }));
}

function forbid(request: ApiRequest, path: ResourcePath, reply: Reply): void {
  const { group, resource } = path.resource;
  const place =
    path.namespace === undefined ? 'at the cluster scope' : `in the namespace "${path.namespace}"`;
  const message =
    `${qualifiedName(path.resource)} is forbidden: User "system:serviceaccount:portico:portico" cannot ` +
    `${request.verb} resource "${resource}" in API group "${group}" ${place}`;
  send(reply, 403, status(403, 'Forbidden', message, { details: { group, kind: resource } }));
}

function list(
  { store }: ServerState,
  path: ResourcePath,
  query: URLSearchParams,
  reply: Reply,
  cut: boolean,
): void {
  const asked = Number(query.get('resourceVersion') ?? 0);
  if (asked > store.resourceVersion) {
    const message = `Timeout: Too large resource version: ${asked}, current: ${store.resourceVersion}`;
    const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
    const body = status(504, 'Timeout', message, { details: { causes, retryAfterSeconds: 1 } });
    return send(reply, 504, body, { 'Retry-After': '1' });
  }
  const page = store.page(path.resource, path.namespace, query);
  if ('invalid' in page)
    return send(reply, 400, status(400, 'BadRequest', `invalid continue token: ${page.invalid}`));
  if ('expired' in page) {
    const message = 'The provided continue parameter is too old to display a consistent list result.';
    const metadata = { continue: page.expired };
    return send(reply, 410, { ...status(410, 'Expired', message), metadata });
  }
  const metadata = {
    resourceVersion: `${page.resourceVersion}`,
    continue: page.continue,
    remainingItemCount: page.remaining,
  };
  const { kind } = path.resource;
  const head = JSON.stringify({ kind: `${kind}List`, apiVersion: apiVersionOf(path.resource), metadata });
  const body = `${head.slice(0, -1)},"items":[${page.items.map((item) => item.itemJson).join(',')}]}`;
  if (!cut) return send(reply, 200, body);
  reply.head(200);
  reply.write(body.slice(0, body.length >> 1));
  setImmediate(() => reply.reset());
}

function watch(
  server: ServerState,
  path: ResourcePath,
  query: URLSearchParams,
  reply: Reply,
  fault: Fault | undefined,
): void {
  const { store } = server;
  const streaming = query.get('sendInitialEvents') === 'true';
  if (streaming && !server.streamingList()) {
    const message =
      'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: ' +
      'sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled';
    return send(reply, 422, status(422, 'Invalid', message));
  }
  const asked = query.get('resourceVersion') ?? '';
  if (!/^\d*$/.test(asked)) {
    const message = `resourceVersion: Invalid value: "${asked}": strconv.ParseUint: parsing "${asked}": invalid syntax`;
    return send(reply, 500, status(500, undefined, message));
  }
  reply.head(200);
  const watch: Watch = {
    resource: path.resource,
    namespace: path.namespace,
    selector: parseSelector(query),
    bookmarks: query.get('allowWatchBookmarks') === 'true',
    reply,
    mode: fault?.kind === 'silent' || fault?.kind === 'cut' ? fault.kind : 'normal',
  };
  if (fault?.kind === 'text') reply.write(fault.text);
  if (fault?.kind === 'expired') return writeExpired(watch, Number(asked), store.resourceVersion);
  if (!streaming && Number(asked) > 0) {
    if (Number(asked) < store.oldest) return writeExpired(watch, Number(asked), store.resourceVersion);
    for (const change of store.history)
      if (change.resourceVersion > Number(asked)) writeChange(watch, change);
  } else {
    for (const { json } of store.all(path.resource, path.namespace, watch.selector))
      writeEvent(watch, 'ADDED', json);
    if (streaming) writeBookmark(watch, store.resourceVersion, true);
  }
  server.watches.add(watch);
  const timeoutSeconds = Number(query.get('timeoutSeconds') ?? 0);
  const timeout =
    timeoutSeconds > 0 ? setTimeout(() => endWatch(server, watch), timeoutSeconds * 1000) : undefined;
  timeout?.unref();
  reply.onClose(() => {
    clearTimeout(timeout);
    server.watches.delete(watch);
    server.changed();
  });
}

/** A clean end; nothing may be written after it. */
export function endWatch(server: ServerState, watch: Watch): void {
  server.watches.delete(watch);
  watch.reply.end();
}
