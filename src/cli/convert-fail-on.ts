/** Each fails for itself and for what is worse. */
export const CONVERT_FAIL_ON = ['closed', 'lost', 'differs'] as const;
export type ConvertFailOn = (typeof CONVERT_FAIL_ON)[number];
