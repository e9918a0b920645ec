const POLICIES = ['external-auth', 'basic-auth'] as const;
/** `failed`: there was no answer that says yes or no. */
const VERDICTS = ['allowed', 'denied', 'failed'] as const;
/** Whether the answer had to be found, or was remembered. */
const SOURCES = ['asked', 'cached'] as const;

/** What a policy that decides who gets in found of one request: `external-auth allowed cached`. */
export type AuthOutcome =
  `${(typeof POLICIES)[number]} ${(typeof VERDICTS)[number]} ${(typeof SOURCES)[number]}`;

/** All that there can be. */
export const AUTH_OUTCOMES: readonly AuthOutcome[] = POLICIES.flatMap((policy) =>
  VERDICTS.flatMap((verdict) => SOURCES.map((source): AuthOutcome => `${policy} ${verdict} ${source}`)),
);

/** Of an exchange that no such policy was asked about. */
export const NO_AUTHS: readonly AuthOutcome[] = [];
