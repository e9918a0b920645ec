import type { Client } from './client.ts';
import type { ByteCount } from './connection-memory.ts';

/** After connections were closed for the memory they held, so much of the limit is free again. */
const FREED = 1 / 8;

/**
 * What a thread holds for all its clients: what they have not read, what Pods have not read of theirs, and the heads of
 * requests under way. Beyond the limit the connections that hold the most are closed.
 */
export class HeldMemory implements ByteCount {
  readonly #limit: number;
  readonly #clients: Iterable<Client>;
  bytes = 0;
  #isScheduled = false;
  /** Connections that were closed for it. */
  shed = 0;

  constructor(limit: number, clients: Iterable<Client>) {
    this.#limit = limit;
    this.#clients = clients;
  }

  add(bytes: number): void {
    this.bytes += bytes;
    if (this.bytes <= this.#limit || this.#isScheduled) return;
    this.#isScheduled = true;
    // Not now: the connection may be one that is just being written to.
    setImmediate(() => this.#shed());
  }

  #shed(): void {
    this.#isScheduled = false;
    // The kernel may have taken some of it without a word.
    for (const client of this.#clients) client.memory.setQueued(client.queuedBytes);
    if (this.bytes <= this.#limit) return;
    const largest = [...this.#clients].toSorted((a, b) => b.memory.bytes - a.memory.bytes);
    for (const client of largest) {
      if (this.bytes <= this.#limit * (1 - FREED)) return;
      this.shed++;
      client.shed();
    }
  }
}
