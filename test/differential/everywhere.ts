import type { Difference } from './case.ts';

/** Where Portico may differ in every case; unlike the differences of a case, one of these may also not occur. */
export const EVERYWHERE: readonly Difference[] = ['http', 'https'].flatMap((scheme) =>
  ['x-scheme', 'x-forwarded-scheme'].map((field) => ({
    what: `app ${field}`,
    portico: null,
    nginx: scheme,
    why: 'Pods are told the scheme in X-Forwarded-Proto alone.',
  })),
);
