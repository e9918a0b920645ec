import type { PortState } from '../listener/port-state.ts';
import type { PortFacts } from '../../routing/gateway/serving-facts.ts';

/** What became of the ports of Gateways and services on all data-plane threads. */
export class PortStates<Thread> {
  /** By key: the code of each thread's failure, or null of one that listens. */
  readonly #ports = new Map<string, Map<Thread, string | null>>();
  #failures: ReadonlyMap<string, string> = new Map();
  readonly #bound = new Set<string>();
  /** Null after a change. */
  #facts: PortFacts | null = null;

  /** Why ports cannot be listened on, by their keys: a code of the system, of any thread that failed. Another map with each change. */
  get failures(): ReadonlyMap<string, string> {
    return this.#failures;
  }

  /** All of it. Another object after each change. */
  get facts(): PortFacts {
    this.#facts ??= { failures: this.#failures, bound: new Set(this.#bound) };
    return this.#facts;
  }

  /** Whether every thread came to listen on it. While one that died is replaced, the others do. */
  isBound(key: string): boolean {
    return this.#bound.has(key);
  }

  /** One of `count` threads says what became of a port. Gives whether anything is another than before for all of them. */
  set(thread: Thread, key: string, state: PortState, count: number): boolean {
    const before = [this.#failures.get(key), this.#bound.has(key)];
    const states = this.#ports.get(key) ?? new Map<Thread, string | null>();
    if (state.kind === 'closed') states.delete(thread);
    else states.set(thread, state.kind === 'failed' ? state.code : null);
    if (states.size > 0) this.#ports.set(key, states);
    else this.#ports.delete(key);
    this.#update(key, states, count);
    return before[0] !== this.#failures.get(key) || before[1] !== this.#bound.has(key);
  }

  /** A thread is gone. Gives the keys of ports that are failures no more. */
  forget(thread: Thread): readonly string[] {
    const resolved: string[] = [];
    for (const [key, states] of this.#ports) {
      if (!states.delete(thread)) continue;
      if (states.size === 0) this.#ports.delete(key);
      const failed = this.#failures.has(key);
      this.#update(key, states, Number.POSITIVE_INFINITY);
      if (failed && !this.#failures.has(key)) resolved.push(key);
    }
    return resolved;
  }

  #update(key: string, states: ReadonlyMap<Thread, string | null>, count: number): void {
    this.#facts = null;
    const failure = [...states.values()].find((code) => code !== null) ?? undefined;
    if (failure !== this.#failures.get(key)) {
      const others = [...this.#failures].filter(([other]) => other !== key);
      this.#failures = new Map(failure === undefined ? others : [...others, [key, failure]]);
    }
    if (failure !== undefined || states.size === 0) this.#bound.delete(key);
    else if (states.size >= count) this.#bound.add(key);
  }
}
