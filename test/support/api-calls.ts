import { appendFileSync } from 'node:fs';
import type { ApiRequest } from './api-server-faults.ts';
import { parsePath } from './api-server-resources.ts';

/** One thing that was asked of an API server, as RBAC sees it. */
export interface ApiCall {
  readonly verb: string;
  readonly group: string;
  /** With its subresource: `ingresses/status`. */
  readonly resource: string;
  /** Null for all of them, and for what has none. */
  readonly namespace: string | null;
  /** Null for a collection. */
  readonly name: string | null;
}

/** Null for what is no resource, such as /version. */
export function apiCallOf({ verb, path }: Pick<ApiRequest, 'verb' | 'path'>): ApiCall | null {
  const parsed = parsePath(path);
  if (!parsed) return null;
  const { resource, subresource, namespace = null, name = null } = parsed;
  const full = subresource === undefined ? resource.resource : `${resource.resource}/${subresource}`;
  return { verb, group: resource.group, resource: full, namespace, name };
}

/** Whether it asks what is served, as every authenticated client may (system:discovery). */
export function isDiscovery({ verb, path }: Pick<ApiRequest, 'verb' | 'path'>): boolean {
  return verb === 'other' && /^\/apis(?:\/[^/]+){0,2}$/.test(path);
}

/** Every scripted API server appends what Portico asks of it to this file: one JSON array each, and each once. */
export const RECORD_VARIABLE = 'PORTICO_TEST_API_CALLS';

const recorded = new Set<string>();

/** Tests ask questions of their own: only what Portico's connection sends counts. */
export function record(request: ApiRequest): void {
  const file = process.env[RECORD_VARIABLE];
  if (!file || request.headers['user-agent'] !== 'portico') return;
  // Every authenticated client may ask for the version (system:public-info-viewer).
  if (request.path === '/version') return;
  const call = apiCallOf(request);
  if (!call && isDiscovery(request)) return;
  // Names of objects are many and no right of ours depends on them; whether there is a namespace matters, not which.
  const line = call
    ? `${call.verb} ${call.group}/${call.resource} ${call.namespace === null ? 'cluster' : 'namespace'}`
    : `${request.method} ${request.path} none`;
  if (recorded.has(line)) return;
  recorded.add(line);
  appendFileSync(file, `${line}\n`);
}
