import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { join } from 'node:path';
import {
  ApiException,
  AppsV1Api,
  CoreV1Api,
  DiscoveryV1Api,
  KubeConfig,
  type KubernetesListObject,
  type KubernetesObject,
  type V1Container,
  type V1Deployment,
  type V1EndpointSlice,
  type V1Pod,
  type V1PodSpec,
  type V1Service,
  makeInformer,
} from '@kubernetes/client-node';
import { createAuthority } from '../support/certificates.ts';
import { EndpointSlices, ignoreMissing } from './endpoint-slices.ts';
import { LoadBalancers } from './load-balancers.ts';
import { NODE_ADDRESS, type PodProcess, SECOND_NODE_ADDRESS, startPod } from './pod.ts';

const NODE = 'node-1';
const RETRY_MS = 200;

/**
 * What a node and the controllers of a cluster do that the conformance suite and the end-to-end tests need: a Pod for
 * each replica of a Deployment, EndpointSlices for each Service with a selector, load balancers, and the logs of Pods. A container runs
 * the echo server of the conformance suite, whatever its image, or answers DNS where that is CoreDNS.
 */
export class ClusterNode implements AsyncDisposable {
  readonly #core: CoreV1Api;
  readonly #discovery: DiscoveryV1Api;
  readonly #endpoints: EndpointSlices;
  readonly #config: KubeConfig;
  readonly #binaries: string;
  readonly #folder: string;
  readonly #deployments = new Map<string, V1Deployment>();
  readonly #services = new Map<string, V1Service>();
  readonly #slices = new Map<string, V1EndpointSlice>();
  readonly #balancers: LoadBalancers;
  /** By `namespace/name`. */
  readonly #pods = new Map<string, { readonly pod: V1Pod; readonly process: PodProcess }>();
  readonly #stops: (() => Promise<void> | void)[] = [];
  #pending = false;
  #work: Promise<void> = Promise.resolve();
  #started = 0;
  #stopped = false;

  private constructor(config: KubeConfig, binaries: string, folder: string) {
    this.#config = config;
    this.#core = config.makeApiClient(CoreV1Api);
    this.#discovery = config.makeApiClient(DiscoveryV1Api);
    this.#endpoints = new EndpointSlices(this.#discovery);
    this.#balancers = new LoadBalancers(config, this.#core, SECOND_NODE_ADDRESS);
    this.#binaries = binaries;
    this.#folder = folder;
  }

