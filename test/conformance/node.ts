import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { join } from 'node:path';
import {
  AppsV1Api,
  CoreV1Api,
  DiscoveryV1Api,
  KubeConfig,
  type KubernetesListObject,
  type KubernetesObject,
  type V1Container,
  type V1Deployment,
  type V1Pod,
  type V1Service,
  makeInformer,
} from '@kubernetes/client-node';
import { createAuthority } from '../support/certificates.ts';
import { NODE_ADDRESS, type PodProcess, startPod } from './pod.ts';

const NODE = 'node-1';

/**
 * What a node and the controllers of a cluster do that the conformance suite and the end-to-end tests need: a Pod for
 * each replica of a Deployment, EndpointSlices for each Service with a selector, and the logs of Pods. Every container
 * runs `echo`, whatever its image.
 */
export class ClusterNode implements AsyncDisposable {
  readonly #core: CoreV1Api;
  readonly #slices: DiscoveryV1Api;
  readonly #config: KubeConfig;
  readonly #echo: string;
  readonly #folder: string;
  readonly #deployments = new Map<string, V1Deployment>();
  readonly #services = new Map<string, V1Service>();
  /** By `namespace/name`. */
  readonly #pods = new Map<string, { readonly pod: V1Pod; readonly process: PodProcess }>();
  readonly #stops: (() => Promise<void> | void)[] = [];
  #pending = false;
  #work: Promise<void> = Promise.resolve();
  #started = 0;

  private constructor(config: KubeConfig, echo: string, folder: string) {
    this.#config = config;
    this.#core = config.makeApiClient(CoreV1Api);
    this.#slices = config.makeApiClient(DiscoveryV1Api);
    this.#echo = echo;
    this.#folder = folder;
  }

  /** Registers the node and follows Deployments and Services from now on. */
  static async start(kubeconfig: string, echo: string, folder: string): Promise<ClusterNode> {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const node = new ClusterNode(config, echo, folder);
    await node.#register(await node.#serveLogs());
    const apps = config.makeApiClient(AppsV1Api);
    await node.#follow('/apis/apps/v1/deployments', node.#deployments, () =>
      apps.listDeploymentForAllNamespaces(),
    );
    await node.#follow('/api/v1/services', node.#services, () => node.#core.listServiceForAllNamespaces());
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stops) await stop();
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
      await this.#writeSlices();
    });
    this.#work = this.#work.catch((error: unknown) => {
      process.stderr.write(`node: ${error instanceof Error ? error.message : String(error)}\n`);
    });
  }

  async #runPods(): Promise<void> {
    const wanted = new Map<string, V1Deployment>();
    for (const deployment of this.#deployments.values()) {
      for (let i = 0; i < (deployment.spec?.replicas ?? 1); i++)
        wanted.set(`${keyOf(deployment)}-${i}`, deployment);
    }
    for (const [key, { process }] of this.#pods) {
      if (wanted.has(key)) continue;
      this.#pods.delete(key);
      await process[Symbol.asyncDispose]();
      const [namespace = '', name = ''] = key.split('/');
      await this.#core.deleteNamespacedPod({ namespace, name, gracePeriodSeconds: 0 }).catch(ignoreMissing);
    }
    for (const [key, deployment] of wanted) {
      if (!this.#pods.has(key)) await this.#runPod(key, deployment);
    }
  }

  async #runPod(key: string, deployment: V1Deployment): Promise<void> {
    const [namespace = '', name = ''] = key.split('/');
    const template = deployment.spec?.template;
    const container = template?.spec?.containers[0];
    if (!template?.spec || !container) return;
    const pod: V1Pod = {
      metadata: { namespace, name, labels: template.metadata?.labels ?? {} },
      spec: { ...template.spec, nodeName: NODE, automountServiceAccountToken: false },
    };
    const files = await this.#mount(namespace, name, pod, container);
    const env: Record<string, string> = {};
    for (const { name: variable, value, valueFrom } of container.env ?? []) {
      const field = valueFrom?.fieldRef?.fieldPath;
      const text =
        field === 'metadata.name' ? name : field === 'metadata.namespace' ? namespace : (value ?? '');
      env[variable] = files.reduce((path, [mount, folder]) => path.replace(mount, folder), text);
    }
    const process = await startPod(++this.#started, this.#echo, env);
    this.#pods.set(key, { pod, process });
    await this.#core.createNamespacedPod({ namespace, body: pod });
    const now = new Date();
    const status = {
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
    };
    await this.#core.patchNamespacedPodStatus({
      namespace,
      name,
      body: [{ op: 'add', path: '/status', value: status }],
    });
  }

  /** Writes the Secrets and ConfigMaps that a container mounts into a folder for each. */
  async #mount(
    namespace: string,
    name: string,
    pod: V1Pod,
    container: V1Container,
  ): Promise<readonly (readonly [mountPath: string, folder: string])[]> {
    const mounted: [string, string][] = [];
    for (const { name: volumeName, mountPath } of container.volumeMounts ?? []) {
      const volume = pod.spec?.volumes?.find((each) => each.name === volumeName);
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

  async #writeSlices(): Promise<void> {
    for (const service of this.#services.values()) {
      const { selector, ports = [] } = service.spec ?? {};
      const { namespace = '', name = '' } = service.metadata ?? {};
      if (!selector) continue;
      const selected = [...this.#pods.values()].filter(
        ({ pod }) =>
          pod.metadata?.namespace === namespace &&
          Object.entries(selector).every(([label, value]) => pod.metadata?.labels?.[label] === value),
      );
      const container = selected[0]?.pod.spec?.containers[0];
      const body = {
        metadata: { name: `${name}-1`, namespace, labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        endpoints: selected.map(({ pod, process }) => ({
          addresses: [process.address],
          conditions: { ready: true, serving: true, terminating: false },
          nodeName: NODE,
          targetRef: { kind: 'Pod', namespace, name: pod.metadata?.name ?? '' },
        })),
        ports: ports.map(({ name: port, port: number, protocol, appProtocol, targetPort }) => ({
          name: port ?? '',
          protocol: protocol ?? 'TCP',
          ...(appProtocol !== undefined && { appProtocol }),
          port:
            typeof targetPort === 'string'
              ? (container?.ports?.find((each) => each.name === targetPort)?.containerPort ?? number)
              : (targetPort ?? number),
        })),
      };
      const at = { namespace, name: body.metadata.name };
      const before = await this.#slices.readNamespacedEndpointSlice(at).catch(() => null);
      if (before === null) await this.#slices.createNamespacedEndpointSlice({ namespace, body });
      else if (addressesOf(before) !== addressesOf(body)) {
        await this.#slices.replaceNamespacedEndpointSlice({ ...at, body });
      }
    }
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

function addressesOf(slice: {
  endpoints?: readonly { addresses: readonly string[] }[];
  ports?: unknown;
}): string {
  return JSON.stringify([(slice.endpoints ?? []).map(({ addresses }) => addresses), slice.ports]);
}

function ignoreMissing(error: { code?: number }): void {
  if (error.code !== 404) throw error as Error;
}
