import { type HealthCheck, decide } from '../../src/routing/decide.ts';
import { replacingBackend } from '../../src/routing/replacing-backend.ts';
import { type EndpointState, createEndpoints } from '../../src/proxy/balance/endpoint-pool.ts';
import type { Engine, EngineFactory, ListenAddress } from '../../src/proxy/engine.ts';
import type { ExchangeRecord } from '../../src/proxy/exchange-record.ts';
import type { Resolve } from '../../src/proxy/balance/name-resolver.ts';
import { externalNames } from './external-names.ts';
import { trustedProxies } from '../../src/http/forwarded.ts';
import { DEFAULT_LIMITS, type Limits } from '../../src/proxy/limits.ts';
import type { CanaryConfig } from '../../src/policies/canary.ts';
import type { ClientAuth } from '../../src/policies/client-certificate.ts';
import { policyBinder } from '../../src/policies/bound-policies.ts';
import type { ClusterLimits } from '../../src/policies/limits/cluster-limits.ts';
import type { BoundPolicy, PolicyModule } from '../../src/policies/policy.ts';
import { policySet } from '../../src/policies/policy-set.ts';
import type { PolicyConfigs } from '../../src/policies/registry.ts';
import type { RequestDebugger } from '../../src/proxy/debug/request-debugger.ts';
import type { Tracer } from '../../src/proxy/tracing/tracer.ts';
import { pathTree } from '../../src/routing/path-tree.ts';
import { emptyMap, get, mapOf } from '../../src/model/sharded-map.ts';
import {
  type Backend,
  type Route,
  type RouteTable,
  UNVERIFIABLE,
  type WeightedBackend,
} from '../../src/routing/table.ts';
import type { SecretData } from '../../src/model/secret-data.ts';
import { askedTransport } from '../../src/proxy/subrequests/asked-transport.ts';
import { policyThread } from './policy-thread.ts';
import { type Sockets, chooseSockets } from '../../src/proxy/sockets/sockets.ts';
import { soon } from './until.ts';

/** One host with everything below it going to one backend. */
export interface Site {
  /** `app.test` unless said; empty for rules without a host. */
  readonly host?: string;
  /** Of `address`. */
  readonly ports: readonly number[];
  /** 127.0.0.1 unless said. */
  readonly address?: string;
  /** What its route asks for. */
  readonly policies?: PolicyConfigs;
  readonly protocol?: Backend['protocol'];
  /** A canary of it, with a port of its own. */
  readonly canary?: Partial<CanaryConfig> & { readonly port: number };
  readonly unavailable?: Backend['unavailable'];
  readonly externalName?: Backend['externalName'];
  /** What the host asks of its clients. */
  readonly clients?: ClientAuth | 'unverifiable';
  /** A rule for ACME challenges to the same backend, which asks clients for nothing. */
  readonly solver?: true;
}

/** As `PORTICO_SOCKETS` says. */
export const SOCKETS = chooseSockets(process.env['PORTICO_SOCKETS'] === 'node' ? 'node' : 'auto').sockets;

let generation = 0;

export function tableOf(sites: readonly Site[]): RouteTable {
  const hosts = sites.map((site) => {
    const host = site.host ?? 'app.test';
    const main: Route = {
      path: '/',
      pathType: 'Prefix',
      ingress: `default/${host}`,
      field: 'spec.rules[0].http.paths[0]',
      backend: `default/${host}:80`,
      policies: policySet(site.policies ?? {}, []),
    };
    const route = site.canary ? { ...main, backends: splitOf(main, host, site.canary) } : main;
    const clients = site.clients && {
      policyId: site.clients === 'unverifiable' ? UNVERIFIABLE : site.clients.policyId,
      ingress: route.ingress,
    };
    const places = new Map([['', { whole: null, prefix: route }]]);
    const path = '/.well-known/acme-challenge';
    if (site.solver) places.set(path, { whole: null, prefix: { ...route, path, policies: null } });
    return [
      host,
      {
        ...{ host, namespace: 'default', paths: pathTree(places), defaultRoute: null },
        ...(clients && { clients }),
      },
    ] as const;
  });
  const backends = sites.map((site): [string, Backend] => {
    const key = `default/${site.host ?? 'app.test'}:80`;
    const { protocol = 'http', unavailable = null, externalName = null } = site;
    const endpoints = site.ports.map((port) => ({ address: site.address ?? '127.0.0.1', port }));
    const session = externalName ? {} : { serviceUid: 'key' };
    return [key, { key, protocol, endpoints, externalName, unavailable, ...session }];
  });
  for (const { host = 'app.test', canary } of sites) {
    if (!canary) continue;
    const key = `default/canary.${host}:80`;
    const endpoints = [{ address: '127.0.0.1', port: canary.port }];
    const nothing = { externalName: null, unavailable: null } as const;
    backends.push([key, { key, protocol: 'http', endpoints, serviceUid: 'canary', ...nothing }]);
  }
  const hostless = hosts.find(([host]) => host === '')?.[1] ?? null;
  return {
    generation: ++generation,
    hosts: mapOf(hosts.filter(([host]) => host !== '')),
    wildcards: emptyMap(),
    globs: emptyMap(),
    hostRegexes: [],
    hostless,
    defaultRoute: null,
    backends: mapOf(backends),
    certificates: emptyMap(),
    passthroughs: emptyMap(),
    streams: emptyMap(),
    ports: emptyMap(),
    clientPolicies: mapOf(
      sites.flatMap(({ clients }) =>
        clients && clients !== 'unverifiable' ? [[clients.policyId, clients] as const] : [],
      ),
    ),
  };
}

