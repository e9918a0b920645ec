import { LOG_ALL } from '../../src/proxy/access-log/log-filter.ts';
import { connect } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'vitest';
import { type ShardedMap, emptyMap, mapOf } from '../../src/model/sharded-map.ts';
import type { KeyPair } from '../../src/model/secrets.ts';
import type { ClientAuth } from '../../src/policies/client-certificate.ts';
import { policySet } from '../../src/policies/policy-set.ts';
import type { PolicyConfigs } from '../../src/policies/registry.ts';
import { DEFAULT_LIMITS, type Limits } from '../../src/proxy/limits.ts';
import type { EngineName } from '../../src/proxy/threads/messages.ts';
import { type ThreadFailure, type Threads, startThreads } from '../../src/proxy/threads/threads.ts';
import { DEFAULT_CIPHERS } from '../../src/proxy/tls/certificate-store.ts';
import { pathTree } from '../../src/routing/path-tree.ts';
import {
  type Backend,
  type GatewayPort,
  type HostRoutes,
  INVALID_REFERENCE,
  type PortKey,
  type Route,
  type RouteTable,
  type StreamRoute,
  type WeightedBackend,
  hostKey,
  portKey,
  streamKey,
} from '../../src/routing/table.ts';
import { BUNDLE } from './bundle.ts';
import { heldPort, loopbackAddress } from './loopback.ts';
import { type Site, tableOf } from './proxy.ts';
import { type RawClient, rawClient } from './raw-client.ts';
import { until } from './until.ts';

/** Where a listener's requests go: a port of 127.0.0.1, or nowhere that a route may name. */
type Target = number | 'invalid-reference';

export interface GatewayHostSpec {
  /** The name of its listener; the hostname unless said. */
  readonly listener?: string;
  /** Ports of Pods by prefix; none for a listener without routes. */
  readonly paths?: Readonly<Record<string, number>>;
  readonly clients?: ClientAuth;
  readonly tls?: 'passthrough' | 'terminate';
  /** What its TLSRoute sends connections to, with weights; none where no route is attached. */
  readonly streams?: readonly (readonly [Target, number])[];
  readonly policies?: PolicyConfigs;
}

export interface GatewayPortSpec {
  readonly address: string;
  readonly port: number;
  /** What clients connect to, if it is another one. */
  readonly clientPort?: number;
  readonly isTls?: boolean;
  /** By hostname. */
  readonly hosts: Readonly<Record<string, GatewayHostSpec>>;
  /** Names of Secrets by hostname. */
  readonly certificates?: Readonly<Record<string, string>>;
}

export interface GatewayStreamSpec {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
  /** Null while no route is attached. */
  readonly targets: readonly (readonly [Target, number])[] | null;
}

export interface GatewayTableSpec {
  readonly ports?: readonly GatewayPortSpec[];
  readonly streams?: readonly GatewayStreamSpec[];
  /** Of Ingresses. */
  readonly sites?: readonly Site[];
}

