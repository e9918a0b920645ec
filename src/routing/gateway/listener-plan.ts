import { isDeepStrictEqual } from 'node:util';
import { bySpecificity } from './hostnames.ts';
import {
  type Carrier,
  type ListenerPlace,
  PortClaims,
  carrierOf,
  mutualConflicts,
  overlapping,
} from './port-claims.ts';
import type { GatewayRead, ListenerSetRead } from './gateways.ts';
import type { Fault, ParentKey } from './kinds.ts';
import type { Listener } from './listeners.ts';
import { allowsNamespace } from './namespace-rule.ts';
import { type AssignedAddresses, assignAddresses } from './gateway-addresses.ts';
import {
  type AssignedPorts,
  type ClientPort,
  MAX_SERVICE_PORTS,
  type PortShortage,
  type ServicePorts,
  assignServicePorts,
} from './service-ports.ts';
import type { ObjectReader } from '../../model/object-reader.ts';
import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { compareText } from '../precedence.ts';
import type { CompileSettings } from '../settings.ts';
import { type PortKey, portKey } from '../table.ts';

/** What becomes of a listener beside the others. */
export interface PlannedListener {
  readonly listener: Listener;
  readonly gateway: ObjectKey;
  /** Where it is served; empty where it is not. */
  readonly ports: readonly PortKey[];
  /** `ProtocolConflict`, `HostnameConflict` or `PortUnavailable`; null where no other is in its way. */
  readonly conflict: Fault | null;
  /** Another listener of its port ends TLS for some of its hosts. */
  readonly overlaps: boolean;
}

/** The listeners that meet at one address and port: the most specific hostname first. */
export interface PlannedPort {
  readonly address: string;
  readonly port: number;
  /** The port that clients connect to, where that is another one. */
  readonly clientPort?: number;
  readonly carrier: Carrier;
  readonly listeners: readonly Listener[];
  /** What endpoints with TLS are shown for a listener (by its id), as its Gateway says. */
  readonly clientSecrets: ReadonlyMap<string, ObjectKey>;
}

export interface ListenerPlan {
  readonly byParent: ReadonlyMap<ParentKey, readonly PlannedListener[]>;
  readonly ports: ReadonlyMap<string, PlannedPort>;
  readonly gateways: ReadonlyMap<ObjectKey, PlannedGateway>;
  /** ListenerSets for Gateways of ours, and why one is not accepted. */
  readonly sets: ReadonlyMap<ObjectKey, Fault | null>;
}

export interface PlannedGateway extends AssignedAddresses {
  /** The ListenerSets that are accepted. */
  readonly sets: readonly ObjectKey[];
  /** The ports of the nodes that its Service leads to; null where it has none. */
  readonly servicePorts: ServicePorts | null;
}

interface Placed {
  readonly listener: Listener;
  readonly gateway: ObjectKey;
  places: readonly ListenerPlace[];
  conflict: Fault | null;
}

/**
 * Brings the listeners of all Gateways of ours together: which of them are in each other's way, and where each is served.
 * Within a Gateway nobody wins; its ListenerSets come after it, and younger Gateways after older ones.
 */
