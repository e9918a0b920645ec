import type { AccessLogSettings } from '../proxy/access-log/access-log-lines.ts';
import type { UntypedObject } from '../model/untyped.ts';
import { SERVICE, addressPool, portRange } from './address-pool.ts';
import type { PortRange } from '../routing/gateway/service-ports.ts';
import type { Limits } from '../proxy/limits.ts';
import type { LimitStoreAddress } from '../proxy/limit-store/limit-store.ts';
import { SOCKET_CHOICES, type SocketChoice } from '../proxy/sockets/sockets.ts';
import { ENGINES, type EngineName } from '../proxy/threads/messages.ts';
import { DEFAULT_CIPHERS, TLS_VERSIONS, type TlsVersion } from '../proxy/tls/certificate-store.ts';
import { HOST_OWNERSHIPS, type HostOwnership } from '../routing/settings.ts';
import { type DropIn, applyDropIn } from './drop-in.ts';
import { CREDENTIAL_NAMES } from '../http/redact-target.ts';
import { accessLogFormat, parameterName, shareOfOne, skippedPath, statusRange } from './access-log-values.ts';
import { COMPILE_FLAGS, CLEANUP_FLAGS, PUBLISH_FLAGS, RUN_FLAGS } from './flags.ts';

import {
  type AdminAddress,
  adminAddress,
  recentRequests,
  nonEmptyText,
  boolean,
  oneOf,
  port,
  httpsPort,
  ipAddress,
  configMapName,
  controllerName,
  healthCheckPath,
  publishAddress,
  namespaceName,
  serviceName,
  cidr,
  workers,
  namespaceGlob,
  secretName,
  hsts,
  ciphers,
  servicePort,
  duration,
  leaseDuration,
  limit,
  limitStore,
  limits,
  annotationsPrefix,
  labelSelector,
} from './flag-values.ts';
import { FlagReader, type ConfigResult, type Environment, type FlagValues } from './flag-reader.ts';

export type { ConfigResult, Environment, FlagValues };

/** Where objects come from. */
export type SourceConfig =
  | { readonly kind: 'manifests'; readonly paths: readonly string[] }
  | { readonly kind: 'cluster'; readonly kubeconfig: string | null; readonly context: string | null };

/** What is compiled: shared by `run`, `check` and `explain`. */
export interface CompileConfig {
  /** The controller in whose place Portico serves: its defaults hold. */
  readonly dropIn: DropIn | null;
  /** `namespace/name` */
  readonly ingressNginxConfigMap: string | null;
  readonly tcpServicesConfigMap: string | null;
  readonly udpServicesConfigMap: string | null;
  readonly source: SourceConfig;
  /** Whether the subfolders of manifests are read. */
  readonly recursive: boolean;
  /** Globs; empty for all namespaces. */
  readonly watchNamespaces: readonly string[];
  readonly ingressClass: string;
  readonly controllerName: string;
  readonly watchIngressWithoutClass: boolean;
  /** The controllerName of our GatewayClasses; null when Gateway API is turned off. */
  readonly gatewayController: string | null;
  /** Addresses of this node of which each Gateway has one for itself; they share all of them when there are none. */
  readonly gatewayAddresses: readonly string[];
  /** The ports that Services of Gateways lead to, where they have some. */
  readonly gatewayPortRange: PortRange;
  /** The same; null where Gateways have no Services. */
  readonly gatewayServicePorts: PortRange | null;
  readonly hostOwnership: HostOwnership;
  /** Whether backends may be on this machine's loopback and link-local addresses. */
  readonly allowLoopback: boolean;
  readonly allowCrossNamespaceExternalNames: boolean;
  /** A metav1.LabelSelector; null for all namespaces. */
  readonly namespaceSelector: UntypedObject | null;
  /** Of ingress-nginx. */
  readonly annotationsPrefix: string;
  readonly externalNames: boolean;
  readonly catchAll: boolean;
  readonly allowCrossNamespaceReferences: boolean;
  readonly defaultBackend: {
    readonly namespace: string;
    readonly service: string;
    readonly port: string;
  } | null;
  /** Where Portico runs; null when nobody said. */
  readonly nodeName: string | null;
  readonly zone: string | null;
  readonly httpPort: number;
  /** 0 for none. */
  readonly httpsPort: number;
  /** `namespace/name` of the Secret that serves TLS hosts without a certificate of their own. */
  readonly defaultTlsSecret: string | null;
  /** Where load balancers ask for Portico's health on the ports of clients; null for nowhere. */
  readonly healthCheckPath: string | null;
  /** Send clients of hosts with TLS from http to https. */
  readonly sslRedirect: boolean;
}

