const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 30_000;
const MAX_RETRY_AFTER_MS = 5 * 60_000;
const RELIST_WITHIN_MS = 2_000;

/**
 * How long to wait after so many failures in a row: doubling up to half a minute, and of that a random part between
 * the half and the whole, so that a thousand nodes do not come back together. `Retry-After` is a lower bound, beyond
 * which they are spread in the same way: a busy server tells all of them the same number of seconds.
 */
export function backoffMs(failures: number, random: () => number, retryAfterMs = 0): number {
  const half = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures - 1, 30)) / 2;
  return Math.round(Math.max(half, Math.min(retryAfterMs, MAX_RETRY_AFTER_MS)) + half * random());
}

/**
 * How long to wait before listing again after a 410, which says that there is nothing to resume from. An API server
 * that was restarted, or whose etcd was compacted, says so to every node at once, over connections that are in the best
 * of health: what is a back-off otherwise must spread them here. The first relist is at any point of two seconds
 * (client-go's are 0.8 to 1.6 s after); each that expires again soon after waits up to twice as long, and at least half
 * of that.
 *
 * @param expiries how many lists in a row expired soon after they were made, before this one
 */
export function relistDelayMs(expiries: number, random: () => number): number {
  const longest = Math.min(MAX_DELAY_MS, RELIST_WITHIN_MS * 2 ** Math.min(expiries, 30));
  const least = expiries === 0 ? 0 : longest / 2;
  return Math.floor(least + (longest - least) * random());
}
