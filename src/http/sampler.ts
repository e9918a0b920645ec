/** Which requests are recorded: the samplers of OpenTelemetry. */
export interface SamplerSettings {
  /** For requests that belong to no trace yet. */
  readonly root: 'always_on' | 'always_off' | 'traceidratio';
  /** Of `traceidratio`: from 0 to 1. */
  readonly ratio: number;
  /** Whether a request that belongs to a trace is recorded if its sender records it, and only then. */
  readonly parentBased: boolean;
}

export interface Sampler {
  readonly parentBased: boolean;
  /** For a request that belongs to no trace yet, or where that does not decide: its trace id ends at `end` of the text. */
  samplesRoot(text: string, end: number): boolean;
}

/** The last 56 bits of a trace id are random: 14 hexadecimal digits. */
const RANDOM_DIGITS = 14;

export function samplerOf({ root, ratio, parentBased }: SamplerSettings): Sampler {
  if (root === 'always_on' || (root === 'traceidratio' && ratio >= 1))
    return { parentBased, samplesRoot: () => true };
  // A ratio so small that nothing is left of it in the difference would sample nearly all.
  if (root === 'always_off' || 1 - ratio >= 1) return { parentBased, samplesRoot: () => false };
  // Digits of the same case and number are in the order of what they mean. Others who sample agree on the same traces.
  const least = Math.round((1 - ratio) * 2 ** 56)
    .toString(16)
    .padStart(RANDOM_DIGITS, '0');
  return { parentBased, samplesRoot: (text, end) => isAtLeast(text, end, least) };
}

/** Whether the last digits before `end` are those or greater ones. Most are told apart by the first; a part of a text is slow to compare. */
function isAtLeast(text: string, end: number, least: string): boolean {
  const from = end - RANDOM_DIGITS;
  for (let i = 0; i < RANDOM_DIGITS; i++) {
    const difference = text.charCodeAt(from + i) - least.charCodeAt(i);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
