const UNITS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;
/** GEP-2257 */
const DURATION = /^(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}$/;
/** A timer that is set for longer fires at once. */
export const LONGEST_MS = 2 ** 31 - 1;

/** A duration as fields of Gateway API have it, in milliseconds and at most `LONGEST_MS`; undefined for what is none. */
export function durationMs(written: unknown): number | undefined {
  if (typeof written !== 'string' || !DURATION.test(written)) return undefined;
  let sum = 0;
  for (const [, number = '', unit = 's'] of written.matchAll(/([0-9]+)(ms|h|m|s)/g)) {
    sum += Number(number) * UNITS[unit as keyof typeof UNITS];
  }
  return Math.min(sum, LONGEST_MS);
}
