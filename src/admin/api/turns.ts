import { runInSlices } from '../slices.ts';

/**
 * Runs the work of the admin API: in slices, and one piece of work at a time, so that however many ask, between two slices
 * health is answered and changes are compiled.
 */
export interface Turns {
  /** Resolves with what the work returns. Rejects with the reason of `signal` if that comes before its turn. */
  run<T>(work: Generator<unknown, T>, signal?: AbortSignal): Promise<T>;
}

export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  return {
    run(work, signal) {
      const turn = last.then(() => {
        signal?.throwIfAborted();
        return runInSlices(work);
      });
      last = turn.catch(() => undefined);
      return turn;
    },
  };
}
