/**
 * What the subrequests of a thread hold: what they send, as far as nobody else counts it, what their servers do not take of
 * it, and what came of the responses.
 */
export class HeldBytes {
  readonly #most: number;
  readonly #byNamespace = new Map<string, number>();
  #bytes = 0;

  /** `most` bytes for all namespaces together. */
  constructor(most: number) {
    this.#most = most;
  }

  add(namespace: string, bytes: number): void {
    this.#bytes += bytes;
    const own = (this.#byNamespace.get(namespace) ?? 0) + bytes;
    if (own > 0) this.#byNamespace.set(namespace, own);
    else this.#byNamespace.delete(namespace);
  }

  /** Whether all hold too much and this namespace more than its equal part: no other one is to suffer for it. */
  isFull(namespace: string): boolean {
    if (this.#bytes <= this.#most) return false;
    return (this.#byNamespace.get(namespace) ?? 0) > this.#most / this.#byNamespace.size;
  }
}
