/** Upper bounds of the latency histogram's buckets, in seconds; the last bucket, without a bound, follows them. */
export const LATENCY_BOUNDS_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

/** The bucket of `LATENCY_BOUNDS_SECONDS` that a time is in. */
export function bucketOf(seconds: number): number {
  let bucket = 0;
  while (bucket < LATENCY_BOUNDS_SECONDS.length && seconds > LATENCY_BOUNDS_SECONDS[bucket]!) bucket++;
  return bucket;
}
