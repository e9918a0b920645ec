import type { ApiConnection } from '../../src/kubernetes/api-connection.ts';
import type { ApiRequest } from './api-server-faults.ts';
import { parsePath } from './api-server-resources.ts';
import type { Reply } from './api-server-watches.ts';

/**
 * The way to a scripted API server in the same process, without sockets. Nothing on it takes time, so a test knows
 * when all has happened that can happen before time passes, however loaded the machine is.
 */
export interface Memory {
  connect(): ApiConnection;
  /** Resolves when nothing moves any more. */
  settled(): Promise<void>;
}

/** What the scripted API server does with one request. */
export type Serve = (request: ApiRequest, reply: Reply) => Promise<void>;

/** How requests reach the scripted API server. */
export interface Transport {
  readonly url: string;
  readonly port: number;
  /** Null when requests come over sockets. */
  readonly memory: Memory | null;
  /** How many connections are open; in memory, how many requests are not over. */
  connections(): number;
  /** Stops listening and breaks every connection, as a restart does. */
  close(): Promise<void>;
  /** Listens again, on the same port. */
  open(): Promise<void>;
}

/** One request, before anything is known about what it asks. */
export interface RawRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: ApiRequest['headers'];
  readonly httpVersion: string;
  readonly connection: number;
  readonly body: string | undefined;
}

export function requestOf({ method, target, body = '', ...rest }: RawRequest): ApiRequest {
  const url = new URL(target, 'http://api');
  const path = parsePath(url.pathname);
  const watching = ['true', '1'].includes(url.searchParams.get('watch') ?? '');
  const verbs = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' } as const;
  const read = path?.name !== undefined ? 'get' : watching ? 'watch' : 'list';
  return {
    ...rest,
    method,
    path: url.pathname,
    query: url.searchParams,
    verb: path ? (verbs[method as keyof typeof verbs] ?? read) : 'other',
    resource: path?.resource.resource,
    namespace: path?.namespace,
    body,
  };
}
