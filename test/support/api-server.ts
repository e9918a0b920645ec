import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { record } from './api-calls.ts';
import { answer, endWatch } from './api-server-answers.ts';
import { type ApiRequest, type Fault, type FaultRule, Faults } from './api-server-faults.ts';
import { ObjectStore } from './api-server-objects.ts';
import { type ApiObject, parsePath, resourceOfObject } from './api-server-resources.ts';
import { type Reply, type Watch, writeBookmark, writeChange, writeExpired } from './api-server-watches.ts';

export type { ApiObject } from './api-server-resources.ts';
export type { ApiRequest, Fault, FaultRule } from './api-server-faults.ts';

const certificate = new URL('certificates/api-server.crt', import.meta.url);
const certificateKey = new URL('certificates/api-server.key', import.meta.url);

export interface ApiServerOptions {
  readonly objects?: readonly ApiObject[];
  /** `http` when unset. `h2` offers HTTP/2 and HTTP/1.1 by ALPN, `https` HTTP/1.1 only. */
  readonly protocol?: 'http' | 'https' | 'h2';
  /** Requests must carry this bearer token; none is needed when unset. */
  readonly token?: string;
  /** Whether `sendInitialEvents` is served (true) or rejected as older servers do. */
  readonly streamingList?: boolean;
  /** How many changes a watch may at least look back. */
  readonly historyLimit?: number;
  readonly resourceVersion?: number;
  readonly port?: number;
}

/** A scripted API server that answers as the recordings in kubernetes-api.json show. */
export interface ApiServer {
  readonly url: string;
  readonly port: number;
  /** Every request so far. */
  readonly requests: readonly ApiRequest[];
  readonly store: ObjectStore;
  token: string | undefined;
  streamingList: boolean;
  /** Creates or replaces an object and tells the watches. Answers the object as stored. */
  apply(object: ApiObject): ApiObject;
  /** `delete('Ingress', 'shop/web')` */
  delete(kind: string, key: string): void;
  /** Answers 403 for this resource (`secrets`), or serves it again. */
  forbid(resource: string): void;
  allow(resource: string): void;
  /** Requests that match get the fault. Call what it returns to take the rule back. */
  fail(rule: FaultRule, fault: Fault): () => void;
  /** How many watches are open. */
  watches(resource?: string): number;
  /** Sends a bookmark on every watch that asked for them. */
  bookmark(): void;
  /** Ends the watches (of one resource) cleanly, as their timeoutSeconds would. */
  endWatches(resource?: string): void;
  /** Tells every open watch (of one resource) that its history is gone: 410 as an event. */
  expireWatches(resource?: string): void;
  /** Forgets the history, so that resuming from before now answers 410. */
  compact(): void;
  /** Closes the port and every connection, as a restart does; `accept` opens the same port again. */
  refuse(): Promise<void>;
  accept(): Promise<void>;
  /** Open connections. */
  connections(): number;
  /** Resolves when the condition holds; looked at after every request, answer and change. */
  until(condition: () => boolean): Promise<void>;
  /** A kubeconfig, as YAML text. */
  kubeconfig(options?: { token?: string; tokenFile?: string }): string;
  close(): Promise<void>;
}

/** What the answers need to know of the server. */
export interface ServerState {
  readonly store: ObjectStore;
  readonly watches: Set<Watch>;
  readonly forbidden: Set<string>;
  readonly streamingList: () => boolean;
  readonly commit: (change: Parameters<typeof writeChange>[1]) => void;
  readonly changed: () => void;
}

