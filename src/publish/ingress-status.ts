import { ownership } from '../routing/ingress/classes.ts';
import type { Compilation } from '../routing/compile/compile.ts';
import type { ObjectKey } from '../model/objects.ts';
import { referenceTo } from '../model/problem.ts';
import { get } from '../model/sharded-map.ts';
import { type Address, addressText, statusAddresses } from './addresses.ts';

/** What the status of every Ingress that we serve should say. */
export interface DesiredStatus {
  readonly addresses: readonly Address[];
  /**
   * Whether an address that is no longer wanted may stay a while where it is: a node whose Portico restarts comes
   * back, and ten thousand writes to forget it and ten thousand to remember it help nobody.
   */
  readonly lingers: (address: Address) => boolean;
}

/** Whether we serve this Ingress. One whose class does not exist gets a problem from us, but is not served. */
export function owns({ claims, classes, settings, snapshot }: Compilation, key: ObjectKey): boolean {
  const ingress = get(snapshot.ingresses, key);
  if (ingress === undefined || get(claims, key) === undefined) return false;
  return ownership(ingress, referenceTo('Ingress', key, ingress), classes, settings).kind === 'ours';
}

/** The addresses to write to an Ingress that we serve; null when its status is right already. */
export function planOwned(
  ingress: unknown,
  { addresses, lingers }: DesiredStatus,
): readonly Address[] | null {
  const current = statusAddresses(ingress);
  const has = new Set(current.map((address) => address && addressText(address)));
  const wants = new Set(addresses.map(addressText));
  const complete = addresses.every((address) => has.has(addressText(address)));
  const tidy = current.every((address) => address && (wants.has(addressText(address)) || lingers(address)));
  return complete && tidy ? null : addresses;
}

/** What an Ingress that is no longer ours keeps when it loses what we wrote; null when it has nothing of ours. */
export function planReleased(ingress: unknown, ours: ReadonlySet<string>): readonly Address[] | null {
  const current = statusAddresses(ingress).filter((address) => address !== null);
  const rest = current.filter((address) => !ours.has(addressText(address)));
  return rest.length === current.length ? null : rest;
}

/**
 * The body of a merge patch of the status subresource. The server refuses it when the Ingress is another one than
 * the one that was looked at: it may have moved to another class since.
 */
export function statusPatch(ingress: unknown, addresses: readonly Address[]): object {
  return {
    metadata: { resourceVersion: resourceVersionOf(ingress) },
    // A merge patch deletes what is null.
    status: { loadBalancer: { ingress: addresses.length > 0 ? addresses : null } },
  };
}

export function resourceVersionOf(object: unknown): string {
  const { metadata } = object as { metadata?: { resourceVersion?: unknown } };
  return String(metadata?.resourceVersion ?? '');
}
