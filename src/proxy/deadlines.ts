import { performance } from 'node:perf_hooks';

/** Who hears of what the timer does. */
export interface DeadlinesUser {
  onSweep?(now: number): void;
  /** Nothing is awaited any more. */
  onRest?(): void;
  /** Something is awaited again. */
  onWake?(): void;
}

/**
 * Every time limit of a thread, kept by one coarse timer. A timer per connection and request costs microseconds
 * each; here arming is a few pointers: each list holds deadlines of one length, so it is in order by itself. While
 * nothing is awaited, the timer rests.
 */
export class Deadlines {
  readonly #lists: DeadlineList[] = [];
  #timer: NodeJS.Timeout | null = null;
  #granularityMs: number;
  #stopped = false;
  #sweptAt = 0;

  readonly onFault: (fault: unknown) => void;
  readonly #user: DeadlinesUser;

  /**
   * No deadline is met before its time, nor later than half of its length after it, or twice `coarsestMs` if that is less,
   * event loop permitting. `onFault` is told what threw while one was acted on; the others are not kept from it. `user` hears of
   * each sweep: every `coarsestMs` or more often while something is awaited.
   */
  constructor(coarsestMs: number, onFault: (fault: unknown) => void, user: DeadlinesUser = {}) {
    this.onFault = onFault;
    this.#user = user;
    this.#granularityMs = coarsestMs;
  }

  /** Milliseconds on a clock that only goes forward, as of the last sweep if there are any. */
  get now(): number {
    return this.#timer === null ? performance.now() : this.#sweptAt;
  }

  /** Deadlines that are all this long. `expire` is given the owner of each one that was not met. */
  list<Owner>(timeoutMs: number, expire: (owner: Owner) => void): DeadlineList<Owner> {
    const list = new DeadlineList<Owner>(this, timeoutMs, expire);
    this.#lists.push(list as DeadlineList);
    this.refine(timeoutMs);
    return list;
  }

  /** Looks as often as deadlines of this length want. */
  refine(timeoutMs: number): void {
    const granularityMs = Math.max(1, timeoutMs / 4);
    if (granularityMs >= this.#granularityMs) return;
    this.#granularityMs = granularityMs;
    if (this.#timer === null) return;
    this.#rest();
    this.wake();
  }

  sweep(now: number): void {
    this.#sweptAt = now;
    for (const list of this.#lists) list.sweep(now);
    this.#user.onSweep?.(now);
    if (this.#timer === null || this.#lists.some((list) => list.first !== null)) return;
    this.#rest();
    this.#user.onRest?.();
  }

  /** A list is not empty any more. */
  wake(): void {
    if (this.#timer !== null || this.#stopped) return;
    this.#sweptAt = performance.now();
    this.#timer = setInterval(() => this.sweep(performance.now()), this.#granularityMs).unref();
    this.#user.onWake?.();
  }

  stop(): void {
    this.#stopped = true;
    this.#rest();
  }

  #rest(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}

/** Deadlines of one kind whose length is for users to say: there is a list for each length that was asked for. */
export class DeadlineLists<Owner> {
  readonly #clock: Deadlines;
  readonly #expire: (owner: Owner) => void;
  readonly #lists = new Map<number, DeadlineList<Owner>>();

  constructor(clock: Deadlines, expire: (owner: Owner) => void) {
    this.#clock = clock;
    this.#expire = expire;
  }

  /** At least so long. Lengths are rounded up, so that no number of Ingresses makes more than some 7,000 lists. */
  of(timeoutMs: number): DeadlineList<Owner> {
    const step = STEPS.find(({ from }) => timeoutMs > from)?.stepMs ?? 1;
    const length = Math.ceil(timeoutMs / step) * step;
    let list = this.#lists.get(length);
    if (!list) this.#lists.set(length, (list = this.#clock.list(length, this.#expire)));
    return list;
  }
}

const STEPS = [
  { from: 86_400_000, stepMs: 3_600_000 },
  { from: 3_600_000, stepMs: 60_000 },
  { from: 10_000, stepMs: 1_000 },
  { from: 1_000, stepMs: 50 },
];

export class DeadlineList<Owner = unknown> {
  readonly clock: Deadlines;
  #timeoutMs: number;
  readonly #expire: (owner: Owner) => void;
  /** The one that is due first. */
  first: Deadline<Owner> | null = null;
  last: Deadline<Owner> | null = null;

  constructor(clock: Deadlines, timeoutMs: number, expire: (owner: Owner) => void) {
    this.clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#expire = expire;
  }

  /** Another length, also for what waits already: it counts from when that began. */
  change(timeoutMs: number): void {
    this.#timeoutMs = timeoutMs;
    this.clock.refine(timeoutMs);
  }

  /** Up to so many of them, the one that is due first in front. */
  oldest(count: number): readonly Deadline<Owner>[] {
    const found: Deadline<Owner>[] = [];
    for (let next = this.first; next && found.length < count; next = next.later) found.push(next);
    return found;
  }

  sweep(now: number): void {
    // What was armed since the last sweep, at whatever time until now, counts from now on: none is met too early.
    for (let each = this.last; each?.since === JUST_ARMED; each = each.earlier) each.since = now;
    for (;;) {
      const { first } = this;
      if (!first || first.since + this.#timeoutMs > now) return;
      first.clear();
      try {
        this.#expire(first.owner);
      } catch (fault) {
        this.clock.onFault(fault);
      }
    }
  }
}

/** `since` of what was armed after the last sweep. */
const JUST_ARMED = Infinity;

/** What an owner is waiting for, one thing at a time. */
export class Deadline<Owner> {
  readonly owner: Owner;
  since = 0;
  #list: DeadlineList<Owner> | null = null;
  #earlier: Deadline<Owner> | null = null;
  #later: Deadline<Owner> | null = null;

  constructor(owner: Owner) {
    this.owner = owner;
  }

  /** Starts anew in `list`, whatever it was waiting for before. */
  arm(list: DeadlineList<Owner>): void {
    this.since = JUST_ARMED;
    if (this.#list === list && list.last === this) return;
    this.clear();
    this.#list = list;
    this.#earlier = list.last;
    if (list.last) list.last.#later = this;
    else {
      list.first = this;
      list.clock.wake();
    }
    list.last = this;
  }

  /** The one that is due after it, in the list it is in. */
  get later(): Deadline<Owner> | null {
    return this.#later;
  }

  /** The one that was armed before it, in the list it is in. */
  get earlier(): Deadline<Owner> | null {
    return this.#earlier;
  }

  isArmedIn(list: DeadlineList<Owner>): boolean {
    return this.#list === list;
  }

  clear(): void {
    const list = this.#list;
    if (!list) return;
    if (this.#earlier) this.#earlier.#later = this.#later;
    else list.first = this.#later;
    if (this.#later) this.#later.#earlier = this.#earlier;
    else list.last = this.#earlier;
    this.#list = this.#earlier = this.#later = null;
  }
}
