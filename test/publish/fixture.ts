import { setTimeout as pause } from 'node:timers/promises';
import { apiCallOf } from '../../src/kubernetes/api-client.ts';
import type { Clock } from '../../src/kubernetes/clock.ts';
import type { ApiCall } from '../../src/kubernetes/api-request.ts';
import { LEASE_TIMES } from '../../src/publish/lease.ts';
import { type PublishOptions, Publisher, leaseNameOf } from '../../src/publish/publisher.ts';
import { type Compilation, compile } from '../../src/routing/compile/compile.ts';
import type { CompileSettings } from '../../src/routing/settings.ts';
import { ClusterSource } from '../../src/watch/cluster.ts';
import { GATEWAY_RESOURCES, RESOURCES, parseSelector } from '../support/api-server-resources.ts';
import { FakeClock } from '../watch/fake-clock.ts';
import { until } from '../support/until.ts';
import { connect, ingress, service } from '../watch/cluster-fixture.ts';
import {
  type ApiObject,
  type ApiRequest,
  type ApiServer,
  type ApiServerOptions,
  startApiServer,
} from '../support/api-server.ts';

/** Several publishers in front of one scripted API server, in memory unless said, with time in the hands of the test. */
export interface PublisherHarness extends AsyncDisposable {
  readonly api: ApiServer;
  readonly clock: FakeClock;
  /** Lets time pass, never while anything else moves, until the condition holds. */
  until(condition: () => boolean): Promise<void>;
  /** Lets so much time pass, with everything that happens in it. */
  advance(ms: number): Promise<void>;
  /** Waits until nothing moves, without letting time pass. */
  idle(): Promise<void>;
  /** Starts another Portico's publishing. */
  addReplica(name: string, more?: ReplicaOptions): Promise<Replica>;
  /** Requests that wrote something, but for Leases: `PATCH shop/web`. */
  writes(resource?: string): ApiRequest[];
  /** `203.0.113.7,edge.example.com`, as the status of this Ingress says. */
  status(key: string): string;
}

export interface ReplicaOptions extends Partial<Omit<PublishOptions, 'compilation' | 'identity'>> {
  readonly ingressClass?: string;
  readonly controllerName?: string;
  /** Gateway API is watched and served where it is installed. */
  readonly gatewayController?: string;
  readonly gatewayServicePorts?: CompileSettings['gatewayServicePorts'];
}

export interface Replica {
  readonly name: string;
  readonly publisher: Publisher;
  readonly call: ApiCall;
  readonly clock: ReplicaClock;
  readonly logLines: string[];
  compilation(): Compilation | null;
  /** As by SIGKILL: nothing of it is heard again. */
  kill(): Promise<void>;
}

/** The clocks of one process among several, which can be stopped in its tracks. */
export class ReplicaClock implements Clock {
  readonly #harnessClock: FakeClock;
  #wallOffsetMs = 0;
  #held: (() => void)[] | null = null;

