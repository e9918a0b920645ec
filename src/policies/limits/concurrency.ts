import type { Place, SharedSlots } from './shared-slots.ts';

const COUNTS = 2 ** 32;
const EPOCHS = 2 ** 10;

/**
 * How many requests a client has under way, counted over all threads. When a thread dies, what it counted would never be
 * taken back: then a new epoch begins, and everybody is counted from 0.
 */
export class Concurrency {
  readonly #slots: SharedSlots;
  readonly #epochs: Uint32Array;
  readonly #most: number;
  #epoch = 0;

  constructor(slots: SharedSlots, epochs: Uint32Array, most: number) {
    this.#slots = slots;
    this.#epochs = epochs;
    this.#most = most;
  }

  /** One more, unless there are as many as may be: then null. Give what it returns to `leave`. */
  enter(place: Place): number | null {
    this.#epoch = Atomics.load(this.#epochs, 0) % EPOCHS;
    return this.#slots.update(place, this.#count, this.#increment) ? this.#epoch : null;
  }

  leave(place: Place, epoch: number): void {
    this.#epoch = epoch;
    this.#slots.update(place, this.#count, this.#decrement);
  }

  readonly #count = (value: number): number =>
    Math.floor(value / COUNTS) === this.#epoch ? value % COUNTS : 0;

  readonly #increment = (value: number): number | null => {
    const count = this.#count(value);
    return count >= this.#most ? null : this.#epoch * COUNTS + count + 1;
  };

  readonly #decrement = (value: number): number | null => (this.#count(value) === 0 ? null : value - 1);
}
