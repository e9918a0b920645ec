/** The median of what was measured, and between what it lies with a certainty of 95 %, whatever the distribution is. */
export interface Estimate {
  readonly lower: number;
  readonly median: number;
  readonly upper: number;
}

export function estimateOf(values: readonly number[]): Estimate {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  // Of a binomial distribution: half of the values lie below the median.
  const reach = 0.98 * Math.sqrt(sorted.length);
  const at = (rank: number): number => sorted[Math.min(Math.max(rank, 0), sorted.length - 1)] ?? Number.NaN;
  return {
    lower: at(Math.floor(middle - reach)),
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    upper: at(Math.ceil(middle + reach)),
  };
}

export type Verdict = 'met' | 'not met' | 'not decided';

/** Whether a value is below its aim. */
export function verdictOf({ lower, upper }: Estimate, aim: number): Verdict {
  if (upper < aim) return 'met';
  return lower > aim ? 'not met' : 'not decided';
}
