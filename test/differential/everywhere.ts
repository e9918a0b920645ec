import type { Difference } from './case.ts';

/** Where Portico may differ in every case; unlike the differences of a case, one of these may also not occur. */
export const EVERYWHERE: readonly Difference[] = ['app', 'auth', 'copy', 'numbers'].map((pod) => ({
  what: `${pod} cdn-loop`,
  portico: 'portico',
  nginx: null,
  why: 'A route that leads back to Portico is noticed by it.',
}));