export function planListeners(
  gateways: readonly GatewayRead[],
  sets: readonly ListenerSetRead[],
  settings: CompileSettings,
  labelsOf: ObjectReader['namespaceLabels'],
): ListenerPlan {
  const oldestFirst = [...gateways].sort(byAge);
  const setsOf = Map.groupBy([...sets].sort(byAge), ({ gateway }) => gateway);
  const addresses = assignAddresses(oldestFirst, settings);
  const byParent = new Map<ParentKey, readonly PlannedListener[]>();
  const plannedGateways = new Map<ObjectKey, PlannedGateway>();
  const plannedSets = new Map<ObjectKey, Fault | null>();
  const taken = new PortClaims();

  const placed: { readonly gateway: GatewayRead; readonly all: readonly Placed[] }[] = [];
  for (const gateway of oldestFirst) {
    const sound = gateway.listeners.filter(({ rejected }) => rejected === null);
    const conflicts = mutualConflicts(sound);
    const all = gateway.listeners.map((listener): Placed => ({
      listener,
      gateway: gateway.key,
      places: [],
      conflict: conflicts.get(listener) ?? null,
    }));
    const claims = new PortClaims();
    for (const each of all) if (isStanding(each)) claims.add(each.listener);
    const accepted: ObjectKey[] = [];
    for (const set of setsOf.get(gateway.key) ?? []) {
      const fault = setFault(gateway, set, labelsOf);
      plannedSets.set(set.key, fault);
      if (fault === null) accepted.push(set.key);
      for (const listener of set.listeners) {
        const conflict = fault === null && listener.rejected === null ? claims.conflict(listener) : null;
        const each: Placed = { listener, gateway: gateway.key, places: [], conflict };
        if (fault === null && isStanding(each)) claims.add(listener);
        all.push(each);
      }
    }
    const at = addresses.get(gateway.key) ?? { addresses: [], fault: null };
    plannedGateways.set(gateway.key, { ...at, sets: accepted, servicePorts: null });
    placed.push({ gateway, all });
  }

  const servicePorts = servicePortsOf(placed, plannedSets, settings);
  for (const { gateway, all } of placed) {
    const planned = plannedGateways.get(gateway.key);
    const assigned = gateway.service && (servicePorts.get(gateway.key) ?? null);
    const ports = assigned?.ports ?? null;
    if (planned && ports) plannedGateways.set(gateway.key, { ...planned, servicePorts: ports });
    for (const each of all) {
      if (!isStanding(each) || isLeftOut(each, plannedSets)) continue;
      const { listener } = each;
      const { port } = listener;
      if (ports) {
        const inner = ports.get(clientPortOf(listener));
        if (inner === undefined) each.conflict = noServicePort(gateway.key, assigned?.shortage ?? null);
        else each.places = [{ address: '', port: inner }];
        continue;
      }
      each.places = (planned?.addresses ?? []).map((address) => ({ address, port }));
      for (const place of each.places) {
        const own = place.address === '' ? ownPortFault(listener, settings) : null;
        const conflict = taken.conflict(listener, place);
        each.conflict ??= own ?? (conflict && unavailable(conflict));
        if (each.conflict === null) taken.add(listener, place);
      }
    }
  }

  for (const { gateway, all } of placed) {
    const standing = all.filter((each) => isStanding(each) && !isLeftOut(each, plannedSets));
    const overlaps = overlapping(standing.map(({ listener }) => listener));
    const byOwner = Map.groupBy(all, ({ listener }) => listener.parent);
    for (const [parent, listeners] of byOwner) {
      byParent.set(
        parent,
        listeners.map((each) => {
          const { listener, conflict } = each;
          const isServed = isStanding(each) && !isLeftOut(each, plannedSets) && isUsable(listener);
          const ports = isServed ? each.places.map(({ address, port }) => portKey(address, port)) : [];
          return {
            listener,
            gateway: gateway.key,
            ports,
            conflict,
            overlaps: overlaps.has(listener),
          };
        }),
      );
    }
  }
  const secrets = new Map(gateways.map(({ key, backendClientSecret }) => [key, backendClientSecret]));
  return { byParent, ports: plannedPorts(byParent, secrets), gateways: plannedGateways, sets: plannedSets };
}

/** The plan with what it says as before as the same values, so that nobody takes it for a change. */
export function sharePlan(before: ListenerPlan, after: ListenerPlan): ListenerPlan {
  const byParent = new Map(
    [...after.byParent].map(([parent, listeners]) => {
      const earlier = before.byParent.get(parent);
      const isSame =
        earlier?.length === listeners.length &&
        listeners.every((each, index) => isSamePlanned(earlier[index], each));
      return [parent, isSame ? earlier : listeners] as const;
    }),
  );
  const sets = new Map(
    [...after.sets].map(([key, fault]) => {
      const earlier = before.sets.get(key);
      return [key, isDeepStrictEqual(earlier, fault) && earlier !== undefined ? earlier : fault] as const;
    }),
  );
  return { ...after, byParent, sets };
}

/** Most are of the same listener: those are cheap to compare, and there may be thousands. */
function isSamePlanned(a: PlannedListener | undefined, b: PlannedListener): boolean {
  if (a?.listener !== b.listener) return isDeepStrictEqual(a, b);
  return (
    a.gateway === b.gateway &&
    a.overlaps === b.overlaps &&
    a.ports.length === b.ports.length &&
    a.ports.every((port, index) => port === b.ports[index]) &&
    (a.conflict === b.conflict || isDeepStrictEqual(a.conflict, b.conflict))
  );
}

/** Whether the same becomes of the listeners of a Gateway or ListenerSet by two plans that share what they can. */
export function isSameParent(a: ListenerPlan, b: ListenerPlan, parent: ParentKey): boolean {
  const set = parent.startsWith('ListenerSet ') ? parent.slice('ListenerSet '.length) : '';
  return a.byParent.get(parent) === b.byParent.get(parent) && a.sets.get(set) === b.sets.get(set);
}

/** The ports of the nodes for those Gateways that have Services. */
function servicePortsOf(
  placed: readonly { readonly gateway: GatewayRead; readonly all: readonly Placed[] }[],
  sets: ReadonlyMap<ObjectKey, Fault | null>,
  { gatewayServicePorts: range, ownPorts = [] }: CompileSettings,
): ReadonlyMap<ObjectKey, AssignedPorts> {
  if (!range) return new Map();
  const requests = placed.flatMap(({ gateway: { key, service }, all }) => {
    if (service === null) return [];
    const standing = all.filter((each) => isStanding(each) && !isLeftOut(each, sets));
    const needs = new Set(standing.map(({ listener }) => clientPortOf(listener)));
    return [{ gateway: key, needs, kept: service.keptPorts }];
  });
  return assignServicePorts(requests, range, ownPorts);
}

