import { asArray, asObject, asString } from '../../model/untyped.ts';
import { type ObjectKey, namespaceOf } from '../../model/objects.ts';

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

/** What a Gateway got. */
export interface AssignedPorts {
  readonly ports: ServicePorts;
  /** Why it got no more; null where it has all that it needs. */
  readonly shortage: PortShortage | null;
}

export type PortShortage =
  /** It needs more than `MAX_SERVICE_PORTS`. */
  | { readonly of: 'gateway' }
  /** Its namespace has so many, and gets no more. */
  | { readonly of: 'namespace'; readonly count: number }
  /** All are taken. */
  | { readonly of: 'range' };

/** Of one Gateway, its ListenerSets included. */
export const MAX_SERVICE_PORTS = 128;

/** The part of the range that one namespace may have; and once half of all are taken, what it may take up to. */
const MOST_OF_NAMESPACE = 1 / 2;
const SHARE_OF_NAMESPACE = 1 / 8;

/**
 * Gives each port of each Gateway a port of the nodes for itself. What a status has stays. What is new begins to look at a
 * place that follows from its name, so that nodes which learn of Gateways in another order mostly agree before the status does.
 */
export function assignServicePorts(
  oldestFirst: readonly PortRequest[],
  range: PortRange,
  ownPorts: readonly number[],
): ReadonlyMap<ObjectKey, AssignedPorts> {
  const taken = new TakenPorts(range, ownPorts);
  const requests = oldestFirst.map(({ gateway, needs, kept }) => {
    const namespace = namespaceOf(gateway);
    const ports = new Map<ClientPort, number>();
    const wanted = [...needs].slice(0, MAX_SERVICE_PORTS);
    for (const need of wanted) {
      const port = kept.get(need);
      if (port !== undefined && taken.keep(namespace, port)) ports.set(need, port);
    }
    return { gateway, namespace, wanted, ports, isTooLarge: needs.size > wanted.length };
  });
  return new Map(
    requests.map(({ gateway, namespace, wanted, ports, isTooLarge }) => {
      let shortage: PortShortage | null = isTooLarge ? { of: 'gateway' } : null;
      for (const need of wanted) {
        if (ports.has(need)) continue;
        shortage = taken.shortageFor(namespace) ?? shortage;
        // When none is free, nobody looks for one: others may want thousands.
        if (shortage !== null && shortage.of !== 'gateway') break;
        ports.set(need, taken.take(namespace, hash(`${gateway} ${need}`)));
      }
      return [gateway, { ports, shortage }];
    }),
  );
}

/** The ports of the range that are given, and to which namespaces. */
class TakenPorts {
  readonly #range: PortRange;
  readonly #size: number;
  readonly #taken: Set<number>;
  readonly #byNamespace = new Map<string, number>();
  /** From a port that is taken to a later one, with none free between them. */
  readonly #skip = new Map<number, number>();
  #free: number;

  constructor(range: PortRange, ownPorts: readonly number[]) {
    this.#range = range;
    this.#size = range.last - range.first + 1;
    this.#taken = new Set(ownPorts);
    this.#free = this.#size - [...this.#taken].filter((port) => this.#isInRange(port)).length;
  }

  /** Whether a namespace may go on having a port. */
  keep(namespace: string, port: number): boolean {
    if (!this.#isInRange(port) || this.#taken.has(port)) return false;
    if (this.#countOf(namespace) >= Math.ceil(this.#size * MOST_OF_NAMESPACE)) return false;
    this.#give(namespace, port);
    return true;
  }

  /** Null where a namespace may take one more. */
  shortageFor(namespace: string): PortShortage | null {
    if (this.#free === 0) return { of: 'range' };
    const isScarce = this.#free <= this.#size / 2;
    const share = Math.ceil(this.#size * (isScarce ? SHARE_OF_NAMESPACE : MOST_OF_NAMESPACE));
    const count = this.#countOf(namespace);
    return count < share ? null : { of: 'namespace', count };
  }

  /** The first free one from a place in the range, where one is free. */
  take(namespace: string, place: number): number {
    const { first } = this.#range;
    const passed: number[] = [];
    let port = first + (place % this.#size);
    while (this.#taken.has(port)) {
      passed.push(port);
      port = this.#skip.get(port) ?? first + ((port - first + 1) % this.#size);
    }
    for (const each of passed) this.#skip.set(each, port);
    this.#give(namespace, port);
    return port;
  }

  #give(namespace: string, port: number): void {
    this.#taken.add(port);
    this.#free--;
    this.#byNamespace.set(namespace, this.#countOf(namespace) + 1);
  }

  #countOf(namespace: string): number {
    return this.#byNamespace.get(namespace) ?? 0;
  }

  #isInRange(port: number): boolean {
    return port >= this.#range.first && port <= this.#range.last;
  }
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