export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  const protocol = options.protocol ?? 'http';
  const store = new ObjectStore(options.resourceVersion ?? 400, options.historyLimit ?? 1000);
  const watches = new Set<Watch>();
  const forbidden = new Set<string>();
  const faults = new Faults();
  const requests: ApiRequest[] = [];
  const sockets = new Set<Socket>();
  const numbers = new WeakMap<object, number>();
  let accepted = 0;
  let waiting: { condition: () => boolean; resolve: () => void }[] = [];

  const changed = (): void => {
    const met = waiting.filter(({ condition }) => condition());
    waiting = waiting.filter((entry) => !met.includes(entry));
    for (const { resolve } of met) resolve();
  };
  const commit: ServerState['commit'] = (change) => {
    for (const watch of watches) writeChange(watch, change);
    changed();
  };
  const state: ServerState = {
    store,
    watches,
    forbidden,
    streamingList: () => api.streamingList,
    commit,
    changed,
  };

  const serve = async (
    request: http.IncomingMessage | http2.Http2ServerRequest,
    response: http.ServerResponse | http2.Http2ServerResponse,
  ): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const seen = readRequest(
      request,
      numbers.get(connectionOf(request)) ?? 0,
      Buffer.concat(chunks).toString(),
    );
    requests.push(seen);
    record(seen);
    const reply = replyOf(response);
    const fault = faults.take(seen);
    changed();
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'reset') return reply.reset();
    if (fault?.kind === 'delay')
      await new Promise((resolve) => {
        setTimeout(resolve, fault.delayMs);
      });
    answer(state, seen, reply, fault, api.token);
    changed();
  };

  const onRequest = (...[request, response]: Parameters<typeof serve>): void => {
    serve(request, response).catch(() => replyOf(response).reset());
  };
  const build = async (): Promise<http.Server | http2.Http2SecureServer> => {
    if (protocol === 'http') return http.createServer(onRequest);
    if (protocol === 'h2')
      return http2.createSecureServer({ ...certificates(), allowHTTP1: true }, onRequest);
    const { createServer } = await import('node:https');
    return createServer(certificates(), onRequest);
  };

  let server: http.Server | http2.Http2SecureServer | undefined;
  const listen = async (port: number): Promise<number> => {
    server = await build();
    server.on('connection', (socket: Socket) => {
      numbers.set(socket, ++accepted);
      sockets.add(socket);
      socket.on('close', () => {
        sockets.delete(socket);
        changed();
      });
    });
    // Requests name the decrypted socket or the HTTP/2 session: these get the number of the newest connection.
    server.on('secureConnection', (socket: Socket) => numbers.set(socket, accepted));
    server.on('session', (session: http2.ServerHttp2Session) => numbers.set(session, accepted));
    server.on('sessionError', () => {});
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const refuse = async (): Promise<void> => {
    if (!server) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
    watches.clear();
    server = undefined;
  };

  for (const object of options.objects ?? []) store.put(object);
  const port = await listen(options.port ?? 0);
  const url = `${protocol === 'http' ? 'http' : 'https'}://127.0.0.1:${port}`;

  const api: ApiServer = {
    url,
    port,
    requests,
    store,
    token: options.token,
    streamingList: options.streamingList ?? true,
    apply(object) {
      const change = store.put(object);
      commit(change);
      return change.last.object;
    },
    delete: (kind, key) => commit(store.delete(resourceOfObject({ kind }), key)),
    forbid: (resource) => forbidden.add(resource),
    allow: (resource) => forbidden.delete(resource),
    fail: (rule, fault) => faults.add(rule, fault),
    watches: (resource) =>
      [...watches].filter((watch) => (resource ?? watch.resource.resource) === watch.resource.resource)
        .length,
    bookmark() {
      for (const watch of watches) if (watch.bookmarks) writeBookmark(watch, store.resourceVersion);
    },
    endWatches(resource) {
      for (const watch of watches)
        if ((resource ?? watch.resource.resource) === watch.resource.resource) endWatch(state, watch);
    },
    expireWatches(resource) {
      for (const watch of watches) {
        if ((resource ?? watch.resource.resource) !== watch.resource.resource) continue;
        writeExpired(watch, store.oldest, store.resourceVersion);
        watches.delete(watch);
      }
    },
    compact: () => store.compact(),
    refuse,
    async accept() {
      await listen(port);
    },
    connections: () => sockets.size,
    async until(condition) {
      if (condition()) return;
      await new Promise<void>((resolve) => {
        waiting.push({ condition, resolve });
      });
    },
    kubeconfig: ({ token, tokenFile } = {}) => kubeconfigOf(url, token ?? api.token, tokenFile),
    close: refuse,
  };
  return api;
}

function connectionOf(request: http.IncomingMessage | http2.Http2ServerRequest): object {
  return 'stream' in request ? (request.stream.session ?? request.stream) : request.socket;
}

function certificates(): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(certificate), key: readFileSync(certificateKey) };
}

function readRequest(
  request: http.IncomingMessage | http2.Http2ServerRequest,
  connection: number,
  body: string,
): ApiRequest {
  const url = new URL(request.url ?? '/', 'http://api');
  const path = parsePath(url.pathname);
  const method = request.method ?? 'GET';
  const watching = ['true', '1'].includes(url.searchParams.get('watch') ?? '');
  const verbs = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' } as const;
  const read = path?.name !== undefined ? 'get' : watching ? 'watch' : 'list';
  return {
    method,
    path: url.pathname,
    query: url.searchParams,
    verb: path ? (verbs[method as keyof typeof verbs] ?? read) : 'other',
    resource: path?.resource.resource,
    namespace: path?.namespace,
    headers: request.headers,
    httpVersion: request.httpVersion,
    connection,
    body,
  };
}

function replyOf(response: http.ServerResponse | http2.Http2ServerResponse): Reply {
  // The two response types take the same calls; TypeScript cannot call overloads of a union.
  const plain = response as http.ServerResponse;
  const headers = { 'Cache-Control': 'no-cache, private', 'Content-Type': 'application/json' };
  return {
    head(status, more) {
      plain.writeHead(status, { ...headers, ...more });
      plain.flushHeaders();
    },
    write: (text) => void plain.write(text),
    end: (text) => void plain.end(text),
    reset() {
      if ('stream' in response) response.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
      else response.socket?.resetAndDestroy();
    },
    onClose: (callback) => void plain.on('close', callback),
  };
}

function kubeconfigOf(server: string, token: string | undefined, tokenFile: string | undefined): string {
  const cluster = server.startsWith('https')
    ? `{ server: '${server}', certificate-authority-data: ${readFileSync(certificate).toString('base64')} }`
    : `{ server: '${server}' }`;
  const user = tokenFile ? `{ tokenFile: '${tokenFile}' }` : token ? `{ token: '${token}' }` : '{}';
  return `apiVersion: v1
kind: Config
current-context: scripted
clusters: [{ name: scripted, cluster: ${cluster} }]
users: [{ name: scripted, user: ${user} }]
contexts: [{ name: scripted, context: { cluster: scripted, user: scripted } }]
`;
}