/** What is written to the cluster. */
export interface PublishConfig {
  /** IP addresses and host names. */
  readonly addresses: readonly string[];
  /** `namespace/name` of the Service whose addresses are published. */
  readonly service: string | null;
  readonly status: boolean;
  readonly events: boolean;
  /** Of the Lease; null for that of the Pod. */
  readonly namespace: string | null;
  readonly leaseDurationMs: number;
}

export interface CleanupConfig extends Pick<
  CompileConfig,
  'watchNamespaces' | 'ingressClass' | 'controllerName' | 'watchIngressWithoutClass'
> {
  readonly kubeconfig: string | null;
  readonly context: string | null;
  readonly addresses: readonly string[];
  readonly namespace: string | null;
  readonly dryRun: boolean;
}

export interface Config extends CompileConfig {
  readonly publish: PublishConfig;
  /** Where the last snapshot of the cluster is kept; null for nowhere. */
  readonly snapshotFile: string | null;
  /** Whether that file may hold keys. */
  readonly snapshotSecrets: boolean;
  readonly h2c: boolean;
  /** Null where every replica counts clients by itself. */
  readonly rateLimitStore: LimitStoreAddress | null;
  readonly underscoresInHeaders: boolean;
  readonly bareLfInResponses: boolean;
  readonly proxyProtocolFrom: readonly string[];
  readonly proxyProtocolHttpsPorts: readonly number[];
  /** The value of Strict-Transport-Security; null for none. */
  readonly hsts: string | null;
  readonly tlsMinVersion: TlsVersion;
  readonly tlsCiphers: string;
  readonly bindAddress: string | null;
  /** 0 for none. */
  readonly statusPort: number;
  /** A Unix socket that answers the same. */
  readonly statusSocket: string | null;
  /** A Unix socket for the admin API. */
  readonly adminSocket: string | null;
  /** Of each thread, kept for the admin API. */
  readonly recentRequests: number;
  /** `auto` is any loopback port; null for none. */
  readonly adminAddress: AdminAddress;
  readonly trustedProxies: readonly string[];
  /** Whether traced requests continue the traces that their clients name. */
  readonly trustTraceContext: boolean;
  readonly engine: EngineName;
  readonly sockets: SocketChoice;
  readonly workers: number;
  readonly limits: Limits;
  readonly metricsCompat: MetricsCompat;
  readonly accessLog: AccessLogFlags;
  /** Whether clients get the X-Request-ID of their request. */
  readonly returnRequestId: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: 'auto' | 'json' | 'text';
  readonly drainTimeoutMs: number;
}

export interface AccessLogFlags extends Omit<AccessLogSettings, 'format'> {
  /** `auto` is text at a terminal, otherwise JSON. */
  readonly format: AccessLogSettings['format'] | 'auto';
}

