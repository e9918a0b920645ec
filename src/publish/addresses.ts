import { isIP } from 'node:net';
import { type UntypedObject, asObject, asArray, asString } from '../model/untyped.ts';

/** One entry of `status.loadBalancer.ingress`. */
export type Address = { readonly ip: string } | { readonly hostname: string };

/** What an address is compared and sorted by. */
export function addressText(address: Address): string {
  return 'ip' in address ? address.ip : address.hostname;
}

/** An address as it is written on a command line. */
export function parseAddress(given: string): Address {
  return isIP(given) > 0 ? { ip: given } : { hostname: given.toLowerCase() };
}

/** Sorted and each once: IP addresses first, as most readers expect them. */
export function sortAddresses(addresses: Iterable<Address>): readonly Address[] {
  const rank = (address: Address): string => `${'ip' in address ? 0 : 1}${addressText(address)}`;
  const unique = new Map([...addresses].map((address) => [rank(address), address]));
  return [...unique].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, address]) => address);
}

/** `status.loadBalancer.ingress` of an Ingress or a Service. Null stands for an entry that is no address. */
export function statusAddresses(object: unknown): readonly (Address | null)[] {
  const loadBalancer = asObject(asObject(asObject(object)['status'])['loadBalancer']);
  return asArray(loadBalancer['ingress']).map((entry) => {
    const { ip, hostname } = asObject(entry);
    if (typeof ip === 'string' && isIP(ip) > 0) return { ip };
    return typeof hostname === 'string' && hostname !== '' ? { hostname } : null;
  });
}

/** Where clients reach a Node from: its external addresses, or the internal ones where there are none. */
export function nodeAddresses(node: unknown): readonly Address[] {
  const listed = asArray(asObject(asObject(node)['status'])['addresses']).map(asObject);
  const ofType = (type: string): Address[] =>
    listed.flatMap((entry: UntypedObject) => {
      const ip = asString(entry['address']) ?? '';
      return entry['type'] === type && isIP(ip) > 0 ? [{ ip }] : [];
    });
  const external = ofType('ExternalIP');
  return external.length > 0 ? external : ofType('InternalIP');
}
