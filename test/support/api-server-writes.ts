import { parse } from 'yaml';
import { isIP } from 'node:net';
import { keyOf, notFound, send } from './api-server-answers.ts';
import type { ApiRequest } from './api-server-faults.ts';
import type { ServerState } from './api-server.ts';
import {
  type ApiObject,
  type ResourcePath,
  apiVersionOf,
  qualifiedName,
  status,
} from './api-server-resources.ts';
import type { Reply } from './api-server-watches.ts';

/** POST, PUT, PATCH and DELETE, with the conflicts and rejections that were recorded. */
export function write(server: ServerState, path: ResourcePath, request: ApiRequest, reply: Reply): void {
  const { resource } = path;
  const details = { name: path.name, group: resource.group, kind: resource.resource };
  if (request.verb === 'delete') {
    if (!server.store.get(resource, keyOf(path))) return notFound(path, reply);
    server.commit(server.store.delete(resource, keyOf(path)));
    return send(reply, 200, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details });
  }

  const body = bodyOf(request);
  if (request.verb === 'create') {
    const suffix = server.store.resourceVersion.toString(36).padStart(5, 'x');
    const name = body.metadata.name ?? `${body.metadata.generateName}${suffix}`;
    const metadata = { ...body.metadata, name, ...(path.namespace ? { namespace: path.namespace } : {}) };
    if (server.store.get(resource, keyOf({ ...path, name }))) {
      const message = `${qualifiedName(resource)} "${name}" already exists`;
      return send(reply, 409, status(409, 'AlreadyExists', message, { details: { ...details, name } }));
    }
    const change = server.store.put({
      ...body,
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      metadata,
    });
    send(reply, 201, change.last.json);
    return server.commit(change);
  }

  const before = server.store.get(resource, keyOf(path))?.object;
  if (!before) return notFound(path, reply);
  const asked = body.metadata?.resourceVersion;
  if (asked !== undefined && asked !== before.metadata.resourceVersion) {
    const message =
      `Operation cannot be fulfilled on ${qualifiedName(resource)} "${path.name}": the object has been ` +
      'modified; please apply your changes to the latest version and try again';
    return send(reply, 409, status(409, 'Conflict', message, { details }));
  }
  const invalid = invalidAddress(body);
  if (invalid) {
    const message =
      `${resource.kind}.${resource.group} "${path.name}" is invalid: ${invalid.field}: Invalid value: ` +
      `"${invalid.value}": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`;
    return send(
      reply,
      422,
      status(422, 'Invalid', message, { details: { ...details, kind: resource.kind } }),
    );
  }
  const wanted = path.subresource === 'status' ? { status: body['status'] } : body;
  const merged = request.verb === 'update' && path.subresource === undefined ? body : merge(before, wanted);
  const after = { ...(merged as ApiObject), metadata: { ...(merged as ApiObject).metadata } };
  after.metadata = { ...after.metadata, name: `${path.name}` };
  if (path.namespace) after.metadata.namespace = path.namespace;
  const manager = request.query.get('fieldManager');
  if (manager !== null && path.subresource === 'status')
    after.metadata['managedFields'] = [statusEntry(manager, apiVersionOf(resource))];
  const change = server.store.put({ ...after, apiVersion: apiVersionOf(resource), kind: resource.kind });
  send(reply, 200, change.last.json);
  server.commit(change);
}

/** The object of a request. Server-side apply sends YAML, which takes twenty times as long to read as JSON. */
function bodyOf({ headers, body }: ApiRequest): ApiObject {
  const isYaml = headers['content-type']?.includes('yaml') ?? false;
  return (isYaml ? parse(body) : JSON.parse(body)) as ApiObject;
}

/** What the server remembers of who wrote a status; the entries of other fields matter to nobody here. */
function statusEntry(manager: string, apiVersion: string): object {
  const fieldsV1 = { 'f:status': { 'f:loadBalancer': { 'f:ingress': {} } } };
  return {
    manager,
    operation: 'Update',
    apiVersion,
    fieldsType: 'FieldsV1',
    fieldsV1,
    subresource: 'status',
  };
}

/** RFC 7396 JSON merge patch. */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const merged: Record<string, unknown> = { ...(typeof target === 'object' ? target : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = merge(merged[key], value);
  }
  return merged;
}

function invalidAddress(body: ApiObject): { field: string; value: string } | undefined {
  const { loadBalancer } = (body['status'] ?? {}) as { loadBalancer?: { ingress?: { ip?: string }[] } };
  for (const [index, { ip }] of (loadBalancer?.ingress ?? []).entries())
    if (ip !== undefined && isIP(ip) === 0)
      return { field: `status.loadBalancer.ingress[${index}].ip`, value: ip };
  return undefined;
}
