import { subnetOf } from '../../http/address-ranges.ts';
import { Holders } from '../holders.ts';

/** A connection whose PROXY header or handshake is awaited. */
export interface PendingConnection {
  destroy(): void;
  /** It gives way to another one. */
  evict(): void;
}

/** Of all places, what a client may have when they are short. */
const SHARE = 1 / 8;

/**
 * The connections of an engine whose PROXY header or handshake is awaited, on all of its ports. A client, which is an IPv4
 * address or a /64 network of IPv6, may have any place that is free: many may come from one address. When none is free, the
 * client with the most gives way if it has more than an eighth of all; so a flood from a few addresses ends
 * no handshake of another one. Otherwise the connection that has waited longest does: it is the least likely to be of a
 * client that means it, and silent connections from any number of addresses keep nobody out.
 */
export class PendingConnections {
  readonly #limit: number;
  readonly #share: number;
  /** With the client of each, the oldest first. */
  readonly #all = new Map<PendingConnection, string>();
  readonly #byClient = new Holders<PendingConnection>();

  constructor(limit: number) {
    this.#limit = limit;
    this.#share = Math.max(1, limit * SHARE);
  }

  /** A connection that came in from this address. At the limit another one gives way. */
  add(connection: PendingConnection, address: string): void {
    if (this.#all.size >= this.#limit) this.#makeRoom();
    const client = subnetOf(address);
    this.#all.set(connection, client);
    this.#byClient.add(client, connection);
  }

  /** A PROXY header says where it really comes from. */
  move(connection: PendingConnection, address: string): void {
    const before = this.#all.get(connection);
    if (before === undefined) return;
    const client = subnetOf(address);
    this.#byClient.delete(before, connection);
    this.#byClient.add(client, connection);
    this.#all.set(connection, client);
  }

  delete(connection: PendingConnection): void {
    const client = this.#all.get(connection);
    if (client === undefined) return;
    this.#all.delete(connection);
    this.#byClient.delete(client, connection);
  }

  #makeRoom(): void {
    const isCrowded = this.#byClient.most > this.#share;
    const [victim] = isCrowded ? this.#byClient.ofHeaviest() : this.#all.keys();
    if (!victim) return;
    // Its close may come later, when more have been accepted.
    this.delete(victim);
    victim.evict();
  }
}