const METRICS_COMPATS = ['off', 'ingress-nginx'] as const;
export type MetricsCompat = (typeof METRICS_COMPATS)[number];

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The whole configuration of `portico run`, or every mistake in it. Flags win over the environment. */
export function resolveConfig(flags: FlagValues, env: Environment): ConfigResult<Config> {
  const read = new FlagReader(RUN_FLAGS, flags, env);
  const dropIn = applyDropIn(read);
  const compiled = readCompileConfig(read, dropIn);
  const config: Config = {
    ...compiled,
    publish: readPublishConfig(read),
    snapshotFile: read.optional('snapshot-file', nonEmptyText),
    snapshotSecrets: read.flag('snapshot-secrets'),
    h2c: read.flag('h2c'),
    rateLimitStore: read.optional('rate-limit-store', limitStore),
    underscoresInHeaders: read.flag('underscores-in-headers'),
    bareLfInResponses: read.flag('bare-lf-in-responses'),
    proxyProtocolFrom: read.many('proxy-protocol-from', cidr),
    // 0 takes the default away.
    proxyProtocolHttpsPorts: read.many('proxy-protocol-https-port', port(0)).filter((each) => each > 0),
    hsts: read.one('hsts', hsts),
    tlsMinVersion: read.one('tls-min-version', oneOf(TLS_VERSIONS)),
    tlsCiphers: read.optional('tls-ciphers', ciphers) ?? DEFAULT_CIPHERS,
    bindAddress: read.optional('bind-address', ipAddress),
    statusPort: read.one('status-port', port(0)),
    statusSocket: read.optional('status-socket', nonEmptyText),
    adminSocket: read.optional('admin-socket', nonEmptyText),
    recentRequests: read.one('recent-requests', recentRequests),
    adminAddress: readAdminAddress(read, compiled.source.kind),
    trustedProxies: read.many('trusted-proxies', cidr),
    trustTraceContext: read.flag('trust-trace-context'),
    engine: read.one('engine', oneOf(ENGINES)),
    sockets: read.one('sockets', oneOf(SOCKET_CHOICES)),
    workers: read.one('workers', workers),
    limits: limits(read.many('limit', limit)),
    metricsCompat: read.one('metrics-compat', oneOf(METRICS_COMPATS)),
    accessLog: readAccessLog(read),
    returnRequestId: read.flag('return-request-id'),
    logLevel: read.one('log-level', oneOf(LOG_LEVELS)),
    logFormat: read.one('log-format', oneOf(['auto', 'json', 'text'])),
    drainTimeoutMs: read.one('drain-timeout', duration),
  };
  if (config.source.kind === 'manifests') {
    if (config.source.paths.includes('-'))
      read.errors.push('--manifests -: only check, explain and audit read standard input');
    if (read.given('snapshot-file'))
      read.errors.push(
        '--manifests and --snapshot-file exclude each other: files are there at the next start',
      );
    if (config.gatewayServicePorts !== null)
      read.errors.push('--gateway-addresses service needs a cluster, where Portico can make Services');
    for (const { name } of PUBLISH_FLAGS) {
      if (read.given(name))
        read.errors.push(`--manifests and --${name} exclude each other: files have nowhere to publish to`);
    }
  }
  const { adminAddress: admin } = config;
  const adminPort = admin === null || admin === 'auto' ? 0 : admin?.port;
  // Neither is a number after a mistake in it.
  const ports = [
    ['--status-port', config.statusPort],
    ['--admin-address', adminPort],
    ['--https-port', config.httpsPort],
    ['--http-port', config.httpPort],
  ] as const;
  for (const [index, [flag, number]] of ports.entries()) {
    const [other] = ports.slice(index + 1).find(([, each]) => each > 0 && each === number) ?? [];
    if (other) read.errors.push(`${flag} and ${other} are both ${number}: give them different ports`);
  }
  return read.result(config);
}

/** The configuration of `portico check`, `explain` and `audit`, or every mistake in it. */
export function resolveCompileConfig(flags: FlagValues, env: Environment): ConfigResult<CompileConfig> {
  const read = new FlagReader(COMPILE_FLAGS, flags, env);
  const dropIn = applyDropIn(read);
  return read.result(readCompileConfig(read, dropIn));
}

/** The configuration of `portico cleanup`, or every mistake in it. */
export function resolveCleanupConfig(flags: FlagValues, env: Environment): ConfigResult<CleanupConfig> {
  const read = new FlagReader(CLEANUP_FLAGS, flags, env);
  applyDropIn(read);
  return read.result({
    kubeconfig: read.optional('kubeconfig', nonEmptyText),
    context: read.optional('context', nonEmptyText),
    watchNamespaces: read.many('watch-namespace', namespaceGlob),
    ingressClass: read.one('ingress-class', nonEmptyText),
    controllerName: read.one('controller-name', nonEmptyText),
    watchIngressWithoutClass: read.flag('watch-ingress-without-class'),
    addresses: read.many('publish-address', publishAddress),
    namespace: read.optional('publish-namespace', namespaceName),
    dryRun: read.flag('dry-run'),
  });
}

function readAccessLog(read: FlagReader): AccessLogFlags {
  const statuses = read.many('access-log-status', statusRange);
  const minDurationMs = read.optional('access-log-min-duration', duration);
  const share = read.optional('access-log-sample', shareOfOne);
  const redact = read.many('access-log-redact', parameterName);
  const selects = statuses.length > 0 || minDurationMs !== null;
  return {
    format: read.one('access-log', accessLogFormat),
    filter: {
      statuses: statuses.length > 0 || share === null ? statuses : [[500, 599]],
      minDurationMs,
      share: share ?? (selects ? 0 : 1),
      skip: read.many('access-log-skip', skippedPath),
    },
    redact: redact.length > 0 ? redact.filter((name) => name !== 'off') : CREDENTIAL_NAMES,
  };
}

