import { Concurrency } from './concurrency.ts';
import { type Rate, RequestRate } from './request-rate.ts';
import { type Place, SharedSlots, sharedSlotsMemory } from './shared-slots.ts';

/** What the threads of one process share to count their clients together. Plain data: it is posted to each of them. */
export interface SharedLimitsMemory {
  readonly rates: SharedArrayBuffer;
  readonly counts: SharedArrayBuffer;
  /** How often counts began anew, in one 32-bit word. */
  readonly epoch: SharedArrayBuffer;
}

/** `random` fills an array with random bits. */
export function sharedLimitsMemory(random: (array: Uint32Array) => void): SharedLimitsMemory {
  return {
    rates: sharedSlotsMemory(random),
    counts: sharedSlotsMemory(random),
    epoch: new SharedArrayBuffer(4),
  };
}

/** A thread has died: the requests that it counted as under way are over. */
export function forgetCounts({ epoch }: SharedLimitsMemory): void {
  Atomics.add(new Uint32Array(epoch), 0, 1);
}

/** A limit on what each client of one Ingress may ask for. */
export interface RateLimiter {
  /** 0 when the request may pass, or the milliseconds until one may. */
  take(client: string, nowMs: number): number;
  giveBack(client: string, nowMs: number): void;
}

/** A limit on what each client of one Ingress may have under way. */
export interface ConcurrencyLimiter {
  /** Null when there are as many as may be; else what says that this one is over. To be called once. */
  enter(client: string): (() => void) | null;
}

/** The limits of one thread, over memory that it shares with the others. */
export class SharedLimits {
  readonly #rates: SharedSlots;
  readonly #counts: SharedSlots;
  readonly #epoch: Uint32Array;

  constructor({ rates, counts, epoch }: SharedLimitsMemory) {
    this.#rates = new SharedSlots(rates);
    this.#counts = new SharedSlots(counts);
    this.#epoch = new Uint32Array(epoch);
  }

  /** `name` tells the limits of a namespace apart. */
  rate(namespace: string, name: string, rate: Rate): RateLimiter {
    const slots = this.#rates;
    const zone = slots.zone(namespace, name);
    const limit = new RequestRate(slots, rate);
    return {
      take: (client, nowMs) => limit.take(slots.at(zone, client), nowMs),
      giveBack: (client, nowMs) => limit.giveBack(slots.at(zone, client), nowMs),
    };
  }

  concurrency(namespace: string, name: string, most: number): ConcurrencyLimiter {
    const slots = this.#counts;
    const zone = slots.zone(namespace, name);
    const limit = new Concurrency(slots, this.#epoch, most);
    return {
      enter(client) {
        const place: Place = slots.at(zone, client);
        const epoch = limit.enter(place);
        return epoch === null ? null : () => limit.leave(place, epoch);
      },
    };
  }
}
