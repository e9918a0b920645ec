import type { EngineName } from './engines.ts';

/** What an engine is known to do differently from the contract, and why it stays that way. */
export interface Deviation {
  readonly engine: EngineName;
  /** The title of the behaviour in the contract suite. */
  readonly behaviour: string;
  readonly reason: string;
}

export const deviations: readonly Deviation[] = [];
