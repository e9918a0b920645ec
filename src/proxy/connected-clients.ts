import { subnetOf } from '../http/address-ranges.ts';
import type { Client } from './client.ts';

/** Clients in the order in which they fell silent, such as those of a `DeadlineList`. */
export interface OldestFirst {
  oldest(count: number): readonly { readonly owner: Client; readonly since: number }[];
}

/** What became of connections because there was no room. */
export interface RoomCounters {
  /** Idle ones that gave way to others. */
  evicted: number;
  /** New ones that were turned away, as none was idle. */
  refused: number;
  /** How often no file descriptor was left. */
  descriptorFailures: number;
}

/** How many of the oldest idle clients of each sort are compared by how much their address, or network, has. */
const COMPARED = 16;
/** After descriptors ran out, so much of what was open is kept free for connections to Pods. */
const KEPT_FREE = 1 / 8;
const FREE_FOR_MS = 60_000;

/**
 * The clients that are connected. At the limit the one that has been idle longest gives way, as in nginx: among the
 * oldest it is one of the address (of IPv6 the /64 network) that holds the most, so that silent connections do not lock
 * others out.
 */
export class ConnectedClients {
  readonly counters: RoomCounters = { evicted: 0, refused: 0, descriptorFailures: 0 };
  #limit: number;
  /** With the address or network of each. */
  readonly #all = new Map<Client, string>();
  readonly #bySubnet = new Map<string, number>();
  readonly #byListener = new Map<number, Set<Client>>();
  readonly #idle: OldestFirst[] = [];
  /** Below the limit for a while after descriptors ran out. */
  #most: number;
  #scarceSince = Number.NEGATIVE_INFINITY;

  constructor(limit: number) {
    this.#limit = this.#most = limit;
  }

  /** Another limit, for those that come from now on. */
  change(limit: number): void {
    this.#limit = limit;
  }

  /** Who is in the list has no request under way, and may be closed. */
  evictFrom(list: OldestFirst): void {
    this.#idle.push(list);
  }

  get size(): number {
    return this.#all.size;
  }

  [Symbol.iterator](): IterableIterator<Client> {
    return this.#all.keys();
  }

  add(client: Client): void {
    if (this.#all.has(client)) return;
    const { clientAddress, listener } = client.connectionInfo;
    const subnet = subnetOf(clientAddress);
    this.#all.set(client, subnet);
    this.#bySubnet.set(subnet, this.#countOf(subnet) + 1);
    if (listener === undefined) return;
    const others = this.#byListener.get(listener);
    if (others) others.add(client);
    else this.#byListener.set(listener, new Set([client]));
  }

  delete(client: Client): void {
    const subnet = this.#all.get(client);
    if (subnet === undefined) return;
    this.#all.delete(client);
    const { listener } = client.connectionInfo;
    const left = this.#countOf(subnet) - 1;
    if (left > 0) this.#bySubnet.set(subnet, left);
    else this.#bySubnet.delete(subnet);
    const others = listener === undefined ? undefined : this.#byListener.get(listener);
    if (others?.delete(client) && others.size === 0) this.#byListener.delete(listener ?? 0);
  }

  /** Those that a listener accepted, by its number. */
  acceptedBy(listener: number): Iterable<Client> {
    return this.#byListener.get(listener) ?? [];
  }

  /** Whether one more may come; `now` on the monotonic clock. */
  makeRoom(now: number): boolean {
    if (now - this.#scarceSince > FREE_FOR_MS) this.#most = this.#limit;
    if (this.#all.size < this.#most || this.#evict()) return true;
    this.counters.refused++;
    return false;
  }

  /** Descriptors run out: closes idle clients, and takes fewer for a while. Gives whether it closed any. */
  closeIdle(now: number): boolean {
    this.#scarceSince = now;
    const before = this.#all.size;
    this.#most = Math.max(1, Math.floor(before * (1 - KEPT_FREE)));
    while (this.#all.size > this.#most && this.#evict());
    return this.#all.size < before;
  }

  #countOf(subnet: string): number {
    return this.#bySubnet.get(subnet) ?? 0;
  }

  #evict(): boolean {
    let victim: Client | null = null;
    let worst = Number.NEGATIVE_INFINITY;
    let since = 0;
    for (const list of this.#idle) {
      for (const idle of list.oldest(COMPARED)) {
        const { owner } = idle;
        // One that has not read its last response yet only when there is no other.
        const weight = owner.queuedBytes === 0 ? this.#countOf(this.#all.get(owner) ?? '') : 0;
        if (weight < worst || (weight === worst && idle.since >= since)) continue;
        victim = owner;
        worst = weight;
        since = idle.since;
      }
    }
    if (!victim) return false;
    this.counters.evicted++;
    victim.evict();
    return true;
  }
}
