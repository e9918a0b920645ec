/** Counts held bytes: a positive number adds to the count, a negative one takes away. */
export interface ByteCount {
  add(bytes: number): void;
}

/** What is held for one connection of a client. */
export class ConnectionMemory implements ByteCount {
  #thread: ByteCount | null;
  bytes = 0;
  /** Of responses, until the client lets more of them be sent. */
  readonly unsent: UnsentBytes;
  /** Of the heads of its requests under way. */
  heads = 0;
  #queued = 0;

  /** `mostUnsent` bytes of responses, then `onFull`; `onRoom` when it is down to half of that. */
  constructor(thread: ByteCount, mostUnsent: number, onFull: () => void, onRoom: () => void) {
    this.#thread = thread;
    this.unsent = new UnsentBytes(this, mostUnsent, onFull, onRoom);
  }

  add(bytes: number): void {
    this.bytes += bytes;
    this.#thread?.add(bytes);
  }

  addHead(bytes: number): void {
    this.heads += bytes;
    this.add(bytes);
  }

  /** What was written to the connection and has not left. */
  setQueued(bytes: number): void {
    if (bytes === this.#queued) return;
    this.add(bytes - this.#queued);
    this.#queued = bytes;
  }

  /** The connection is gone: nothing is held for it. */
  close(): void {
    this.#thread?.add(-this.bytes);
    this.#thread = null;
  }
}

class UnsentBytes implements ByteCount {
  readonly #whole: ByteCount;
  readonly #most: number;
  readonly #onFull: () => void;
  readonly #onRoom: () => void;
  #bytes = 0;
  isFull = false;

  constructor(whole: ByteCount, most: number, onFull: () => void, onRoom: () => void) {
    this.#whole = whole;
    this.#most = most;
    this.#onFull = onFull;
    this.#onRoom = onRoom;
  }

  add(bytes: number): void {
    this.#whole.add(bytes);
    this.#bytes += bytes;
    if (!this.isFull && this.#bytes > this.#most) {
      this.isFull = true;
      this.#onFull();
    } else if (this.isFull && this.#bytes <= this.#most / 2) {
      this.isFull = false;
      this.#onRoom();
    }
  }
}
