import { isDeepStrictEqual } from 'node:util';
import type { ClientAuth } from '../../policies/client-certificate.ts';
import { type IndexUpdate, updateIndex } from '../../model/reverse-index.ts';
import {
  type MapEdit,
  type ShardedMap,
  difference,
  edit,
  emptyMap,
  get,
  values,
} from '../../model/sharded-map.ts';
import { type HostTable, type RoutesLeftOut, hostTable } from '../gateway/host-table.ts';
import type { PlannedPort } from '../gateway/listener-plan.ts';
import type { Listener } from '../gateway/listeners.ts';
import { listenersByHostname, ownerOf, portCertificates } from '../gateway/port-table.ts';
import { byAge } from '../gateway/read-route.ts';
import {
  type GatewayPort,
  type HostRoutes,
  INVALID_REFERENCE,
  type StreamRoute,
  hostKey,
  portKey,
  streamKey,
} from '../table.ts';
import {
  type AttachmentChange,
  type CompiledGateways,
  hostPlace,
  placesOf,
  splitPlace,
} from './compile-gateways.ts';
import { type Attachment, attachedPlace } from '../gateway/attachment.ts';
import type { ReverseIndex } from '../../model/reverse-index.ts';
import { type CompileFault, faultProblem } from './fault.ts';

export interface CompiledPorts {
  readonly ports: ShardedMap<GatewayPort>;
  /** By the key that `RouteTable.streams` has them under. */
  readonly streams: ReadonlyMap<string, StreamRoute>;
  /** The hostnames of each port that routes are attached to, whether they are served there or not. */
  readonly hostnamesByPort: ReverseIndex;
  /** By `hostPlace`: the routes of which a part is not served there; no entry where there is none. */
  readonly leftOut: ShardedMap<RoutesLeftOut>;
  /** What ports use: Secrets with certificates, and policies for clients. */
  readonly secretUpdates: readonly IndexUpdate[];
  readonly clientUpdates: readonly IndexUpdate[];
  readonly clientPolicies: ReadonlyMap<string, ClientAuth>;
  /** What was worked out again, as `hostPlace` writes it. */
  readonly affectedPlaces: ReadonlySet<string>;
}

export interface PortsBefore {
  readonly ports: ShardedMap<GatewayPort>;
  readonly gateways: CompiledGateways;
  readonly hostnamesByPort: ReverseIndex;
  readonly leftOut: ShardedMap<RoutesLeftOut>;
}

/** Works out again the hostnames at each port whose routes changed; all those of a port whose listeners did. */
export function compilePorts(
  from: PortsBefore,
  gateways: CompiledGateways,
  changes: readonly AttachmentChange[],
  faults: CompileFault[],
): CompiledPorts {
  const hostnamesByPort = updateIndex(
    from.hostnamesByPort,
    [...difference(from.gateways.routesByPlace, gateways.routesByPlace)].map(([place, after]) => {
      const [port, hostname] = splitPlace(place);
      const was = get(from.gateways.routesByPlace, place) !== undefined;
      return { member: hostname, before: was ? [port] : [], after: after ? [port] : [] };
    }),
  );
  const affected = new Map<string, Set<string>>();
  const touch = (port: string, hostname: string): void => {
    const hostnames = affected.get(port) ?? new Set();
    affected.set(port, hostnames.add(hostname));
  };
  for (const { before, after } of changes) {
    for (const place of [...placesOf(before), ...placesOf(after)]) touch(...splitPlace(place));
  }
  const { ports: planned } = gateways.plan;
  const isSamePlan = gateways.plan === from.gateways.plan;
  if (!isSamePlan) {
    const earlier = from.gateways.plan.ports;
    for (const key of new Set([...earlier.keys(), ...planned.keys()])) {
      const [a, b] = [earlier.get(key), planned.get(key)];
      if (isDeepStrictEqual(a, b)) continue;
      if (!affected.has(key)) affected.set(key, new Set());
      const hostnames = [...(a?.listeners ?? []), ...(b?.listeners ?? [])].map(({ hostname }) => hostname);
      for (const hostname of [...hostnames, ...(get(hostnamesByPort, key) ?? [])]) {
        if (!isSameOwner(a, b, hostname)) touch(key, hostname);
      }
    }
  }

  const ports = edit(from.ports);
  const leftOut = edit(from.leftOut);
  const secretUpdates: IndexUpdate[] = [];
  const clientUpdates: IndexUpdate[] = [];
  const clientPolicies = new Map<string, ClientAuth>();
  for (const [key, hostnames] of affected) {
    const plan = planned.get(key);
    const before = ports.get(key);
    const isHttp = plan?.carrier === 'http' || plan?.carrier === 'tls';
    for (const hostname of hostnames) leftOut.delete(hostPlace(key, hostname));
    const after =
      plan && isHttp
        ? portOf(key, plan, before, isSamePlan, hostnames, gateways, leftOut, faults)
        : undefined;
    const member = `Port ${key}`;
    if (before?.certificates !== after?.certificates)
      secretUpdates.push({ member, before: secretsOf(before), after: secretsOf(after) });
    for (const hostname of hostnames) {
      const [was, is] = [policyIdsAt(before, hostname), policyIdsAt(after, hostname)];
      clientUpdates.push({ member: `${member} ${hostname}`, before: was, after: is });
      const clients = is.length > 0 && plan ? ownerOf(plan, hostname)?.clients : null;
      if (clients && clients !== 'unverifiable') clientPolicies.set(clients.policyId, clients);
    }
    if (after === undefined) ports.delete(key);
    else ports.set(key, after);
  }
  return {
    ports: ports.done(),
    streams: streamsOf(gateways),
    hostnamesByPort,
    leftOut: leftOut.done(),
    secretUpdates,
    clientUpdates,
    clientPolicies,
    affectedPlaces: new Set(
      [...affected].flatMap(([port, hostnames]) => [...hostnames].map((each) => hostPlace(port, each))),
    ),
  };
}

