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

/** The numbers of the ports of a slice, by the name of the Service port, with `/udp` after it for UDP; an unnamed one has the empty name. */
export type SlicePorts = ReadonlyMap<string, readonly number[]>;

const slicePorts = new WeakMap<object, SlicePorts>();

/** Where it lists many, made once per object. */
export function portsOfSlice(slice: EndpointSlice): SlicePorts {
  const object = asObject(slice);
  const listed = asArray(object['ports']);
  if (listed.length <= FEW) return indexSlicePorts(listed);
  let ports = slicePorts.get(object);
  if (!ports) slicePorts.set(object, (ports = indexSlicePorts(listed)));
  return ports;
}

function indexSlicePorts(listed: readonly unknown[]): SlicePorts {
  const ports = new Map<string, number[]>();
  for (const entry of listed) {
    const { name, port, protocol } = asObject(entry);
    const suffix = suffixOf(protocol);
    if (suffix === null || !isPortNumber(port)) continue;
    const key = (asString(name) ?? '') + suffix;
    const numbers = ports.get(key);
    if (numbers) numbers.push(port);
    else ports.set(key, [port]);
  }
  for (const [key, numbers] of ports) if (numbers.length > 1) ports.set(key, [...new Set(numbers)]);
  return ports;
}

/** How many addresses it lists, ready or not. */
export function addressesOfSlice(slice: EndpointSlice): number {
  let addresses = 0;
  for (const entry of asArray(asObject(slice)['endpoints']))
    addresses += asArray(asObject(entry)['addresses']).length;
  return addresses;
}
