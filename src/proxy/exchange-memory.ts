import type { ConnectionMemory } from './connection-memory.ts';

/** What an exchange counts for beside its head: so the number of those under way is bounded by memory too. */
const EXCHANGE_BYTES = 4_096;

/** What has the head of a request. */
interface HeadHolder {
  /** Lets go of it: it is not sent again, and policies have seen the response. */
  dropHead(): void;
}

/** What one exchange holds of the memory of its connection, beside the body of the request. */
export class ExchangeMemory {
  readonly #connection: ConnectionMemory;
  /** For its head and target. */
  #headBytes = 0;
  /** For what the upstream does not take. */
  #upstreamQueued = 0;

  constructor(connection: ConnectionMemory) {
    this.#connection = connection;
    connection.add(EXCHANGE_BYTES);
  }

  /** So many bytes of the head and the target are held. */
  setHead(bytes: number): void {
    if (bytes === this.#headBytes) return;
    this.#connection.addHead(bytes - this.#headBytes);
    this.#headBytes = bytes;
  }

  /** Lets go of a head that is not sent again. */
  dropHead(holder: HeadHolder): void {
    holder.dropHead();
    this.setHead(0);
  }

  setUpstreamQueued(bytes: number): void {
    if (bytes === this.#upstreamQueued) return;
    this.#connection.add(bytes - this.#upstreamQueued);
    this.#upstreamQueued = bytes;
  }

  /** The exchange is over. To be called once. */
  end(holder: HeadHolder): void {
    this.dropHead(holder);
    this.setUpstreamQueued(0);
    this.#connection.add(-EXCHANGE_BYTES);
  }
}
