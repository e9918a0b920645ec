/** How the commands on a running Portico print: `wide` is text with more columns. */
export const LIVE_OUTPUTS = ['text', 'json', 'wide'] as const;
export type LiveOutput = (typeof LIVE_OUTPUTS)[number];
