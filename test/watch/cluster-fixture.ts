import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { get, values } from '../../src/model/sharded-map.ts';
import { type ApiConnection, connectApi } from '../../src/kubernetes/api-connection.ts';
import { type Clock, systemClock } from '../../src/kubernetes/clock.ts';
import { type ClusterSourceOptions, ClusterSource } from '../../src/watch/cluster.ts';
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts';
import type { Source, SourceEvent, WatchState } from '../../src/watch/source.ts';
import {
  type ApiObject,
  type ApiServer,
  type Fault,
  type ApiServerOptions,
  startApiServer,
} from '../support/api-server.ts';
import { soon } from '../support/until.ts';
import { FakeClock } from './fake-clock.ts';

/** A cluster source on a scripted API server. */
export interface ClusterOverSockets extends AsyncDisposable {
  readonly api: ApiServer;
  readonly source: Source;
  readonly dirty: SourceEvent[];
  readonly logs: { level: string; fields: Readonly<Record<string, unknown>>; message: string }[];
  /** `namespace/name@resourceVersion` of the Ingresses in the snapshot, sorted. */
  ingresses(): string[];
  state(kind: WatchState['kind']): WatchState;
}

/** The same in memory, with time in the hands of the test. */
export interface WatchedCluster extends ClusterOverSockets {
  readonly connection: ApiConnection;
  readonly clock: FakeClock;
  /** Waits until nothing moves any more without time passing; fails unless the condition holds then. */
  until(condition: () => boolean): Promise<void>;
  /** Cuts every back-off short that is on the way to the condition, never while anything else moves. */
  pass(condition: () => boolean): Promise<void>;
  /** Lets time pass once nothing moves, and waits for what comes of it. */
  advance(byMs: number): Promise<void>;
}

export interface ClusterFixture extends Omit<ApiServerOptions, 'protocol'> {
  readonly source?: Partial<ClusterSourceOptions>;
  readonly onDirty?: (what: SourceEvent) => void;
  /** Called before the source starts, with the server that it will find. */
  readonly before?: (api: ApiServer) => void | Promise<void>;
}

/** Longer waits are patience with a silent server, not back-off. */
const LONGEST_BACKOFF_MS = 20_000;
/** Far more back-offs than any test has on its way. */
const MAX_BACKOFFS = 1_000;

/** A cluster source on a scripted API server in memory: what a test sees does not depend on the machine. */
export async function watchCluster(fixture: ClusterFixture = {}): Promise<WatchedCluster> {
  const { api, connection, clock, ...waits } = await openMemory(fixture);
  await fixture.before?.(api);
  return Object.assign(observed(api, connection, clock, fixture), { connection, clock, ...waits });
}

/** A scripted API server in memory, a connection to it, and time in the hands of the test. */
export async function openMemory(
  options: ApiServerOptions,
): Promise<Pick<WatchedCluster, 'api' | 'connection' | 'clock' | 'until' | 'pass' | 'advance'>> {
  const api = await startApiServer({ ...options, protocol: 'memory' });
  const { memory } = api;
  if (memory === null) throw new Error('the API server is not in memory');
  const clock = new FakeClock();
  return {
    api,
    connection: memory.connect(),
    clock,
    async until(condition) {
      await memory.settled();
      if (!condition()) throw new Error(`never happened: ${condition.toString()}`);
    },
    async pass(condition) {
      for (let n = 0; n < MAX_BACKOFFS; n++) {
        await memory.settled();
        if (condition()) return;
        const [next = Infinity] = clock.pending();
        if (next > LONGEST_BACKOFF_MS) break;
        clock.advance(next);
      }
      throw new Error(`never happened: ${condition.toString()}; waiting for ${clock.pending().join()} ms`);
    },
    async advance(byMs) {
      await memory.settled();
      clock.advance(byMs);
      await memory.settled();
    },
  };
}

/** The same over sockets. They take time of their own, so that the clock is the real one. */
export async function watchOverSockets(
  protocol: 'http' | 'https' | 'h2',
  fixture: ClusterFixture & { readonly kubeconfig?: (api: ApiServer) => string } = {},
): Promise<ClusterOverSockets> {
  const api = await startApiServer({ ...fixture, protocol });
  await fixture.before?.(api);
  const connection = await connect(api, systemClock, fixture.kubeconfig?.(api));
  return observed(api, connection, systemClock, fixture);
}

function observed(
  api: ApiServer,
  connection: ApiConnection,
  clock: Clock,
  fixture: ClusterFixture,
): ClusterOverSockets {
  const dirty: SourceEvent[] = [];
  const logs: ClusterOverSockets['logs'] = [];
  const source = new ClusterSource(
    {
      api: connection,
      watchNamespaces: () => true,
      clock,
      random: () => 0.5,
      log: (level, message, fields = {}) => logs.push({ level, fields, message }),
      ...fixture.source,
    },
    (what) => {
      dirty.push(what);
      fixture.onDirty?.(what);
    },
  );
  const missing = (): string => {
    const kinds = source.states().filter((state) => !state.synced);
    return kinds.map(({ kind, lastError }) => `${kind} is listed (${lastError ?? 'no error'})`).join(', ');
  };
  return {
    api,
    source: {
      snapshot: () => source.snapshot(),
      problems: () => source.problems(),
      states: () => source.states(),
      stop: () => source.stop(),
      get synced() {
        return soon(source.synced, missing);
      },
    },
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
  clock: Clock,
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
export async function synced(fixture: ClusterFixture = {}): Promise<WatchedCluster> {
  const cluster = await watchCluster({ objects: [ingress('shop/web')], ...fixture });
  await cluster.source.synced;
  await cluster.api.until(() => cluster.api.watches() === 5);
  return cluster;
}

export function requestsOf({ api }: ClusterOverSockets, verb: 'list' | 'watch') {
  return api.requests.filter((request) => request.verb === verb && request.resource === 'ingresses');
}

/** Ends the watches, so that the next Ingress watch meets the fault. */
export async function meet(cluster: WatchedCluster, fault: Fault): Promise<void> {
  const before = requestsOf(cluster, 'watch').length;
  cluster.api.fail({ resource: 'ingresses', verb: 'watch' }, fault);
  cluster.api.endWatches();
  await cluster.pass(() => requestsOf(cluster, 'watch').length > before);
}