function clientPortOf(listener: Listener): ClientPort {
  return `${carrierOf(listener) === 'udp' ? 'UDP' : 'TCP'} ${listener.port}`;
}

function noServicePort(gateway: ObjectKey, shortage: PortShortage | null): Fault {
  return { reason: 'PortUnavailable', message: describeShortage(gateway, shortage) };
}

function describeShortage(gateway: ObjectKey, shortage: PortShortage | null): string {
  switch (shortage?.of) {
    case 'gateway':
      return `A Gateway may have ${MAX_SERVICE_PORTS} ports, those of its ListenerSets included: use fewer.`;
    case 'namespace':
      return `The Gateways of namespace "${namespaceOf(gateway)}" have ${shortage.count} ports of --gateway-service-ports, which is the share of a namespace: use fewer, or give a larger range.`;
    case 'range':
    case undefined:
      return 'All ports of --gateway-service-ports are in use: give a larger range, or remove a Gateway.';
    default:
      return shortage satisfies never;
  }
}

function byAge(a: { readonly age: number; readonly key: string }, b: typeof a): number {
  return a.age - b.age || compareText(a.key, b.key);
}

function isStanding({ listener, conflict }: Placed): boolean {
  return listener.rejected === null && conflict === null;
}

function isLeftOut({ listener }: Placed, sets: ReadonlyMap<ObjectKey, Fault | null>): boolean {
  if (listener.parent.startsWith('Gateway ')) return false;
  return sets.get(listener.parent.slice('ListenerSet '.length)) !== null;
}

/** A listener that ends TLS needs a certificate. */
function isUsable({ tlsMode, certificates }: Listener): boolean {
  return tlsMode !== 'Terminate' || certificates.length > 0;
}

function unavailable({ message }: Fault): Fault {
  return { reason: 'PortUnavailable', message };
}

/** Why a listener cannot share a port that Portico listens on itself. */
function ownPortFault(listener: Listener, { ownPorts = [], ingressPorts }: CompileSettings): Fault | null {
  const { port } = listener;
  const carrier = carrierOf(listener);
  if (carrier === 'udp' || !ownPorts.includes(port)) return null;
  if (carrier === 'http' && port === ingressPorts?.http) return null;
  if (carrier === 'tls' && port === ingressPorts?.https) return null;
  const message = `Portico listens on port ${port} itself, for something else than ${listener.protocol}: use another port.`;
  return { reason: 'PortUnavailable', message };
}

function setFault(
  gateway: GatewayRead,
  { key }: ListenerSetRead,
  labelsOf: ObjectReader['namespaceLabels'],
): Fault | null {
  if (gateway.rejected !== null) {
    return {
      reason: 'ParentNotAccepted',
      message: `Gateway ${gateway.key} is not accepted: ${gateway.rejected.message}`,
    };
  }
  const own = namespaceOf(gateway.key);
  if (allowsNamespace(gateway.allowedListeners, own, namespaceOf(key), labelsOf)) return null;
  const message = `Gateway ${gateway.key} takes no listeners of namespace "${namespaceOf(key)}": its spec.allowedListeners must allow it.`;
  return { reason: 'NotAllowed', message };
}

function plannedPorts(
  byParent: ListenerPlan['byParent'],
  secretOf: ReadonlyMap<ObjectKey, ObjectKey | null>,
): ReadonlyMap<string, PlannedPort> {
  const meeting = new Map<string, PlannedListener[]>();
  for (const planned of [...byParent.values()].flat()) {
    for (const port of planned.ports) {
      const key = streamKey(port, planned.listener);
      const there = meeting.get(key);
      if (there) there.push(planned);
      else meeting.set(key, [planned]);
    }
  }
  return new Map(
    [...meeting].flatMap(([key, planned]) => {
      const listeners = planned.map(({ listener }) => listener);
      const [first] = listeners;
      const carrier = first ? carrierOf(first) : null;
      if (!first || carrier === null) return [];
      const colon = key.lastIndexOf(':');
      const address = key.slice(carrier === 'udp' ? 'udp/'.length : 0, colon);
      const port = Number(key.slice(colon + 1));
      const sorted = listeners.sort(
        (a, b) => bySpecificity(a.hostname, b.hostname) || compareText(a.id, b.id),
      );
      const clientSecrets = new Map(
        planned.flatMap(({ listener, gateway }) => {
          const secret = secretOf.get(gateway) ?? null;
          return secret === null ? [] : [[listener.id, secret] as const];
        }),
      );
      const clients = first.port === port ? {} : { clientPort: first.port };
      return [[key, { address, port, ...clients, carrier, listeners: sorted, clientSecrets }] as const];
    }),
  );
}

/** UDP has ports of its own. */
function streamKey(key: PortKey, { protocol }: Listener): string {
  return protocol === 'UDP' ? `udp/${key}` : key;
}
