import type { Difference } from './case.ts';

/** Where Portico may differ in every case; unlike the differences of a case, one of these may also not occur. */
export const EVERYWHERE: readonly Difference[] = [];
