import { performance } from 'node:perf_hooks';
import type { Client } from './client.ts';
import type { ConnectedClients } from './connected-clients.ts';
import type { OpenListener } from './listener/listener.ts';

/**
 * A client that keeps its connection busy sends its next request within this time, and gets it answered with
 * `Connection: close`; one that is silent for so long is closed, and hardly has a request on its way.
 */
export const QUIET_MS = 1_000;
const LOOK_EVERY_MS = 100;

/**
 * Listeners that accept no more while others do. Their connections are told to go and closed when they are quiet; what is
 * under way on them is finished, however long it takes.
 */
export class ClosingListeners {
  readonly #clients: ConnectedClients;
  /** By number, with the time when each was closed. */
  readonly #closed = new Map<number, { readonly listener: OpenListener; readonly since: number }>();
  #told = new WeakSet<Client>();
  #timer: NodeJS.Timeout | null = null;

  constructor(clients: ConnectedClients) {
    this.#clients = clients;
  }

  close(listener: OpenListener): void {
    listener.close();
    this.#closed.set(listener.id, { listener, since: performance.now() });
    for (const client of this.#clients.acceptedBy(listener.id)) this.#tell(client);
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  /** Whether the connections of a listener are about to end, by its number. */
  has(listener: number | undefined): boolean {
    return this.#closed.size > 0 && listener !== undefined && this.#closed.has(listener);
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    this.#closed.clear();
  }

  #look(): void {
    const now = performance.now();
    for (const [id, { listener, since }] of this.#closed) {
      let isEmpty = listener.pending === 0;
      for (const client of this.#clients.acceptedBy(id)) {
        isEmpty = false;
        // One may have been in its handshake, or have begun to speak HTTP/2, since.
        this.#tell(client);
        if (client.isIdle && now - Math.max(client.quietSince, since) >= QUIET_MS) client.close();
      }
      if (isEmpty) this.#closed.delete(id);
    }
    if (this.#closed.size === 0) this.stop();
  }

  #tell(client: Client): void {
    if (this.#told.has(client)) return;
    this.#told.add(client);
    client.announceDrain();
  }
}
