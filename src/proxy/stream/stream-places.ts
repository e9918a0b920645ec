import { FairPlaces } from '../fair-places.ts';

/** A stream under way. */
export interface StreamHolder {
  /** The namespace of its backend. */
  readonly namespace: string;
  /** Its endpoint has sent something. */
  readonly isAnswered: boolean;
  /** On the clock of the deadlines. */
  readonly begunAt: number;
  /** When the last byte came, on the same clock. */
  readonly silentSince: number;
  /** Ends it, and gives its place back. */
  evict(): void;
}

/** How many are looked at of those that have been silent longest, and of the namespace. */
const COMPARED = 16;
/** What no endpoint has answered for less than this may be a loop, each round of which would end the one before it. */
const UNANSWERED_MS = 10_000;

/**
 * So many streams of a thread, of which each namespace gets an equal part when all places are taken. Within a namespace the
 * one that has been silent longest gives way to a new one, but not one that was begun just now and got no answer: in
 * a loop that leads back here every connection is like that, and would go on for ever.
 */
export class StreamPlaces<Holder extends StreamHolder> {
  readonly #places: FairPlaces<Holder>;
  readonly #silent: (count: number) => readonly Holder[];
  readonly #now: () => number;

  /** `silent` gives so many of those that have been silent longest. */
  constructor(total: number, silent: (count: number) => readonly Holder[], now: () => number) {
    this.#places = new FairPlaces(total, total, (holders) => {
      const [first] = holders;
      (this.#leaving(holders) ?? first)?.evict();
    });
    this.#silent = silent;
    this.#now = now;
  }

  /** Whether there is a place, which is given back with `release`. */
  take(holder: Holder): boolean {
    const { namespace } = holder;
    if (this.#places.take(namespace, holder)) return true;
    const leaving = this.#leaving(this.#places.holdersOf(namespace));
    leaving?.evict();
    return leaving !== null && this.#places.take(namespace, holder);
  }

  release(holder: Holder): void {
    this.#places.release(holder.namespace, holder);
  }

  /** Those that have been silent longest may all be of other namespaces: some of this one are compared too, others each time. */
  #leaving(holders: ReadonlySet<Holder>): Holder | null {
    const begunBefore = this.#now() - UNANSWERED_MS;
    const some = [...holders.values().take(COMPARED)];
    for (const each of some) this.#places.moveToBack(each.namespace, each);
    const candidates = [
      ...this.#silent(COMPARED).filter((each) => holders.has(each)),
      ...some.toSorted((a, b) => a.silentSince - b.silentSince),
    ];
    return candidates.find((each) => each.isAnswered || each.begunAt <= begunBefore) ?? null;
  }
}
