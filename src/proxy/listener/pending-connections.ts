interface Pending {
  destroy(): void;
}

/** The connections of an engine whose PROXY header or handshake is awaited, on all of its ports. */
export class PendingConnections {
  readonly #limit: number;
  readonly #all = new Set<Pending>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** At the limit the one that has waited longest is given up: it is the least likely to be a client that means it. */
  add(raw: Pending): void {
    if (this.#all.size >= this.#limit) {
      const oldest = this.#all.values().next().value;
      // Its close comes later, when more may have been accepted.
      if (oldest && this.#all.delete(oldest)) oldest.destroy();
    }
    this.#all.add(raw);
  }

  delete(raw: Pending): void {
    this.#all.delete(raw);
  }
}
