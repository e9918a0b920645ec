import { type ShardedMap, mapOf } from '../../model/sharded-map.ts';
import { hostKey } from '../table.ts';
import { containsHost } from './hostnames.ts';
import type { Listener } from './listeners.ts';
import type { PlannedPort } from './listener-plan.ts';
import { hostnamesAbove } from './port-claims.ts';

const byHostname = new WeakMap<readonly Listener[], ReadonlyMap<string, Listener>>();

/** The listeners of a port by their hostnames: indexed once for all routes that change. */
export function listenersByHostname({
  listeners,
}: Pick<PlannedPort, 'listeners'>): ReadonlyMap<string, Listener> {
  let owners = byHostname.get(listeners);
  if (!owners) {
    owners = new Map(listeners.map((listener) => [listener.hostname, listener]));
    byHostname.set(listeners, owners);
  }
  return owners;
}

/** The listener that has a hostname on its port: the most specific one that contains it. */
export function ownerOf(port: Pick<PlannedPort, 'listeners'>, hostname: string): Listener | null {
  const owners = listenersByHostname(port);
  const own = owners.get(hostname);
  if (own) return own;
  for (const outer of hostnamesAbove(hostname)) {
    const owner = owners.get(outer);
    if (owner) return owner;
  }
  return null;
}

/**
 * The Secrets that serve the names of a port, by `hostKey`. A listener shows its first certificate, and of several the one
 * that is for the name that is asked for; never one of a listener that has the name by a shorter hostname.
 */
export function portCertificates(port: Pick<PlannedPort, 'listeners'>): ShardedMap<string> {
  const secrets = new Map<string, string>();
  for (const listener of port.listeners) {
    const [first, ...others] = listener.certificates;
    if (!first) continue;
    for (const { names, secret } of [first, ...others]) {
      if (others.length === 0) break;
      for (const name of names) {
        const isOwn = containsHost(listener.hostname, name) && ownerOf(port, name) === listener;
        if (isOwn && !secrets.has(hostKey(name))) secrets.set(hostKey(name), secret);
      }
    }
    const best = listener.certificates.find(({ names }) => names.includes(listener.hostname)) ?? first;
    secrets.set(hostKey(listener.hostname), best.secret);
  }
  return mapOf(secrets);
}