/** A table as the compiler makes it of Gateways, by hand. */
export function gatewayTable({ ports = [], streams = [], sites = [] }: GatewayTableSpec): RouteTable {
  const table = tableOf(sites);
  const backends = new Map<string, Backend>();
  for (const site of sites) {
    const key = `default/${site.host ?? 'app.test'}:80`;
    const endpoints = site.ports.map((port) => ({ address: '127.0.0.1', port }));
    backends.set(key, { key, protocol: 'http', endpoints, externalName: null, unavailable: null });
  }
  const backendOf = (port: Target): string => {
    if (port === 'invalid-reference') return INVALID_REFERENCE;
    const key = `default/pod-${port}:80`;
    const endpoints = [{ address: '127.0.0.1', port }];
    backends.set(key, { key, protocol: 'http', endpoints, externalName: null, unavailable: null });
    return key;
  };
  const routeOf = (
    kind: Route['kind'],
    path: string,
    targets: readonly (readonly [Target, number])[],
  ): Route => {
    const all = targets.map(([port, weight]): WeightedBackend => ({
      key: backendOf(port),
      weight,
      canary: null,
    }));
    const route = { path, pathType: 'Prefix', ingress: 'default/route', field: 'spec.rules[0]' } as const;
    return {
      ...route,
      ...(kind && { kind }),
      backend: all[0]?.key ?? INVALID_REFERENCE,
      ...(all.length > 1 && { backends: all }),
      policies: null,
    };
  };
  const clientPolicies = new Map<string, ClientAuth>();
  const hostOf = (name: string, spec: GatewayHostSpec): HostRoutes => {
    const policies = policySet(spec.policies ?? {}, []);
    const slots = Object.entries(spec.paths ?? {}).map(([path, port]) => {
      const route = {
        ...routeOf('HTTPRoute', path, [[port, 1]]),
        policies,
      };
      return [path === '/' ? '' : path, { whole: null, prefix: route }] as const;
    });
    if (spec.clients) clientPolicies.set(spec.clients.policyId, spec.clients);
    const route = spec.streams ? { ...routeOf('TLSRoute', '', spec.streams), policies } : null;
    return {
      host: name,
      namespace: 'default',
      paths: pathTree(new Map(slots)),
      defaultRoute: null,
      ...(spec.clients && { clients: { policyId: spec.clients.policyId, ingress: 'default/gateway' } }),
      gateway: {
        listener: `Gateway default/gateway/${spec.listener ?? name}`,
        ...(spec.tls && { tls: { mode: spec.tls, route } }),
      },
    };
  };
  const gatewayPorts = ports.map((spec): [string, GatewayPort] => {
    const { address, port, clientPort, isTls = false, hosts, certificates = {} } = spec;
    const byKey = <A, B>(
      of: Readonly<Record<string, A>>,
      map: (name: string, value: A) => B,
    ): ShardedMap<B> =>
      mapOf(Object.entries(of).map(([name, value]) => [hostKey(name), map(name, value)] as const));
    const maps = { hosts: byKey(hosts, hostOf), certificates: byKey(certificates, (_, secret) => secret) };
    const place = { address, port, ...(clientPort !== undefined && { clientPort }) };
    return [portKey(address, port), { ...place, isTls, ...maps }];
  });
  const gatewayStreams = streams.map(({ protocol, address, port, targets }): [string, StreamRoute] => {
    const route = targets && routeOf(protocol === 'tcp' ? 'TCPRoute' : 'UDPRoute', '', targets);
    const rest = { configMap: '', acceptsProxyProtocol: false, sendsProxyProtocol: false };
    const stream = { protocol, port, backend: route?.backend ?? '', gateway: { address, route }, ...rest };
    return [streamKey(protocol, portKey(address, port)), stream];
  });
  return {
    ...table,
    ports: mapOf(gatewayPorts),
    streams: mapOf(gatewayStreams),
    backends: mapOf([...backends]),
    clientPolicies: mapOf([...clientPolicies]),
  };
}

/** Data-plane threads that are given tables by hand. */
export interface GatewayPlane extends AsyncDisposable {
  readonly threads: Threads;
  /** Where Portico listens by its flags, for both of its ports. */
  readonly address: string;
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly failures: readonly ThreadFailure[];
  /** The keys of ports whose state changed, one for each change. */
  readonly portChanges: readonly string[];
  /** Lines of the access log, as JSON. */
  readonly log: readonly Record<string, unknown>[];
  distribute(table: RouteTable): void;
  /** Distributes, and waits until all threads listen on all of its ports. */
  serve(spec: GatewayTableSpec): Promise<void>;
}

const ENTRY = BUNDLE
  ? pathToFileURL(join(BUNDLE, '../threads/threads-entry.mjs'))
  : new URL('../proxy/threads-entry.ts', import.meta.url);