/** Who serves files is at this machine, and looks at what becomes of them. */
function readAdminAddress(read: FlagReader, source: CompileConfig['source']['kind']): AdminAddress {
  const address = read.one('admin-address', adminAddress);
  return address === 'auto' && source === 'cluster' ? null : address;
}

function readPublishConfig(read: FlagReader): PublishConfig {
  const addresses = read.many('publish-address', publishAddress);
  const service = read.optional('publish-service', serviceName);
  if (addresses.length > 0 && service !== null) {
    read.errors.push(
      '--publish-address and --publish-service exclude each other: give the addresses or the Service that has them',
    );
  }
  return {
    addresses,
    service,
    status: read.flag('publish-status'),
    events: read.flag('publish-events'),
    namespace: read.optional('publish-namespace', namespaceName),
    leaseDurationMs: read.one('leader-elect-lease-duration', leaseDuration),
  };
}

function readGatewayAddresses(
  read: FlagReader,
): Pick<CompileConfig, 'gatewayAddresses' | 'gatewayPortRange' | 'gatewayServicePorts'> {
  const addresses = [...new Set(read.many('gateway-addresses', addressPool).flat())];
  const gatewayPortRange = read.one('gateway-service-ports', portRange);
  if (!addresses.includes(SERVICE))
    return { gatewayAddresses: addresses, gatewayPortRange, gatewayServicePorts: null };
  if (addresses.length > 1) read.errors.push('--gateway-addresses: give addresses, or service, and not both');
  return { gatewayAddresses: [], gatewayPortRange, gatewayServicePorts: gatewayPortRange };
}

function readCompileConfig(read: FlagReader, dropIn: DropIn | null): CompileConfig {
  // What the command line says wins: manifests of the environment yield to a cluster named there.
  const clusterNamed = read.given('kubeconfig') || read.given('context');
  const manifests = clusterNamed && !read.given('manifests') ? [] : read.many('manifests', nonEmptyText);
  const kubeconfig = read.optional('kubeconfig', nonEmptyText);
  const context = read.optional('context', nonEmptyText);
  if (manifests.length > 0) {
    for (const name of ['kubeconfig', 'context']) {
      if (read.given(name))
        read.errors.push(`--manifests and --${name} exclude each other: choose files or a cluster`);
    }
  }
  const httpPort = read.one('http-port', port(1));
  const gatewayController = read.one('gateway-controller-name', controllerName);
  return {
    dropIn,
    ingressNginxConfigMap: read.optional('ingress-nginx-configmap', configMapName),
    tcpServicesConfigMap: read.optional('tcp-services-configmap', configMapName),
    udpServicesConfigMap: read.optional('udp-services-configmap', configMapName),
    source:
      manifests.length > 0
        ? { kind: 'manifests', paths: manifests }
        : { kind: 'cluster', kubeconfig, context },
    recursive: read.flag('recursive'),
    watchNamespaces: read.many('watch-namespace', namespaceGlob),
    ingressClass: read.one('ingress-class', nonEmptyText),
    controllerName: read.one('controller-name', nonEmptyText),
    watchIngressWithoutClass: read.flag('watch-ingress-without-class'),
    gatewayController: read.flag('gateway-api') ? gatewayController : null,
    ...readGatewayAddresses(read),
    hostOwnership: read.one('host-ownership', oneOf(HOST_OWNERSHIPS)),
    // Who can write a manifest file is on this machine already; who writes to a cluster is not.
    allowLoopback: manifests.length > 0 || read.flag('allow-loopback'),
    allowCrossNamespaceExternalNames: read.flag('allow-cross-namespace-external-names'),
    namespaceSelector: read.optional('watch-namespace-selector', labelSelector),
    annotationsPrefix: read.one('annotations-prefix', annotationsPrefix),
    externalNames: read.one('external-names', boolean),
    catchAll: read.one('catch-all', boolean),
    allowCrossNamespaceReferences: read.flag('allow-cross-namespace-references'),
    defaultBackend: read.optional('default-backend', servicePort),
    nodeName: read.optional('node-name', nonEmptyText),
    zone: read.optional('zone', nonEmptyText),
    httpPort,
    // If HTTP is not on 80, do not default to 443 either.
    httpsPort: read.one('https-port', httpsPort) ?? (httpPort === 80 ? 443 : 0),
    defaultTlsSecret: read.optional('default-tls-secret', secretName),
    healthCheckPath: read.one('health-check-path', healthCheckPath),
    sslRedirect: read.one('ssl-redirect', boolean),
  };
}
