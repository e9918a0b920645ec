import { Resolver } from 'node:dns/promises';
import type { NameFault } from '../../model/name-fault.ts';
import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { refusedAddress } from '../../model/refused-addresses.ts';
import type { NameAnswer, WantedName } from './external-names.ts';

/** One address a name resolved to, and for how long that holds. */
export interface ResolvedAddress {
  readonly address: string;
  /** Seconds */
  readonly ttl: number;
}

/** All addresses of a name; rejects when there is no answer. */
export type Resolve = (host: string) => Promise<readonly ResolvedAddress[]>;

/** Resolves the names that requests want, once for all threads. */
export interface NameResolver {
  /** Always resolves; without an answer the last good addresses stay. */
  resolve(name: WantedName): Promise<NameAnswer>;
}

export interface NameResolverSettings {
  readonly resolve: Resolve;
  readonly allowLoopback: boolean;
  readonly now: () => number;
  /** What is wrong with the name of a Service changed; null when it resolves. */
  readonly onFault: (service: ObjectKey, fault: NameFault | null) => void;
}

/** No name is asked for more often than this, whatever its time to live is and however often it fails. */
const FLOOR_MS = 5_000;
const LONGEST_TTL_MS = 300_000;
/** A name that no request wanted for so long is forgotten. */
const UNUSED_MS = 600_000;
/** The same where its namespace has no room for another, of one that no Service has: clients may have invented it. */
const INVENTED_UNUSED_MS = 10_000;
/** Names in use: of one namespace, and when there are more than `CROWDED` in all, only `FEW` of each. */
const MOST_OF_NAMESPACE = 100;
const FEW = 10;
const CROWDED = 2_500;
const MOST = 5_000;
/** A connection tries them all. */
const MOST_ADDRESSES = 16;

interface Entry {
  readonly host: string;
  /** When each namespace that has the name last wanted it. */
  readonly wantedAt: Map<string, number>;
  readonly services: Set<ObjectKey>;
  addresses: readonly string[];
  reason: string | null;
  freshUntil: number;
  pending: Promise<void> | null;
}

export function createNameResolver({
  resolve,
  allowLoopback,
  now,
  onFault,
}: NameResolverSettings): NameResolver {
  const entries = new Map<string, Entry>();
  /** Names in use by namespace. */
  const counts = new Map<string, number>();
  let sweptAt = now();

  async function ask(entry: Entry): Promise<void> {
    let ttlMs = 0;
    let reason: string | null = null;
    try {
      const answers = (await resolve(entry.host)).slice(0, MOST_ADDRESSES);
      const refusals = answers.map(({ address }) => refusedAddress(address, allowLoopback));
      const usable = answers.filter((_, index) => refusals[index] === null);
      const [first] = answers;
      if (usable.length > 0) entry.addresses = [...new Set(usable.map(({ address }) => address))].sort();
      else reason = first ? `leads to ${first.address}, which ${refusals[0]}` : 'has no address';
      ttlMs = Math.min(LONGEST_TTL_MS / 1000, ...usable.map(({ ttl }) => ttl)) * 1000;
    } catch (error) {
      reason = `does not resolve (${(error as NodeJS.ErrnoException).code ?? 'no answer'})`;
    }
    entry.freshUntil = now() + (reason === null ? Math.max(ttlMs, FLOOR_MS) : FLOOR_MS);
    entry.pending = null;
    if (entry.reason === reason) return;
    entry.reason = reason;
    for (const service of entry.services) onFault(service, faultOf(entry));
  }

  function faultOf({ host, reason, addresses }: Entry): NameFault | null {
    return reason === null ? null : { host, reason, keepsAddresses: addresses.length > 0 };
  }

  /** The namespace does not want the name any more; others may. */
  function release(entry: Entry, namespace: string): void {
    entry.wantedAt.delete(namespace);
    if (entry.wantedAt.size === 0) entries.delete(entry.host);
    const count = (counts.get(namespace) ?? 0) - 1;
    if (count > 0) counts.set(namespace, count);
    else counts.delete(namespace);
    for (const service of entry.services) {
      if (namespaceOf(service) !== namespace) continue;
      entry.services.delete(service);
      if (entry.reason !== null) onFault(service, null);
    }
  }

  function sweep(at: number): void {
    if (at < sweptAt + FLOOR_MS) return;
    sweptAt = at;
    for (const entry of entries.values()) {
      if (entry.pending) continue;
      for (const [namespace, wantedAt] of entry.wantedAt)
        if (at >= wantedAt + UNUSED_MS) release(entry, namespace);
    }
  }

  function releaseInvented(namespace: string, at: number): void {
    for (const entry of entries.values()) {
      const wantedAt = entry.wantedAt.get(namespace);
      if (wantedAt === undefined || entry.pending || at < wantedAt + INVENTED_UNUSED_MS) continue;
      const isOfService = [...entry.services].some((service) => namespaceOf(service) === namespace);
      if (!isOfService) release(entry, namespace);
    }
  }

  /** Null when there is no room for it. */
  function entryFor(host: string, namespace: string, at: number): Entry | null {
    let entry = entries.get(host);
    if (entry?.wantedAt.has(namespace)) return entry;
    const room = entries.size < CROWDED ? MOST_OF_NAMESPACE : FEW;
    if ((counts.get(namespace) ?? 0) >= room) releaseInvented(namespace, at);
    const count = counts.get(namespace) ?? 0;
    if (count >= room || (!entry && entries.size >= MOST)) return null;
    counts.set(namespace, count + 1);
    if (!entry) {
      entry = {
        ...{
          host,
          wantedAt: new Map<string, number>(),
          services: new Set<ObjectKey>(),
          addresses: [],
          reason: null,
        },
        ...{ freshUntil: 0, pending: null },
      };
      entries.set(host, entry);
    }
    entry.wantedAt.set(namespace, at);
    return entry;
  }

  return {
    async resolve({ host, namespace, service }) {
      const at = now();
      sweep(at);
      const entry = entryFor(host, namespace, at);
      if (entry === null) {
        const reason = `is one too many: at most ${MOST_OF_NAMESPACE} names of a namespace are in use at a time, fewer when there are more than ${CROWDED} in all`;
        if (service !== null) onFault(service, { host, reason, keepsAddresses: false });
        return { host, namespace, addresses: [], freshForMs: FLOOR_MS };
      }
      entry.wantedAt.set(namespace, at);
      if (service !== null && !entry.services.has(service)) {
        entry.services.add(service);
        onFault(service, faultOf(entry));
      }
      if (at >= entry.freshUntil) await (entry.pending ??= ask(entry));
      const freshForMs = Math.max(0, entry.freshUntil - now());
      return { host, namespace, addresses: entry.addresses, freshForMs };
    },
  };
}

/** Asks the system's name servers for A and AAAA at once, with their times to live. No search domain is tried. */
export function dnsResolve(timeoutMs = 2_000): Resolve {
  const resolver = new Resolver({ timeout: timeoutMs, tries: 2 });
  return async (host) => {
    const answers = await Promise.allSettled([
      resolver.resolve4(host, { ttl: true }),
      resolver.resolve6(host, { ttl: true }),
    ]);
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (found.length > 0) return found;
    const [failed] = answers.flatMap((answer) =>
      answer.status === 'rejected' ? [answer.reason as unknown] : [],
    );
    throw failed;
  };
}
