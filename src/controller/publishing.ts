import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { apiCallOf } from '../kubernetes/api-client.ts';
import type { Config } from '../config/config.ts';
import { parseAddress } from '../publish/addresses.ts';
import { systemClock } from '../kubernetes/clock.ts';
import { LEASE_TIMES, type LeaseTimes } from '../publish/lease.ts';
import { Publisher, leaseNameOf } from '../publish/publisher.ts';
import type { EndpointsFrom } from '../publish/portico-endpoints.ts';
import type { AddressesFrom } from '../publish/status-addresses.ts';
import type { Compilation } from '../routing/compile/compile.ts';
import type { PortFacts } from '../routing/gateway/serving-facts.ts';
import type { OpenedCluster } from './open-source.ts';

export interface PublishingOptions {
  readonly config: Config;
  readonly env: NodeJS.ProcessEnv;
  readonly cluster: OpenedCluster;
  readonly compilation: () => Compilation | null;
  /** As `PublishOptions.portFacts`. */
  readonly portFacts: () => PortFacts | null;
  readonly logger: Logger;
}

/** Where deploy/ installs Portico. */
const DEFAULT_NAMESPACE = 'portico-system';
/** What giving back the Lease may take. */
const END_TIMEOUT_MS = 5_000;

/** Starts writing to the cluster, if this process should; says in one line if it does not. */
export function openPublishing(options: PublishingOptions): Publisher | null {
  const { config, env, cluster, compilation, portFacts, logger } = options;
  const { publish } = config;
  const inPod = runsInPod(env);
  const asked = publish.addresses.length > 0 || publish.service !== null;
  if (!publish.status && !publish.events) return null;
  if (!inPod && !asked) {
    logger.info(
      'not in a Pod: no status or Event is written to the cluster; to write them, set --publish-address',
    );
    return null;
  }
  const namespace = publishNamespace(publish.namespace, env, cluster);
  const addresses = publish.status ? addressesFrom(config, env, namespace) : null;
  if (publish.status && !addresses) {
    logger.warn(
      'no status is written: POD_NAME and POD_NAMESPACE are not set as in deploy/daemonset.yaml, ' +
        'and neither --publish-address nor --publish-service is given',
    );
  }
  if (!addresses && !publish.events) return null;
  return new Publisher({
    call: apiCallOf(cluster.api),
    clock: systemClock,
    random: Math.random,
    log: (level, message, fields = {}) => logger[level](fields, message),
    identity: `${env['POD_NAME'] || hostname()}_${randomUUID()}`,
    namespace,
    leaseName: leaseNameOf(config.ingressClass),
    times: leaseTimes(publish.leaseDurationMs),
    controllerName: config.controllerName,
    addresses,
    events: publish.events,
    endpoints: config.gatewayServicePorts && addresses ? endpointsFrom(config, env, namespace) : null,
    compilation,
    portFacts,
    now: Date.now,
  });
}

/** client-go's proportions, whatever the duration. */
function leaseTimes(durationMs: number): LeaseTimes {
  const part = durationMs / LEASE_TIMES.durationMs;
  return {
    durationMs,
    renewDeadlineMs: LEASE_TIMES.renewDeadlineMs * part,
    retryPeriodMs: LEASE_TIMES.retryPeriodMs * part,
  };
}

/** Ends it in bounded time: a Lease that cannot be given back expires by itself. */
export async function endPublishing(publisher: Publisher): Promise<void> {
  const ended = new AbortController();
  const limit = sleep(END_TIMEOUT_MS, undefined, { signal: ended.signal }).catch(() => {});
  await Promise.race([publisher.stop(), limit]);
  ended.abort();
}

/** The namespace of the Lease. A kubeconfig's own namespace is its user's, not ours. */
export function publishNamespace(
  given: string | null,
  env: NodeJS.ProcessEnv,
  cluster: Pick<OpenedCluster, 'namespace'>,
): string {
  const ofPod = env['POD_NAMESPACE'] || (runsInPod(env) ? cluster.namespace : undefined);
  return given ?? (ofPod || DEFAULT_NAMESPACE);
}

function runsInPod(env: NodeJS.ProcessEnv): boolean {
  return Boolean(env['POD_NAME'] || env['KUBERNETES_SERVICE_HOST']);
}

/** In a Pod those of its kind; elsewhere the addresses at which it is reached. */
function endpointsFrom({ publish }: Config, env: NodeJS.ProcessEnv, namespace: string): EndpointsFrom {
  const podName = env['POD_NAME'];
  if (podName) return { kind: 'pods', namespace: env['POD_NAMESPACE'] || namespace, podName };
  const addresses = publish.addresses.map(parseAddress).flatMap((each) => ('ip' in each ? [each.ip] : []));
  return { kind: 'fixed', endpoints: addresses.map((address) => ({ address, node: '' })) };
}

function addressesFrom({ publish }: Config, env: NodeJS.ProcessEnv, namespace: string): AddressesFrom | null {
  if (publish.addresses.length > 0) return { kind: 'fixed', addresses: publish.addresses.map(parseAddress) };
  if (publish.service !== null) return { kind: 'service', service: publish.service };
  const podName = env['POD_NAME'];
  const podNamespace = env['POD_NAMESPACE'] || namespace;
  return podName ? { kind: 'nodes', namespace: podNamespace, podName } : null;
}
