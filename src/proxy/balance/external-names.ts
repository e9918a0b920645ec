import { Resolver } from 'node:dns/promises';
import { refusedAddress } from '../../routing/refused-addresses.ts';
import type { Endpoint } from '../../routing/table.ts';

/** The target of a Service of type ExternalName. */
export interface ExternalName {
  readonly host: string;
  readonly port: number;
}

/** One address a name resolved to, and for how long that holds. */
export interface ResolvedAddress {
  readonly address: string;
  /** Seconds */
  readonly ttl: number;
}

/** All addresses of a name; rejects when there is no answer. */
export type Resolve = (host: string) => Promise<readonly ResolvedAddress[]>;

/** What ExternalNames resolve to, kept fresh beside the request path. */
export interface ExternalNames {
  /** The last good answer; the same array until it changes, so that what is derived from it can be kept. */
  addresses(name: ExternalName, now: number): readonly Endpoint[];
  /** Null once there was an answer or a failure; before that a promise that resolves with the first of them. */
  pending(name: ExternalName): Promise<void> | null;
  /** A backend with this name is in the table. */
  keep(name: ExternalName): void;
  release(name: ExternalName): void;
  /** Asks again for every name whose answer has run out. Resolves when the answers are in. */
  refresh(now: number): Promise<void>;
}

export interface ExternalNamesSettings {
  readonly resolve: Resolve;
  /** Loopback, link-local and metadata addresses: reachable from the node, not meant for whoever writes a Service. */
  readonly allowLocal: boolean;
  readonly now: () => number;
}

const SHORTEST_TTL_MS = 1_000;
const LONGEST_TTL_MS = 300_000;
const RETRY_MS = 5_000;
const NONE: readonly Endpoint[] = [];

interface Entry {
  readonly name: ExternalName;
  uses: number;
  endpoints: readonly Endpoint[];
  staleAt: number;
  asked: Promise<void> | null;
  settled: boolean;
}

/** The owner calls `refresh` about once a second; nothing here waits for the clock. */
export function createExternalNames({ resolve, allowLocal, now }: ExternalNamesSettings): ExternalNames {
  const entries = new Map<string, Entry>();

  function entryOf(name: ExternalName): Entry {
    const key = `${name.host.toLowerCase()}:${name.port}`;
    let entry = entries.get(key);
    if (!entry) {
      entry = { name, uses: 0, endpoints: NONE, staleAt: 0, asked: null, settled: false };
      entries.set(key, entry);
    }
    return entry;
  }

  function ask(entry: Entry): Promise<void> {
    return (entry.asked ??= update(entry).finally(() => {
      entry.asked = null;
      entry.settled = true;
    }));
  }

  async function update(entry: Entry): Promise<void> {
    try {
      const answers = await resolve(entry.name.host);
      const usable = answers.filter(({ address }) => refusedAddress(address, allowLocal) === null);
      // An answer without a usable address is a failure like any other: the last good one stays.
      if (usable.length === 0) throw new Error('no usable address');
      const addresses = [...new Set(usable.map(({ address }) => address))].sort();
      if (addresses.join() !== entry.endpoints.map(({ address }) => address).join()) {
        entry.endpoints = addresses.map((address) => ({ address, port: entry.name.port }));
      }
      const ttlMs = Math.min(...usable.map(({ ttl }) => ttl)) * 1000;
      entry.staleAt = now() + Math.min(Math.max(ttlMs, SHORTEST_TTL_MS), LONGEST_TTL_MS);
    } catch {
      entry.staleAt = now() + RETRY_MS;
    }
  }

  return {
    addresses(name, at) {
      const entry = entryOf(name);
      if (at >= entry.staleAt) void ask(entry);
      return entry.endpoints;
    },
    pending(name) {
      const entry = entryOf(name);
      return entry.settled ? null : ask(entry);
    },
    keep(name) {
      const entry = entryOf(name);
      entry.uses++;
      if (!entry.settled) void ask(entry);
    },
    release(name) {
      const entry = entryOf(name);
      if (--entry.uses <= 0) entries.delete(`${name.host.toLowerCase()}:${name.port}`);
    },
    async refresh(at) {
      const due = [...entries.values()].filter((entry) => at >= entry.staleAt);
      await Promise.all(due.map(ask));
    },
  };
}

/** ExternalNames by the system's name servers, kept fresh by a timer that keeps no process alive. */
export function systemExternalNames(allowLocal: boolean): ExternalNames {
  const names = createExternalNames({ resolve: dnsResolve(2_000), allowLocal, now: Date.now });
  setInterval(() => void names.refresh(Date.now()), 1_000).unref();
  return names;
}

/** Asks the system's name servers, A and AAAA at once, with their times to live. */
export function dnsResolve(timeoutMs: number): Resolve {
  const resolver = new Resolver({ timeout: timeoutMs, tries: 2 });
  return async (host) => {
    const answers = await Promise.allSettled([
      resolver.resolve4(host, { ttl: true }),
      resolver.resolve6(host, { ttl: true }),
    ]);
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (found.length === 0) throw new Error(`no address found for ${host}`);
    return found;
  };
}