  /** Registers the node and follows Deployments and Services from now on. */
  static async start(kubeconfig: string, binaries: string, folder: string): Promise<ClusterNode> {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const node = new ClusterNode(config, binaries, folder);
    await node.#register(await node.#serveLogs());
    const apps = config.makeApiClient(AppsV1Api);
    await node.#follow('/apis/apps/v1/deployments', node.#deployments, () =>
      apps.listDeploymentForAllNamespaces(),
    );
    await node.#follow('/api/v1/services', node.#services, () => node.#core.listServiceForAllNamespaces());
    await node.#follow('/apis/discovery.k8s.io/v1/endpointslices', node.#slices, () =>
      node.#discovery.listEndpointSliceForAllNamespaces(),
    );
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    for (const stop of this.#stops) await stop();
    this.#balancers.stop();
    await this.#work;
    await Promise.all([...this.#pods.values()].map(({ process }) => process[Symbol.asyncDispose]()));
  }

  async #register(logPort: number): Promise<void> {
    await this.#core.createNode({ body: { metadata: { name: NODE } } });
    const status = {
      addresses: [{ type: 'InternalIP', address: NODE_ADDRESS }],
      daemonEndpoints: { kubeletEndpoint: { Port: logPort } },
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: '' }],
    };
    await this.#core.replaceNodeStatus({ name: NODE, body: { metadata: { name: NODE }, status } });
  }

  async #follow<T extends KubernetesObject>(
    path: string,
    objects: Map<string, T>,
    list: () => Promise<KubernetesListObject<T>>,
  ): Promise<void> {
    const informer = makeInformer(this.#config, path, list);
    const keep = (object: T): void => {
      objects.set(keyOf(object), object);
      this.#wake();
    };
    informer.on('add', keep);
    informer.on('update', keep);
    informer.on('delete', (object) => {
      objects.delete(keyOf(object));
      this.#wake();
    });
    let stopped = false;
    informer.on('error', () => {
      if (!stopped) setTimeout(() => stopped || void informer.start(), 500);
    });
    this.#stops.push(() => {
      stopped = true;
      return informer.stop();
    });
    await informer.start();
  }

  /** Brings Pods and EndpointSlices in line with what is asked for, once for any number of changes. */
  #wake(): void {
    if (this.#pending) return;
    this.#pending = true;
    this.#work = this.#work.then(async () => {
      this.#pending = false;
      await this.#runPods();
      await this.#endpoints.write(
        this.#services.values(),
        [...this.#pods.values()].map(({ pod }) => pod),
      );
      await this.#balancers.write(this.#services.values(), this.#slices.values());
    });
    this.#work = this.#work.catch((error: unknown) => this.#retry(error));
  }

  /** As a kubelet does when a Secret that a Pod mounts is not there yet. */
  #retry(error: unknown): void {
    if (this.#stopped) return;
    const waits = error instanceof ApiException && (error.code === 404 || error.code === 409);
    if (!waits) process.stderr.write(`node: ${error instanceof Error ? error.message : String(error)}\n`);
    setTimeout(() => this.#wake(), RETRY_MS);
  }

  async #runPods(): Promise<void> {
    const wanted = new Map<string, V1Deployment>();
    for (const deployment of this.#deployments.values()) {
      const replicaSet = `${keyOf(deployment)}-${hashOf(deployment.metadata?.uid ?? '')}`;
      for (let i = 0; i < (deployment.spec?.replicas ?? 1); i++) wanted.set(`${replicaSet}-${i}`, deployment);
    }
    for (const [key, { process }] of this.#pods) {
      if (wanted.has(key)) continue;
      this.#pods.delete(key);
      await process[Symbol.asyncDispose]();
      const [namespace = '', name = ''] = key.split('/');
      await this.#core.deleteNamespacedPod({ namespace, name, gracePeriodSeconds: 0 }).catch(ignoreMissing);
    }
    const failures: unknown[] = [];
    for (const [key, deployment] of wanted) {
      if (!this.#pods.has(key)) await this.#runPod(key, deployment).catch((error) => failures.push(error));
    }
    // One that does not start keeps no other from starting.
    if (failures.length > 0) this.#retry(failures[0]);
  }

  async #runPod(key: string, deployment: V1Deployment): Promise<void> {
    const [namespace = '', name = ''] = key.split('/');
    const template = deployment.spec?.template;
    const container = template?.spec?.containers[0];
    if (!template?.spec || !container) return;
    const files = await this.#mount(namespace, name, template.spec, container);
    const env: Record<string, string> = {};
    for (const { name: variable, value, valueFrom } of container.env ?? []) {
      const field = valueFrom?.fieldRef?.fieldPath;
      const text =
        field === 'metadata.name' ? name : field === 'metadata.namespace' ? namespace : (value ?? '');
      env[variable] = files.reduce((path, [mount, folder]) => path.replace(mount, folder), text);
    }
    const program = join(this.#binaries, container.image?.includes('/coredns:') ? 'dns' : 'echo-basic');
    const process = await startPod(++this.#started, program, env);
    const now = new Date();
    const pod: V1Pod = {
      metadata: { namespace, name, labels: template.metadata?.labels ?? {} },
      spec: { ...template.spec, nodeName: NODE, automountServiceAccountToken: false },
      status: {
        phase: 'Running',
        podIP: process.address,
        podIPs: [{ ip: process.address }],
        hostIP: NODE_ADDRESS,
        startTime: now,
        conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => {
          return { type, status: 'True', lastTransitionTime: now };
        }),
        containerStatuses: [
          {
            name: container.name,
            ready: true,
            started: true,
            restartCount: 0,
            image: container.image ?? '',
            imageID: '',
            state: { running: { startedAt: now } },
          },
        ],
      },
    };
    try {
      await this.#core.createNamespacedPod({ namespace, body: pod });
      const body = [{ op: 'add', path: '/status', value: pod.status }];
      await this.#core.patchNamespacedPodStatus({ namespace, name, body });
    } catch (error) {
      await process[Symbol.asyncDispose]();
      throw error;
    }
    this.#pods.set(key, { pod, process });
  }

  /** Writes the Secrets and ConfigMaps that a container mounts into a folder for each. */
  async #mount(
    namespace: string,
    name: string,
    spec: V1PodSpec,
    container: V1Container,
  ): Promise<readonly (readonly [mountPath: string, folder: string])[]> {
    const mounted: [string, string][] = [];
    for (const { name: volumeName, mountPath } of container.volumeMounts ?? []) {
      const volume = spec.volumes?.find((each) => each.name === volumeName);
      const folder = join(this.#folder, namespace, name, volumeName);
      await mkdir(folder, { recursive: true });
      mounted.push([mountPath, folder]);
      const secret = volume?.secret?.secretName;
      const configMap = volume?.configMap?.name;
      const data =
        secret !== undefined
          ? (await this.#core.readNamespacedSecret({ namespace, name: secret })).data
          : configMap !== undefined
            ? (await this.#core.readNamespacedConfigMap({ namespace, name: configMap })).data
            : {};
      const items = volume?.secret?.items ?? volume?.configMap?.items;
      for (const [key, value] of Object.entries(data ?? {})) {
        const path = items ? items.find((each) => each.key === key)?.path : key;
        if (path === undefined) continue;
        await writeFile(join(folder, path), Buffer.from(value, secret === undefined ? 'utf8' : 'base64'));
      }
    }
    return mounted;
  }

  /** What the API server asks of a kubelet for `kubectl logs`. */
  async #serveLogs(): Promise<number> {
    const { key, certificate } = createAuthority().issue([NODE]);
    const server = createServer({ key, cert: certificate }, (request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? '/', 'https://node-1');
      const [, endpoint, namespace = '', name = ''] = pathname.split('/');
      const since = Date.parse(searchParams.get('sinceTime') ?? '1970-01-01T00:00:00Z');
      const found = this.#pods.get(`${namespace}/${name}`);
      if (endpoint !== 'containerLogs' || !found) {
        response.writeHead(404).end();
        return;
      }
      const lines = found.process.log.filter(({ time }) => time >= since).map(({ line }) => `${line}\n`);
      response.writeHead(200, { 'content-type': 'text/plain' }).end(lines.join(''));
    });
    server.listen(0, NODE_ADDRESS);
    await once(server, 'listening');
    this.#stops.push(() => {
      server.close();
      server.closeAllConnections();
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port for the logs of Pods');
    return address.port;
  }
}

function keyOf({ metadata }: KubernetesObject): string {
  return `${metadata?.namespace}/${metadata?.name}`;
}

/** What a ReplicaSet and its Pods have in their names: the suite takes the last two parts off again. */
function hashOf(uid: string): string {
  return createHash('sha256').update(uid).digest('hex').slice(0, 9);
}
