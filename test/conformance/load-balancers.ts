import { createSocket } from 'node:dgram';
import { type Socket, connect, createServer } from 'node:net';
import { once } from 'node:events';
import {
  CustomObjectsApi,
  type CoreV1Api,
  type KubeConfig,
  type V1EndpointSlice,
  type V1Service,
} from '@kubernetes/client-node';
import { ignoreMissing } from './endpoint-slices.ts';

/** Addresses that load balancers have: Linux answers at all of 127.0.0.0/8. */
const POOL = Array.from({ length: 254 }, (_, n) => `127.0.61.${n + 1}`);
const CHECK_EVERY_MS = 1_000;
const UDP_IDLE_MS = 10_000;

interface Balancer {
  readonly address: string;
  /** By `TCP 80`. */
  readonly ports: Map<string, () => void>;
}

/**
 * What the load balancers of a cloud, kube-proxy and the garbage collector do for Services of type LoadBalancer: each gets an
 * address, where its ports lead to its endpoints; and it is deleted when the Gateway is gone that owns it.
 */
export class LoadBalancers {
  readonly #core: CoreV1Api;
  readonly #objects: CustomObjectsApi;
  /** An address that a Service may ask for. */
  readonly #usable: string;
  readonly #balancers = new Map<string, Balancer>();
  #slices: readonly V1EndpointSlice[] = [];
  #services: readonly V1Service[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(config: KubeConfig, core: CoreV1Api, usable: string) {
    this.#core = core;
    this.#objects = config.makeApiClient(CustomObjectsApi);
    this.#usable = usable;
    this.#timer = setInterval(() => void this.#collect().catch(() => {}), CHECK_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const { ports } of this.#balancers.values()) for (const close of ports.values()) close();
  }

  /** Brings them in line with these objects. */
  async write(services: Iterable<V1Service>, slices: Iterable<V1EndpointSlice>): Promise<void> {
    this.#slices = [...slices];
    this.#services = [...services].filter(({ spec }) => spec?.type === 'LoadBalancer');
    const wanted = new Map(this.#services.map((service) => [service.metadata?.uid ?? '', service]));
    for (const [uid, { ports }] of this.#balancers) {
      if (wanted.has(uid)) continue;
      for (const close of ports.values()) close();
      this.#balancers.delete(uid);
    }
    for (const [uid, service] of wanted) await this.#balance(uid, service);
  }

  async #balance(uid: string, service: V1Service): Promise<void> {
    const { loadBalancerIP: asked, ports = [] } = service.spec ?? {};
    if (asked !== undefined && asked !== this.#usable) return;
    let balancer = this.#balancers.get(uid);
    if (asked !== undefined && balancer && balancer.address !== asked) {
      for (const close of balancer.ports.values()) close();
      balancer = undefined;
    }
    const taken = new Set([...this.#balancers.values()].map(({ address }) => address));
    const address = asked ?? POOL.find((each) => !taken.has(each));
    if (address === undefined) throw new Error('the load balancers have no address left');
    balancer ??= { address, ports: new Map() };
    this.#balancers.set(uid, balancer);
    const open = new Set(ports.map(({ protocol, port }) => `${protocol} ${port}`));
    for (const [key, close] of balancer.ports) {
      if (open.has(key)) continue;
      close();
      balancer.ports.delete(key);
    }
    for (const { protocol = 'TCP', port, name = '' } of ports) {
      const key = `${protocol} ${port}`;
      if (balancer.ports.has(key)) continue;
      const target = (): Target | null => this.#targetOf(uid, name);
      const listen = protocol === 'UDP' ? relayDatagrams : relayConnections;
      balancer.ports.set(key, await listen(balancer.address, port, target));
    }
    const { namespace = '', name = '' } = service.metadata ?? {};
    const ingress = [{ ip: balancer.address }];
    if (service.status?.loadBalancer?.ingress?.[0]?.ip === balancer.address) return;
    const status = { loadBalancer: { ingress } };
    await this.#core.replaceNamespacedServiceStatus({ namespace, name, body: { ...service, status } });
  }

  /** The first endpoint of the Service, by the name of the port. */
  #targetOf(uid: string, portName: string): Target | null {
    const service = this.#services.find(({ metadata }) => metadata?.uid === uid);
    const slice = this.#slices.find(
      ({ metadata }) =>
        metadata?.namespace === service?.metadata?.namespace &&
        metadata?.labels?.['kubernetes.io/service-name'] === service?.metadata?.name,
    );
    const address = slice?.endpoints?.[0]?.addresses[0];
    const port = slice?.ports?.find(({ name }) => name === portName)?.port;
    return address === undefined || port === undefined ? null : { address, port };
  }

  /** Deletes the Services whose Gateways are gone. */
  async #collect(): Promise<void> {
    const owned = this.#services.filter(({ metadata }) => metadata?.ownerReferences?.length === 1);
    if (owned.length === 0) return;
    const place = { group: 'gateway.networking.k8s.io', version: 'v1', plural: 'gateways' };
    const { items } = (await this.#objects.listClusterCustomObject(place)) as {
      items: readonly { metadata: { uid: string } }[];
    };
    const uids = new Set(items.map(({ metadata }) => metadata.uid));
    for (const { metadata } of owned) {
      const { namespace = '', name = '', ownerReferences = [] } = metadata ?? {};
      if (ownerReferences.some(({ uid }) => uids.has(uid))) continue;
      await this.#core.deleteNamespacedService({ namespace, name }).catch(ignoreMissing);
    }
  }
}

interface Target {
  readonly address: string;
  readonly port: number;
}

type FindTarget = () => Target | null;

async function relayConnections(address: string, port: number, target: FindTarget): Promise<() => void> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const place = target();
    if (place === null) return client.destroy();
    const { address: host, port: to } = place;
    const upstream = connect({ host, port: to, allowHalfOpen: true, noDelay: true });
    for (const [from, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.pipe(other);
      from.on('error', () => other.resetAndDestroy());
      from.on('close', () => {
        sockets.delete(from);
        other.destroySoon();
      });
    }
  });
  server.listen(port, address);
  await once(server, 'listening');
  return () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
}

async function relayDatagrams(address: string, port: number, target: FindTarget): Promise<() => void> {
  const server = createSocket('udp4');
  const clients = new Map<string, ReturnType<typeof createSocket>>();
  server.on('message', (bytes, from) => {
    const place = target();
    if (place === null) return;
    const key = `${from.address} ${from.port}`;
    let upstream = clients.get(key);
    if (!upstream) {
      upstream = createSocket('udp4');
      upstream.on('message', (answer) => server.send(answer, from.port, from.address));
      upstream.on('error', () => {});
      clients.set(key, upstream);
      setTimeout(() => {
        clients.get(key)?.close();
        clients.delete(key);
      }, UDP_IDLE_MS).unref();
    }
    upstream.send(bytes, place.port, place.address);
  });
  server.bind(port, address);
  await once(server, 'listening');
  return () => {
    server.close();
    for (const upstream of clients.values()) upstream.close();
    clients.clear();
  };
}
