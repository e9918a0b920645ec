import { bySpecificity } from './hostnames.ts';
import { type Carrier, PortClaims, carrierOf, mutualConflicts, overlapping } from './port-claims.ts';
import type { GatewayRead, ListenerSetRead } from './gateways.ts';
import type { Fault, ParentKey } from './kinds.ts';
import type { Listener } from './listeners.ts';
import { allowsNamespace } from './namespace-rule.ts';
import { type AssignedAddresses, assignAddresses } from './gateway-addresses.ts';
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
}

interface Placed {
  readonly listener: Listener;
  readonly gateway: ObjectKey;
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
        const each: Placed = { listener, gateway: gateway.key, conflict };
        if (fault === null && isStanding(each)) claims.add(listener);
        all.push(each);
      }
    }
    const at = addresses.get(gateway.key) ?? { addresses: [], fault: null };
    plannedGateways.set(gateway.key, { ...at, sets: accepted });
    for (const each of all) {
      if (!isStanding(each) || isLeftOut(each, plannedSets)) continue;
      for (const address of at.addresses) {
        const own = address === '' ? ownPortFault(each.listener, settings) : null;
        const conflict = taken.conflict(each.listener, address);
        each.conflict ??= own ?? (conflict && unavailable(conflict));
        if (each.conflict === null) taken.add(each.listener, address);
      }
    }
    placed.push({ gateway, all });
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
          const at = plannedGateways.get(gateway.key)?.addresses ?? [];
          const isServed = isStanding(each) && !isLeftOut(each, plannedSets) && isUsable(listener);
          const ports = isServed ? at.map((address) => portKey(address, listener.port)) : [];
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
      const address = key.slice(carrier === 'udp' ? 'udp/'.length : 0, key.lastIndexOf(':'));
      const sorted = listeners.sort(
        (a, b) => bySpecificity(a.hostname, b.hostname) || compareText(a.id, b.id),
      );
      const clientSecrets = new Map(
        planned.flatMap(({ listener, gateway }) => {
          const secret = secretOf.get(gateway) ?? null;
          return secret === null ? [] : [[listener.id, secret] as const];
        }),
      );
      return [[key, { address, port: first.port, carrier, listeners: sorted, clientSecrets }] as const];
    }),
  );
}

/** UDP has ports of its own. */
function streamKey(key: PortKey, { protocol }: Listener): string {
  return protocol === 'UDP' ? `udp/${key}` : key;
}