function splitOf(
  route: Route,
  host: string,
  { header = null, cookie = null, weight = 0 }: Partial<CanaryConfig>,
): WeightedBackend[] {
  const canary = { ingress: `default/canary.${host}`, conditions: { header, cookie }, route };
  return [
    { key: `default/${host}:80`, weight: 100 - weight, canary: null },
    { key: `default/canary.${host}:80`, weight, canary },
  ];
}

export interface ProxySettings {
  readonly healthCheck?: HealthCheck;
  /** Policies that act on every exchange. */
  readonly everywhere?: readonly BoundPolicy[];
  /** Called before an exchange is accounted. */
  readonly onAccount?: (exchange: ExchangeRecord) => void;
  /** Instead of those of the registry. */
  readonly modules?: readonly PolicyModule[];
  /** What its connections are made of: what `PORTICO_SOCKETS` says, unless said. */
  readonly sockets?: Sockets;
  /** HTTP/2 with prior knowledge; off unless said. */
  readonly h2c?: boolean;
  /** The data of Secrets that policies use. */
  readonly secrets?: ReadonlyMap<string, SecretData>;
  readonly underscoresInHeaders?: boolean;
  readonly bareLfInResponses?: boolean;
  readonly ingressNginxFields?: boolean;
  readonly limits?: Partial<Limits>;
  readonly trustedProxies?: readonly string[];
  /** What counts clients together with other proxies; nothing unless said. */
  readonly clusterLimits?: ClusterLimits;
  /** What name servers say of ExternalNames. */
  readonly resolve?: Resolve;
  /** Whether they may lead to the loopback; yes unless said. */
  readonly allowLoopback?: boolean;
  /** A port of the kernel's choice on 127.0.0.1, unless said. */
  readonly listen?: Partial<ListenAddress>;
  /** What tells what happens to requests; nobody unless said. */
  readonly debug?: RequestDebugger;
  /** What is traced; nothing unless said. */
  readonly tracer?: Tracer;
  /** The clock of the engine and of policies, in milliseconds since the epoch. */
  readonly now?: () => number;
}

/** An engine in this process, over real sockets. */
export interface RunningProxy extends AsyncDisposable {
  readonly port: number;
  readonly engine: Engine;
  /** Every exchange that was accounted so far. */
  readonly exchanges: readonly ExchangeRecord[];
  /** The nth accounted exchange, from 0, as soon as it is there; rejects when it does not come in time. */
  exchange(index: number): Promise<ExchangeRecord>;
  /** What is known of the one endpoint of a host, `app.test` unless said; of several, of another one each time. */
  endpoint(host?: string): EndpointState | null;
  /** What threw and was contained. */
  readonly faults: readonly unknown[];
  /** Swaps the table. */
  adopt(sites: readonly Site[]): void;
}

export async function startProxy(
  factory: EngineFactory,
  sites: readonly Site[],
  settings: ProxySettings = {},
): Promise<RunningProxy> {
  const exchanges: ExchangeRecord[] = [];
  const faults: unknown[] = [];
  const waiting = new Set<() => void>();
  const { now = Date.now } = settings;
  const endpoints = createEndpoints({
    random: () => 0,
    externalNames: externalNames(settings.resolve, settings.allowLoopback),
  });
  let table = tableOf(sites);
  endpoints.adopt(table);
  const engine = factory({
    decide: (request) => decide(table, request, null, settings.healthCheck ?? null),
    replacingBackend: (route, status, reason) => replacingBackend(table, route, status, reason),
    endpoints,
    limits: { ...DEFAULT_LIMITS, ...settings.limits },
    trustedProxies: trustedProxies(settings.trustedProxies ?? []),
    onComplete(exchange) {
      settings.onAccount?.(exchange);
      exchanges.push(exchange);
      for (const look of waiting) look();
    },
    policies: policyBinder(
      policyThread(
        now,
        (key) => settings.secrets?.get(key),
        settings.clusterLimits,
        (to) => {
          const backend = get(table.backends, to.backend);
          const state = backend && endpoints.choose(backend, 'round-robin', [], '', 0);
          return backend && state ? { state, transport: askedTransport(to, backend) } : null;
        },
      ),
      settings.everywhere,
      settings.modules,
    ),
    tracer: settings.tracer ?? null,
    get debug() {
      return settings.debug?.isActive ? settings.debug : null;
    },
    secret: (key) => settings.secrets?.get(key),
    onFault: (fault) => void faults.push(fault),
    now,
    sockets: settings.sockets ?? SOCKETS,
    h2c: settings.h2c ?? false,
    underscoresInHeaders: settings.underscoresInHeaders ?? false,
    ingressNginxFields: settings.ingressNginxFields ?? false,
    bareLfInResponses: settings.bareLfInResponses ?? false,
  });
  const { port } = await engine.listen({ host: '127.0.0.1', port: 0, reusePort: false, ...settings.listen });
  return {
    port,
    engine,
    exchanges,
    faults,
    exchange(index) {
      const accounted = new Promise<ExchangeRecord>((resolve) => {
        const look = (): void => {
          const found = exchanges[index];
          if (!found) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      });
      return soon(accounted, () => `exchange ${index} is accounted; there were ${exchanges.length}`);
    },
    endpoint(host = 'app.test') {
      const backend = get(table.backends, `default/${host}:80`);
      return backend ? endpoints.choose(backend, 'round-robin', [], '', 0) : null;
    },
    adopt(sites) {
      table = tableOf(sites);
      engine.close(endpoints.adopt(table));
    },
    async [Symbol.asyncDispose]() {
      await engine.drain(0);
    },
  };
}
