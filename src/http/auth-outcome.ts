const POLICIES = ['external-auth', 'external-auth-filter', 'basic-auth'] as const;
/** `failed`: there was no answer that says yes or no. */
const VERDICTS = ['allowed', 'denied', 'failed'] as const;
/** Whether the answer had to be found, or was remembered. */
const SOURCES = ['asked', 'cached'] as const;

export type AuthPolicy = (typeof POLICIES)[number];
export type AuthSource = (typeof SOURCES)[number];

/** What a policy that decides who gets in found of one request: `external-auth allowed cached`. */
export type AuthOutcome = `${AuthPolicy} ${(typeof VERDICTS)[number]} ${AuthSource}`;

/** All that there can be. */
export const AUTH_OUTCOMES: readonly AuthOutcome[] = POLICIES.flatMap((policy) =>
  VERDICTS.flatMap((verdict) => SOURCES.map((source): AuthOutcome => `${policy} ${verdict} ${source}`)),
);

/** Of an exchange that no such policy was asked about. */
export const NO_AUTHS: readonly AuthOutcome[] = [];