/** Whether a hostname at a port is served by the same listener, in the same way. */
function isSameOwner(a: PlannedPort | undefined, b: PlannedPort | undefined, hostname: string): boolean {
  if (!a || !b || a.carrier !== b.carrier) return false;
  const [before, after] = [ownerOf(a, hostname), ownerOf(b, hostname)];
  if (before !== after && !isDeepStrictEqual(before, after)) return false;
  return after === null || a.clientSecrets.get(after.id) === b.clientSecrets.get(after.id);
}

function portOf(
  key: string,
  plan: PlannedPort,
  before: GatewayPort | undefined,
  isSamePlan: boolean,
  affected: ReadonlySet<string>,
  gateways: CompiledGateways,
  leftOut: MapEdit<RoutesLeftOut>,
  faults: CompileFault[],
): GatewayPort {
  const hosts = edit(before?.hosts ?? emptyMap<HostRoutes>());
  const own = listenersByHostname(plan);
  for (const hostname of affected) {
    const owner = ownerOf(plan, hostname);
    const attached = owner === null ? [] : attachedAt(key, hostname, owner, gateways);
    const last = hosts.get(hostKey(hostname));
    if (owner === null || (attached.length === 0 && !own.has(hostname))) {
      hosts.delete(hostKey(hostname));
      continue;
    }
    const secret = plan.clientSecrets.get(owner.id) ?? null;
    const next = isolated(owner, hostname, attached, secret, faults);
    if (!isDeepStrictEqual(last, next.routes)) hosts.set(hostKey(hostname), next.routes);
    if (next.leftOut.size > 0) leftOut.set(hostPlace(key, hostname), next.leftOut);
  }
  const certificates = isSamePlan && before ? before.certificates : portCertificates(plan);
  return {
    address: plan.address,
    port: plan.port,
    ...(plan.clientPort !== undefined && { clientPort: plan.clientPort }),
    isTls: plan.carrier === 'tls',
    hosts: hosts.done(),
    certificates:
      before && isDeepStrictEqual(before.certificates, certificates) ? before.certificates : certificates,
  };
}

/** The routes that a listener has at a hostname. */
function attachedAt(
  port: string,
  hostname: string,
  owner: Listener,
  { routesByPlace, attachments }: Pick<CompiledGateways, 'routesByPlace' | 'attachments'>,
): readonly Attachment[] {
  return [...(get(routesByPlace, hostPlace(port, hostname)) ?? [])].flatMap((key) => {
    const attachment = get(attachments, key);
    return attachment?.places.has(attachedPlace(owner.id, hostname)) ? [attachment] : [];
  });
}

/** A hostname that we fail on answers 404; the others are served. */
function isolated(
  owner: Listener,
  hostname: string,
  attached: readonly Attachment[],
  clientSecret: string | null,
  faults: CompileFault[],
): HostTable {
  try {
    return hostTable(
      owner,
      hostname,
      attached.map(({ route }) => route),
      clientSecret,
    );
  } catch (error) {
    const [kind = '', key = ''] = owner.parent.split(' ', 2);
    const [namespace = '', name = ''] = key.split('/', 2);
    faultProblem({ kind, namespace, name }, error, faults);
    return hostTable(owner, hostname, [], null);
  }
}

function secretsOf(port: GatewayPort | undefined): readonly string[] {
  return port ? [...new Set(values(port.certificates))] : [];
}

function policyIdsAt(port: GatewayPort | undefined, hostname: string): readonly string[] {
  const policyId = port && get(port.hosts, hostKey(hostname))?.clients?.policyId;
  return policyId ? [policyId] : [];
}

/** The ports that are relayed as they are. The oldest of several routes is served. */
function streamsOf({ plan, routesByPlace, attachments }: CompiledGateways): ReadonlyMap<string, StreamRoute> {
  const streams = new Map<string, StreamRoute>();
  for (const [key, { address, port, carrier, listeners }] of plan.ports) {
    const [listener] = listeners;
    if (!listener || (carrier !== 'tcp' && carrier !== 'udp')) continue;
    const attached = attachedAt(key, '', listener, { routesByPlace, attachments });
    const [oldest] = attached.map(({ route }) => route).sort(byAge);
    const route = oldest?.stream ?? null;
    streams.set(streamKey(carrier, portKey(address, port)), {
      protocol: carrier,
      port,
      backend: route?.backend ?? INVALID_REFERENCE,
      configMap: '',
      acceptsProxyProtocol: false,
      sendsProxyProtocol: false,
      gateway: { address, route },
    });
  }
  return streams;
}
