import { record } from './api-calls.ts';
import { answer, endWatch } from './api-server-answers.ts';
import { type ApiRequest, type Fault, type FaultRule, Faults } from './api-server-faults.ts';
import { apiServerCertificate, httpTransport } from './api-server-http.ts';
import { memoryTransport } from './api-server-memory.ts';
import { ObjectStore } from './api-server-objects.ts';
import {
  type ApiObject,
  GATEWAY_RESOURCES,
  type Resource,
  parseSelector,
  resourceOfObject,
} from './api-server-resources.ts';
import type { Memory, Serve } from './api-server-transport.ts';
import { type Watch, writeBookmark, writeChange, writeExpired } from './api-server-watches.ts';
import { soon } from './until.ts';

export type { ApiObject } from './api-server-resources.ts';
export type { ApiRequest, Fault, FaultRule } from './api-server-faults.ts';

export interface ApiServerOptions {
  readonly objects?: readonly ApiObject[];
  /** `http` when unset. `h2` offers HTTP/2 and HTTP/1.1 by ALPN, `https` HTTP/1.1 only; `memory` has no port. */
  readonly protocol?: 'memory' | 'http' | 'https' | 'h2';
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
  /** Null when requests come over sockets. */
  readonly memory: Memory | null;
  /** Every request so far. */
  readonly requests: readonly ApiRequest[];
  readonly store: ObjectStore;
  token: string | undefined;
  streamingList: boolean;
  /** Creates or replaces an object and tells the watches. Answers the object as stored. */
  apply(object: ApiObject): ApiObject;
  /** `delete('Ingress', 'shop/web')` */
  delete(kind: string, key: string): void;
  /** Whether `/apis` has everything in one document, as since Kubernetes 1.27. */
  aggregatedDiscovery: boolean;
  /** Applies CustomResourceDefinitions of Gateway API, for these resources only, or at these versions only. */
  install(resources?: readonly string[], versions?: readonly string[]): void;
  /** Deletes them: their objects go first, then their watches end. */
  uninstall(resources?: readonly string[]): void;
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
  /** Open connections; in memory, requests that are not over. */
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
  readonly aggregatedDiscovery: () => boolean;
  readonly serves: (resource: Resource, version: string) => boolean;
  readonly commit: (change: Parameters<typeof writeChange>[1]) => void;
  readonly changed: () => void;
}

export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  const protocol = options.protocol ?? 'http';
  const store = new ObjectStore(options.resourceVersion ?? 400, options.historyLimit ?? 1000);
  const watches = new Set<Watch>();
  const forbidden = new Set<string>();
  /** The versions at which kinds of CustomResourceDefinitions are served. */
  const installed = new Map<Resource, readonly string[]>();
  const faults = new Faults();
  const requests: ApiRequest[] = [];
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
    aggregatedDiscovery: () => api.aggregatedDiscovery,
    serves: (resource, version) => !resource.custom || (installed.get(resource) ?? []).includes(version),
    commit,
    changed,
  };

  const serve: Serve = async (seen, reply) => {
    requests.push(seen);
    record(seen);
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

  for (const object of options.objects ?? []) store.put(object);
  const transport =
    protocol === 'memory'
      ? memoryTransport(serve, changed)
      : await httpTransport(protocol, options.port ?? 0, serve, changed);
  const refuse = async (): Promise<void> => {
    await transport.close();
    watches.clear();
  };

  const api: ApiServer = {
    url: transport.url,
    port: transport.port,
    memory: transport.memory,
    requests,
    store,
    token: options.token,
    streamingList: options.streamingList ?? true,
    aggregatedDiscovery: true,
    install(resources, versions) {
      for (const row of GATEWAY_RESOURCES) {
        if (resources && !resources.includes(row.resource)) continue;
        installed.set(
          row,
          row.versions.filter((version) => versions?.includes(version) ?? true),
        );
      }
    },
    uninstall(resources) {
      for (const row of GATEWAY_RESOURCES) {
        if (resources && !resources.includes(row.resource)) continue;
        for (const { key } of store.all(row, undefined, parseSelector(new URLSearchParams())))
          commit(store.delete(row, key));
        installed.delete(row);
        api.endWatches(row.resource);
      }
    },
    apply(object) {
      const resource = resourceOfObject(object);
      if (resource.custom && !installed.has(resource)) throw new Error(`${object.kind} is not installed`);
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
    accept: () => transport.open(),
    connections: () => transport.connections(),
    async until(condition) {
      if (condition()) return;
      const met = new Promise<void>((resolve) => {
        waiting.push({ condition, resolve });
      });
      await soon(met, () => condition.toString());
    },
    kubeconfig: ({ token, tokenFile } = {}) => kubeconfigOf(transport.url, token ?? api.token, tokenFile),
    close: refuse,
  };
  return api;
}

function kubeconfigOf(server: string, token: string | undefined, tokenFile: string | undefined): string {
  const cluster = server.startsWith('https')
    ? `{ server: '${server}', certificate-authority-data: ${apiServerCertificate().toString('base64')} }`
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