  constructor(harness: FakeClock) {
    this.#harnessClock = harness;
  }
  monotonicMs(): number {
    return this.#harnessClock.monotonicMs();
  }
  wallMs(): number {
    return this.#harnessClock.wallMs() + this.#wallOffsetMs;
  }
  setTimeout(callback: () => void, delayMs: number): () => void {
    let cancelled = false;
    const fire = (): void => {
      if (cancelled) return;
      if (this.#held) this.#held.push(fire);
      else callback();
    };
    const cancel = this.#harnessClock.setTimeout(fire, delayMs);
    return () => {
      cancelled = true;
      cancel();
    };
  }
  jump(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }
  /** As by SIGSTOP and, later, SIGCONT. */
  pause(): void {
    this.#held ??= [];
  }
  resume(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const fire of held) fire();
  }
  /** Resolves when the process runs. */
  async running(): Promise<void> {
    if (this.#held) await new Promise<void>((resolve) => this.#held?.push(resolve));
  }
}

/** Turns of half a second at most: more than an hour, were every one of them that long. */
const MAX_TURNS = 10_000;

export async function startPublisherHarness(options: ApiServerOptions = {}): Promise<PublisherHarness> {
  const api = await startApiServer({ protocol: 'memory', ...options });
  const { memory } = api;
  const clock = new FakeClock();
  let underWay = 0;
  const closing: (() => Promise<void>)[] = [];

  const idle = async (): Promise<void> => {
    if (memory) return await memory.settled();
    // Sockets take time of their own.
    await pause(1);
    await until(() => underWay === 0, 'the API server answers everything');
  };
  const advanceUntil = async (condition: () => boolean): Promise<void> => {
    for (let turns = 0; !condition(); turns++) {
      if (turns > MAX_TURNS) throw new Error(`never happened: ${condition.toString()}`);
      await idle();
      const [next = Infinity] = clock.pending();
      clock.advance(Math.min(next, 500));
    }
  };

  return {
    api,
    clock,
    until: advanceUntil,
    async advance(ms) {
      const end = clock.wallMs() + ms;
      await advanceUntil(() => clock.wallMs() >= end);
      await idle();
    },
    idle,
    async addReplica(
      name,
      {
        ingressClass = 'portico',
        controllerName = 'portico.dev/ingress-controller',
        gatewayController,
        gatewayServicePorts,
        ...more
      } = {},
    ) {
      const connection = memory?.connect() ?? (await connect(api, new FakeClock()));
      const settings: CompileSettings = {
        ingressClass,
        controllerName,
        ...(gatewayController !== undefined && { gatewayController }),
        ...(gatewayServicePorts !== undefined && { gatewayServicePorts }),
        watchIngressWithoutClass: false,
        defaultBackend: null,
        allowLoopback: false,
        now: Date.UTC(2026, 0, 1),
      };
      let publisher: Publisher | null = null;
      const source = new ClusterSource(
        {
          api: connection,
          watchNamespaces: () => true,
          clock: new FakeClock(),
          random: () => 0.5,
          log: () => {},
          ...(gatewayController !== undefined && { naming: settings }),
        },
        () => publisher?.changed(),
      );
      await source.synced;
      let compilation: Compilation | null = null;
      const latest = (): Compilation => {
        if (compilation?.snapshot !== source.snapshot())
          compilation = compile(source.snapshot(), settings, compilation ?? undefined);
        return compilation;
      };
      let dead = false;
      const call: ApiCall = async (request) => {
        if (dead) return new Promise(() => {});
        underWay++;
        try {
          return await apiCallOf(connection)(request);
        } finally {
          underWay--;
          await own.running();
        }
      };
      const logLines: string[] = [];
      const own = new ReplicaClock(clock);
      const started = (publisher = new Publisher({
        call,
        clock: own,
        random: () => 0.5,
        log: (_level, message) => logLines.push(message),
        identity: name,
        namespace: 'portico',
        leaseName: leaseNameOf(ingressClass),
        times: LEASE_TIMES,
        controllerName,
        addresses: { kind: 'fixed', addresses: [{ ip: '203.0.113.7' }] },
        events: false,
        endpoints: null,
        compilation: latest,
        portFacts: () => null,
        now: Date.now,
        ...more,
      }));
      const kill = async (): Promise<void> => {
        dead = true;
        await source.stop();
        connection.close();
      };
      closing.push(kill);
      return { name, publisher: started, call, clock: own, logLines, compilation: () => compilation, kill };
    },
    writes: (resource) =>
      api.requests.filter(
        (request) =>
          request.method !== 'GET' &&
          request.resource !== 'leases' &&
          (resource ?? request.resource) === request.resource,
      ),
    status: (key) => statusOf(api, key),
    async [Symbol.asyncDispose]() {
      for (const close of closing) await close();
      await api.close();
    },
  };
}

function statusOf(api: ApiServer, key: string): string {
  const found = objectsOf(api, 'ingresses').find(
    ({ metadata }) => `${metadata.namespace}/${metadata.name}` === key,
  );
  const { loadBalancer } = (found?.['status'] ?? {}) as {
    loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] };
  };
  return (loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname).join();
}

/** What the server has of a resource now. */
export function objectsOf(api: ApiServer, name: string): readonly ApiObject[] {
  // Events are served by two groups: ours are of the younger one.
  const resource = [...RESOURCES, ...GATEWAY_RESOURCES].findLast((row) => row.resource === name);
  if (!resource) throw new Error(`there is no resource ${name}`);
  const everything = parseSelector(new URLSearchParams());
  return api.store.all(resource, undefined, everything).map(({ object }) => object);
}

export const OUR_CLASS: ApiObject = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'IngressClass',
  metadata: { name: 'portico' },
  spec: { controller: 'portico.dev/ingress-controller' },
};

export const OTHER_CLASS: ApiObject = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'IngressClass',
  metadata: { name: 'nginx' },
  spec: { controller: 'k8s.io/ingress-nginx' },
};

/** An Ingress of a class, with the addresses that its status already has. */
export function ingressOf(key: string, className: string, ...addresses: string[]): ApiObject {
  const { spec, ...rest } = ingress(key, `${key.replace('/', '.')}.example.com`);
  return {
    ...rest,
    spec: { ...(spec as object), ingressClassName: className },
    status: { loadBalancer: addresses.length > 0 ? { ingress: addresses.map((ip) => ({ ip })) } : {} },
  };
}

export { type ApiObject, service };
