import { asArray, asObject, asString } from '../../model/untyped.ts';
import type { ObjectKey } from '../../model/objects.ts';

/** A port that clients connect to at the Service of a Gateway. */
export type ClientPort = `${'TCP' | 'UDP'} ${number}`;

/** The port of the nodes that each port of the Service of a Gateway leads to. */
export type ServicePorts = ReadonlyMap<ClientPort, number>;

/** From the first to the last. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** What a Gateway needs ports for, and those that its status says it has. */
export interface PortRequest {
  readonly gateway: ObjectKey;
  readonly needs: ReadonlySet<ClientPort>;
  readonly kept: ServicePorts;
}

/** Of one Gateway, its ListenerSets included. */
export const MAX_SERVICE_PORTS = 128;

/**
 * Gives each port of each Gateway a port of the nodes for itself. What a status has stays. What is new begins to look at a
 * place that follows from its name, so that nodes which learn of Gateways in another order mostly agree before the status does.
 */
export function assignServicePorts(
  oldestFirst: readonly PortRequest[],
  { first, last }: PortRange,
  ownPorts: readonly number[],
): ReadonlyMap<ObjectKey, ServicePorts> {
  const taken = new Set(ownPorts);
  const size = last - first + 1;
  const requests = oldestFirst.map(({ gateway, needs, kept }) => {
    const ports = new Map<ClientPort, number>();
    for (const need of [...needs].slice(0, MAX_SERVICE_PORTS)) {
      const port = kept.get(need);
      if (port === undefined || port < first || port > last || taken.has(port)) continue;
      taken.add(port);
      ports.set(need, port);
    }
    return { gateway, needs, ports };
  });
  // When none is free, nobody looks for one: others may want thousands.
  let free = size - [...taken].filter((port) => port >= first && port <= last).length;
  for (const { gateway, needs, ports } of requests) {
    for (const need of [...needs].slice(0, MAX_SERVICE_PORTS)) {
      if (free === 0) break;
      if (ports.has(need)) continue;
      const start = hash(`${gateway} ${need}`) % size;
      for (let step = 0; step < size; step++) {
        const port = first + ((start + step) % size);
        if (taken.has(port)) continue;
        taken.add(port);
        ports.set(need, port);
        free--;
        break;
      }
    }
  }
  return new Map(requests.map(({ gateway, ports }) => [gateway, ports]));
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

/** The condition of a Gateway that says which ports it has: those who may write its status decide about them. */
export const PORTS_CONDITION = 'portico.dev/ServicePorts';

/** `TCP 80 at 20001, TCP 443 at 20002` */
export function describeServicePorts(ports: ServicePorts): string {
  return [...ports]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([client, port]) => `${client} at ${port}`)
    .join(', ');
}

/** What `describeServicePorts` wrote into the status of a Gateway; nothing where it does not say that. */
export function readServicePorts(gateway: unknown): ServicePorts {
  const conditions = asArray(asObject(asObject(gateway)['status'])['conditions']).map(asObject);
  const text = asString(conditions.find(({ type }) => type === PORTS_CONDITION)?.['message']) ?? '';
  const ports = new Map<ClientPort, number>();
  for (const [, protocol, client, port] of text.matchAll(/(TCP|UDP) (\d{1,5}) at (\d{1,5})/g))
    ports.set(`${protocol === 'UDP' ? 'UDP' : 'TCP'} ${Number(client)}`, Number(port));
  return ports;
}
