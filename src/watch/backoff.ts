const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 30_000;
const MAX_RETRY_AFTER_MS = 5 * 60_000;

/**
 * How long to wait after so many failures in a row: doubling up to half a minute, and of that a random part between
 * the half and the whole, so that a thousand nodes do not come back together. `Retry-After` is a lower bound.
 */
export function backoffMs(failures: number, random: () => number, retryAfterMs = 0): number {
  const doubled = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures - 1, 30));
  return Math.round(Math.max(doubled * (0.5 + random() / 2), Math.min(retryAfterMs, MAX_RETRY_AFTER_MS)));
}
