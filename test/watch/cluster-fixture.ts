import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { get, values } from '../../src/model/sharded-map.ts';
import { type ApiConnection, connectApi } from '../../src/kubernetes/api-connection.ts';
import { type ClusterSourceOptions, startClusterSource } from '../../src/watch/cluster.ts';
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts';
import type { Source, SourceEvent, WatchState } from '../../src/watch/source.ts';
import {
  type ApiObject,
  type ApiServer,
  type Fault,
  type ApiServerOptions,
  startApiServer,
} from '../support/api-server.ts';
import { FakeClock } from './fake-clock.ts';

export interface WatchedCluster extends AsyncDisposable {
  readonly api: ApiServer;
  readonly connection: ApiConnection;
  readonly source: Source;
  readonly clock: FakeClock;
  readonly dirty: SourceEvent[];
  readonly logs: { level: string; fields: Readonly<Record<string, unknown>>; message: string }[];
  /** `namespace/name@resourceVersion` of the Ingresses in the snapshot, sorted. */
  ingresses(): string[];
  state(kind: WatchState['kind']): WatchState;
}

export interface ClusterFixture extends ApiServerOptions {
  readonly source?: Partial<ClusterSourceOptions>;
  readonly onDirty?: (what: SourceEvent) => void;
  /** Called before the source starts, with the server that it will find. */
  readonly before?: (api: ApiServer) => void | Promise<void>;
}

/** A cluster source on a scripted API server, with time in the hands of the test. */
export async function watchCluster(fixture: ClusterFixture = {}): Promise<WatchedCluster> {
  const api = await startApiServer(fixture);
  await fixture.before?.(api);
  const clock = new FakeClock();
  const connection = await connect(api, clock);
  const dirty: SourceEvent[] = [];
  const logs: WatchedCluster['logs'] = [];
  const source = startClusterSource(
    {
      api: connection,
      watchNamespaces: () => true,
      clock,
      random: () => 0.5,
      log: (level, fields, message) => logs.push({ level, fields, message }),
      ...fixture.source,
    },
    (what) => {
      dirty.push(what);
      fixture.onDirty?.(what);
    },
  );
  return {
    api,
    connection,
    source,
    clock,
    dirty,
    logs,
    ingresses: () =>
      [...values(source.snapshot().ingresses)]
        .map(({ metadata }) => `${metadata?.namespace}/${metadata?.name}@${metadata?.resourceVersion}`)
        .sort(),
    state(kind) {
      const state = source.states().find((state) => state.kind === kind);
      if (!state) throw new Error(`no state of ${kind}`);
      return state;
    },
    async [Symbol.asyncDispose]() {
      await source.stop();
      connection.close();
      await api.close();
    },
  };
}

/** A connection as the daemon makes it: through a kubeconfig in a file. */
export async function connect(
  api: ApiServer,
  clock: FakeClock,
  kubeconfig = api.kubeconfig(),
): Promise<ApiConnection> {
  const directory = await mkdtemp(join(tmpdir(), 'portico-watch-'));
  try {
    const file = join(directory, 'config');
    await writeFile(file, kubeconfig);
    const loaded = await loadKubeconfig({ kubeconfig: file, env: {} });
    if (loaded.kind === 'failed') throw new Error(loaded.message);
    return connectApi(loaded.connection, clock);
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Waits for something that will happen; what it waits for is said when it does not. */
export async function until(condition: () => boolean, what = condition.toString()): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`never happened: ${what}`);
    await pause(2);
  }
}

/** The condition, with every back-off on the way to it cut short. */
export function pass({ clock }: { readonly clock: FakeClock }, condition: () => boolean): () => boolean {
  const passing = (): boolean => {
    const [next = Infinity] = clock.pending();
    // Longer waits are patience with a silent server, not back-off.
    if (next <= 20_000) clock.advance(next);
    return condition();
  };
  passing.toString = () => condition.toString();
  return passing;
}

export function ingress(key: string, host = 'example.com'): ApiObject {
  const [namespace = '', name = ''] = key.split('/');
  const backend = { service: { name: 'web', port: { number: 80 } } };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { namespace, name },
    spec: { rules: [{ host, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }] },
  };
}

export function endpointSlice(key: string, service: string, ...addresses: string[]): ApiObject {
  const [namespace = '', name = ''] = key.split('/');
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace, name, labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  };
}

export function service(key: string): ApiObject {
  const [namespace = '', name = ''] = key.split('/');
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name },
    spec: { ports: [{ port: 80 }] },
  };
}

export function secret(key: string, data: Record<string, string>, type = 'kubernetes.io/tls'): ApiObject {
  const [namespace = '', name = ''] = key.split('/');
  return { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name }, type, data };
}

export { get, values };

/** A synced cluster with one Ingress, `shop/web@401`, and all five watches open. */
export async function synced(fixture: Parameters<typeof watchCluster>[0] = {}): Promise<WatchedCluster> {
  const cluster = await watchCluster({ objects: [ingress('shop/web')], ...fixture });
  await cluster.source.synced;
  await cluster.api.until(() => cluster.api.watches() === 5);
  return cluster;
}

export function requestsOf({ api }: WatchedCluster, verb: 'list' | 'watch') {
  return api.requests.filter((request) => request.verb === verb && request.resource === 'ingresses');
}

/** Ends the watches, so that the next Ingress watch meets the fault. */
export async function meet(cluster: WatchedCluster, fault: Fault): Promise<void> {
  const before = requestsOf(cluster, 'watch').length;
  cluster.api.fail({ resource: 'ingresses', verb: 'watch' }, fault);
  cluster.api.endWatches();
  await until(pass(cluster, () => requestsOf(cluster, 'watch').length > before));
}
