import { containsHost } from './hostnames.ts';
import type { Fault } from './kinds.ts';
import type { Listener } from './listeners.ts';

/** What listeners must share that share a port. */
export type Carrier = 'http' | 'tls' | 'tcp' | 'udp';

export function carrierOf({ protocol }: Pick<Listener, 'protocol'>): Carrier | null {
  switch (protocol) {
    case 'HTTP':
      return 'http';
    case 'HTTPS':
    case 'TLS':
      return 'tls';
    case 'TCP':
      return 'tcp';
    case 'UDP':
      return 'udp';
    case null:
      return null;
    default:
      return protocol satisfies never;
  }
}

interface Claimed {
  readonly first: Listener;
  readonly byHostname: Map<string, Listener>;
}

/** The listeners that have a place already, by address, port and hostname: who comes later must not be in their way. */
export class PortClaims {
  readonly #ports = new Map<string, Claimed>();

  /** Why a listener cannot be beside those that are there; null when it can. */
  conflict(listener: Listener, place: ListenerPlace = placeOf(listener)): Fault | null {
    const claimed = this.#ports.get(claimKey(listener, place));
    if (!claimed) return null;
    const carrier = carrierOf(listener);
    const { first, byHostname } = claimed;
    if (carrierOf(first) !== carrier) return protocolConflict(first);
    const other = carrier === 'tcp' || carrier === 'udp' ? first : byHostname.get(listener.hostname);
    return other ? hostnameConflict(other, carrier) : null;
  }

  add(listener: Listener, place: ListenerPlace = placeOf(listener)): void {
    const key = claimKey(listener, place);
    const claimed = this.#ports.get(key) ?? { first: listener, byHostname: new Map<string, Listener>() };
    claimed.byHostname.set(listener.hostname, listener);
    this.#ports.set(key, claimed);
  }
}

/** Where a listener is served. */
export interface ListenerPlace {
  readonly address: string;
  readonly port: number;
}

/** On all addresses, at the port that it names. */
function placeOf({ port }: Listener): ListenerPlace {
  return { address: '', port };
}

/** UDP has ports of its own. */
function claimKey(listener: Listener, { address, port }: ListenerPlace): string {
  return `${carrierOf(listener) === 'udp' ? 'udp/' : ''}${address}:${port}`;
}

function protocolConflict({ name, parent, port, protocol }: Listener): Fault {
  const message = `Listener "${name}" of ${parent} uses port ${port} with the protocol ${protocol}: use another port.`;
  return { reason: 'ProtocolConflict', message };
}

function hostnameConflict({ name, parent, port, hostname }: Listener, carrier: Carrier | null): Fault {
  const what = hostname === '' ? 'all hosts' : `hostname "${hostname}"`;
  const message = `Listener "${name}" of ${parent} has ${what} on port ${port}: use another hostname or port.`;
  const reason = carrier === 'tcp' || carrier === 'udp' ? 'ProtocolConflict' : 'HostnameConflict';
  return { reason, message };
}

/** The listeners of one Gateway that are in each other's way: nobody wins. */
export function mutualConflicts(listeners: readonly Listener[]): ReadonlyMap<Listener, Fault> {
  const conflicts = new Map<Listener, Fault>();
  for (const listener of listeners) {
    const others = new PortClaims();
    for (const other of listeners) if (other !== listener) others.add(other);
    const conflict = others.conflict(listener) ?? mixed(listener, listeners);
    if (conflict !== null) conflicts.set(listener, conflict);
  }
  return conflicts;
}

/** Another listener of the port with another carrier, whichever came first. */
function mixed(listener: Listener, listeners: readonly Listener[]): Fault | null {
  const other = listeners.find(
    (each) =>
      claimKey(each, placeOf(each)) === claimKey(listener, placeOf(listener)) &&
      carrierOf(each) !== carrierOf(listener),
  );
  return other ? protocolConflict(other) : null;
}

/** The listeners with TLS whose hostname is within that of another one on the same port, and those others. */
export function overlapping(listeners: readonly Listener[]): ReadonlySet<Listener> {
  const found = new Set<Listener>();
  const byPort = Map.groupBy(
    listeners.filter((each) => carrierOf(each) === 'tls'),
    ({ port }) => port,
  );
  for (const meeting of byPort.values()) {
    const byHostname = new Map(meeting.map((each) => [each.hostname, each]));
    for (const listener of meeting) {
      for (const outer of hostnamesAbove(listener.hostname)) {
        const other = byHostname.get(outer);
        if (!other || !containsHost(other.hostname, listener.hostname)) continue;
        found.add(listener).add(other);
      }
    }
  }
  return found;
}

/** The hostnames that contain a hostname, but for itself: the longest wildcard first, all hosts last. */
export function* hostnamesAbove(hostname: string): Generator<string> {
  if (hostname === '') return;
  const start = hostname.startsWith('*.') ? 2 : 0;
  for (let dot = hostname.indexOf('.', start); dot > 0; dot = hostname.indexOf('.', dot + 1)) {
    yield `*${hostname.slice(dot)}`;
  }
  yield '';
}