export interface GatewayPlaneSettings {
  readonly engine?: EngineName;
  readonly threads?: number;
  readonly keys?: Readonly<Record<string, KeyPair>>;
  /** Shown where Ingresses have no certificate; there is no TLS port of Ingresses when absent. */
  readonly selfSigned?: KeyPair;
  readonly limits?: Partial<Limits>;
}

export async function startGatewayPlane(settings: GatewayPlaneSettings = {}): Promise<GatewayPlane> {
  const address = loopbackAddress();
  const httpPort = await heldPort();
  const httpsPort = await heldPort();
  const { selfSigned = null, engine = 'relay', threads: count = 2 } = settings;
  const failures: ThreadFailure[] = [];
  const portChanges: string[] = [];
  const log: Record<string, unknown>[] = [];
  const keys = mapOf(Object.entries(settings.keys ?? {}));
  const threads = startThreads({
    count,
    entry: ENTRY,
    settings: {
      engine,
      limits: { ...DEFAULT_LIMITS, ...settings.limits },
      streams: { host: address, reusePort: true },
      trustedProxies: [],
      nameRules: { allowLoopback: true },
      proxyProtocolFrom: [],
      proxyProtocolHttpsPorts: [],
      tls: { minVersion: '1.2', ciphers: DEFAULT_CIPHERS, selfSigned },
      healthCheck: null,
      httpsRedirect: null,
      strictTransportSecurity: null,
      accessLog: { format: 'json', filter: LOG_ALL, redact: [] },
    },
    addresses: [
      { host: address, port: httpPort, reusePort: true },
      ...(selfSigned ? [{ host: address, port: httpsPort, reusePort: true, scheme: 'https' } as const] : []),
    ],
    onAccessLog(_, lines) {
      for (const line of lines.trim().split('\n')) log.push(JSON.parse(line) as Record<string, unknown>);
    },
    names: {
      resolve: async ({ host }) => ({ host, namespace: 'default', addresses: [], freshForMs: 5_000 }),
    },
    onFailure: (failure) => failures.push(failure),
    onPortChange: (key) => portChanges.push(key),
  });
  threads.useTicketKey(Buffer.alloc(48, 7));
  let open: ReadonlySet<PortKey> = new Set();
  const distribute = (table: RouteTable): void => threads.distribute(table, keys, emptyMap());
  return {
    threads,
    address,
    httpPort,
    httpsPort,
    failures,
    portChanges,
    log,
    distribute,
    async serve(spec) {
      const wanted = new Set((spec.ports ?? []).map((place) => portKey(place.address, place.port)));
      const gone = [...open].filter((key) => !wanted.has(key));
      open = wanted;
      distribute(gatewayTable(spec));
      await threads.listening;
      // A port that comes back must not be taken for one that was never away.
      await until(
        () => !gone.some((key) => threads.isPortBound(key)),
        `closed: ${gone.slice(0, 8).join(', ')}`,
      );
      const places = [...(spec.ports ?? []), ...(spec.streams ?? [])].map((place) => {
        const key = portKey(place.address, place.port);
        return 'protocol' in place ? streamKey(place.protocol, key) : key;
      });
      await until(
        () => places.every((key) => threads.isPortBound(key)),
        `bound: ${places.slice(0, 8).join(', ')}`,
      );
    },
    async [Symbol.asyncDispose]() {
      await threads.drain(0);
      expect(failures).toEqual([]);
    },
  };
}

/** The status of a GET on a connection of its own, and what it says. */
export async function ask(
  place: { readonly address: string; readonly port: number },
  host: string,
  path = '/',
): Promise<{ status: number; body: string }> {
  using client = await rawClient(place.port, place.address);
  return await askOn(client, host, path);
}

export async function askOn(
  client: RawClient,
  host: string,
  path = '/',
): Promise<{ status: number; body: string }> {
  client.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const { status, body } = await client.message();
  return { status, body };
}

/** Whether connections are refused. */
export function refuses({
  address,
  port,
}: {
  readonly address: string;
  readonly port: number;
}): Promise<boolean> {
  const socket = connect(port, address);
  return new Promise((resolve) => {
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'));
  });
}
