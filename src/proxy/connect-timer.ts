import { Deadline, type DeadlineList } from './deadlines.ts';

/** The time that an exchange has to connect: for all its attempts together, and for one while it has others left. */
export class ConnectTimer<Owner> {
  readonly #all: Deadline<Owner>;
  readonly #attempt: Deadline<Owner>;

  constructor(owner: Owner, all: DeadlineList<Owner>) {
    this.#all = new Deadline(owner);
    this.#attempt = new Deadline(owner);
    this.#all.arm(all);
  }

  /** The attempt that begins now is not the last one that there can be. */
  startAttempt(attempts: DeadlineList<Owner>): void {
    this.#attempt.arm(attempts);
  }

  endAttempt(): void {
    this.#attempt.clear();
  }

  stop(): void {
    this.#all.clear();
    this.#attempt.clear();
  }
}
