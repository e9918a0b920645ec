import type { EndpointSlice, Service } from '../model/objects.ts';
import { type UntypedObject, asArray, asObject, asString, isPortNumber } from '../model/untyped.ts';

/** A port of a Service. */
export interface ServicePort {
  readonly index: number;
  readonly port: UntypedObject;
}

/** To read so few entries again takes less than to remember what they said. */
const FEW = 8;

const servicePorts = new WeakMap<object, ReadonlyMap<string, ServicePort>>();

/**
 * The TCP ports of a Service by number and by name, as an Ingress may write them, and its UDP ports with `/udp` after
 * both; the first of several counts. Where there are many, made once per object: 2,000 paths may name the ports of one Service.
 */
export function portsOfService(service: Service): ReadonlyMap<string, ServicePort> {
  const object = asObject(service);
  const listed = asArray(asObject(object['spec'])['ports']);
  if (listed.length <= FEW) return indexPorts(listed);
  let ports = servicePorts.get(object);
  if (!ports) servicePorts.set(object, (ports = indexPorts(listed)));
  return ports;
}

function indexPorts(listed: readonly unknown[]): ReadonlyMap<string, ServicePort> {
  const ports = new Map<string, ServicePort>();
  for (const [index, entry] of listed.entries()) {
    const port = asObject(entry);
    const { name, port: number, protocol } = port;
    const suffix = suffixOf(protocol);
    if (suffix === null) continue;
    const keys = isPortNumber(number) ? [String(number)] : [];
    // What looks like a number in an Ingress is one.
    if (typeof name === 'string' && !isPortNumber(Number(name))) keys.push(name);
    for (const key of keys) if (!ports.has(key + suffix)) ports.set(key + suffix, { index, port });
  }
  return ports;
}

/** What tells ports of a protocol from those of TCP with the same name; null for protocols that nobody can name. */
export function suffixOf(protocol: unknown): '' | '/udp' | null {
  switch (asString(protocol) ?? 'TCP') {
    case 'TCP':
      return '';
    case 'UDP':
      return '/udp';
    default:
      return null;
  }
}

/** What the EndpointSlices of a Service are asked for again and again. */
export interface SliceIndex {
  /** The numbers of its ports, by the name of the Service port, with `/udp` after it for UDP; an unnamed one has the empty name. */
  readonly ports: ReadonlyMap<string, readonly number[]>;
  /** How many addresses it lists. */
  readonly addresses: number;
}

const slices = new WeakMap<object, SliceIndex>();

/** Where it lists much, made once per object. */
export function indexOfSlice(slice: EndpointSlice): SliceIndex {
  const object = asObject(slice);
  if (asArray(object['endpoints']).length + asArray(object['ports']).length <= FEW) return indexSlice(object);
  let index = slices.get(object);
  if (!index) slices.set(object, (index = indexSlice(object)));
  return index;
}

function indexSlice(slice: UntypedObject): SliceIndex {
  const ports = new Map<string, Set<number>>();
  for (const entry of asArray(slice['ports'])) {
    const { name, port, protocol } = asObject(entry);
    const suffix = suffixOf(protocol);
    if (suffix === null || !isPortNumber(port)) continue;
    const key = (asString(name) ?? '') + suffix;
    ports.set(key, (ports.get(key) ?? new Set()).add(port));
  }
  let addresses = 0;
  for (const entry of asArray(slice['endpoints'])) addresses += asArray(asObject(entry)['addresses']).length;
  return { ports: new Map([...ports].map(([name, numbers]) => [name, [...numbers]])), addresses };
}
