import type { GatewayRead } from './gateways.ts';
import type { Fault } from './kinds.ts';
import { addressRanges, rangeList } from '../../http/address-ranges.ts';
import type { ObjectKey } from '../../model/objects.ts';
import type { CompileSettings } from '../settings.ts';

/** Where the listeners of a Gateway are served. */
export interface AssignedAddresses {
  /** IP addresses of this node; an empty one stands for all of them. */
  readonly addresses: readonly string[];
  /** Why it does not have all that it asks for. */
  readonly fault: Fault | null;
}

/**
 * The addresses of each Gateway. What a Gateway asks for it gets where the node has it. Without a wish it shares those of the
 * node, or has one of `gatewayAddresses` for itself: the one that its status has, so that it stays when others come and go.
 */
export function assignAddresses(
  oldestFirst: readonly GatewayRead[],
  { gatewayAddresses = [], localAddresses = [] }: CompileSettings,
): ReadonlyMap<ObjectKey, AssignedAddresses> {
  const local = addressRanges(rangeList([...localAddresses, ...gatewayAddresses]));
  const wanted = new Set(oldestFirst.flatMap(({ addresses }) => addresses.map(({ value }) => value)));
  const isFree = (address: string): boolean =>
    gatewayAddresses.includes(address) && !wanted.has(address) && !given.has(address);
  const given = new Set<string>();
  const kept = new Map<ObjectKey, string>();
  const asking = oldestFirst.filter(isLeftToUs);
  for (const { key, statusAddress } of asking) {
    if (!isFree(statusAddress)) continue;
    given.add(statusAddress);
    kept.set(key, statusAddress);
  }
  const free = gatewayAddresses.filter(isFree).values();
  const assigned = new Map<ObjectKey, AssignedAddresses>();
  for (const gateway of oldestFirst) {
    const { key, rejected } = gateway;
    if (rejected !== null || gateway.service !== null) {
      assigned.set(key, { addresses: [], fault: gateway.service?.fault ?? null });
      continue;
    }
    const addresses: string[] = [];
    const unusable: string[] = [];
    for (const { value } of gateway.addresses) {
      if (value === '') continue;
      if (value !== null && local.includes(value)) addresses.push(value);
      else unusable.push(value ?? 'that is none');
    }
    let fault: Fault | null = null;
    if (unusable.length > 0) {
      const message = `No node has the address ${unusable.join(', ')}: remove it from spec.addresses, or give it to a node.`;
      fault = { reason: 'AddressNotUsable', message };
    }
    if (isLeftToUs(gateway)) {
      const address = gatewayAddresses.length === 0 ? '' : (kept.get(key) ?? free.next().value);
      if (address !== undefined) addresses.push(address);
      else {
        const message =
          'All addresses of --gateway-addresses are in use by other Gateways: add some, or remove a Gateway.';
        fault = { reason: 'AddressNotAssigned', message };
      }
    }
    assigned.set(key, { addresses, fault });
  }
  return assigned;
}

function isLeftToUs({ addresses, rejected, service }: GatewayRead): boolean {
  return (
    rejected === null &&
    service === null &&
    (addresses.length === 0 || addresses.some(({ value }) => value === ''))
  );
}
