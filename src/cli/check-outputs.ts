/** How `check` can print. Apart from it, so that the command line can name them without loading it. */
export const CHECK_OUTPUTS = ['text', 'json', 'github', 'sarif', 'junit'] as const;
export type CheckOutput = (typeof CHECK_OUTPUTS)[number];
