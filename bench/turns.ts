import { cpuMs } from './process-figures.ts';
import { type Spread, medianOf, spreadOf } from './spread.ts';
import type { Running } from './subjects.ts';

/** A subject that runs. */
export interface Turner {
  readonly name: string;
  readonly running: Running;
}

/** What was done in a window, and in how many seconds. */
export interface Done {
  readonly count: number;
  readonly seconds: number;
}

interface Window {
  readonly cpuUs: number;
  readonly perSecond: number;
}

/** The windows of each subject, by its name. */
export type Rounds = ReadonlyMap<string, readonly Window[]>;

/** What Portico is compared with. */
const REFERENCES = ['nginx', 'caddy'] as const;

const NOTHING = (): void => {};

/**
 * Each subject has a window in each round, and every second round goes the other way, so that what else the machine does
 * meets all alike. A first round, for just-in-time compilers, is not counted. Neither is what `prepare` does before a window,
 * and what it gives to do after it.
 */
export async function takeTurns<Of extends Turner>(
  subjects: readonly Of[],
  rounds: number,
  window: (subject: Of, isFirst: boolean) => Promise<Done>,
  prepare: (subject: Of) => Promise<() => void> = async () => NOTHING,
): Promise<Rounds> {
  const windows = new Map(subjects.map(({ name }) => [name, [] as Window[]]));
  for (let round = -1; round < rounds; round++) {
    for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) {
      const release = await prepare(subject);
      const before = cpuMs(subject.running.pid);
      const { count, seconds } = await window(subject, round < 0);
      const cpuUs = ((cpuMs(subject.running.pid) - before) * 1_000) / count;
      release();
      if (round >= 0) windows.get(subject.name)?.push({ cpuUs, perSecond: count / seconds });
    }
  }
  return windows;
}

export function printRounds(scenario: string, rounds: Rounds): void {
  console.log(`\n${scenario}`);
  const columns = ['CPU µs each', 'each second', ...REFERENCES.map((name) => `CPU × ${name}`)];
  console.log(['', ...columns].map((text, index) => text.padEnd(index === 0 ? 22 : 20)).join(''));
  for (const [name, windows] of rounds) {
    const ratios = REFERENCES.map((reference) => {
      const others = rounds.get(reference);
      if (!others || reference === name) return '-';
      return told(spreadOf(windows.map(({ cpuUs }, index) => cpuUs / (others[index]?.cpuUs ?? Number.NaN))));
    });
    const cells = [
      medianOf(windows.map(({ cpuUs }) => cpuUs)).toFixed(1),
      medianOf(windows.map(({ perSecond }) => perSecond)).toFixed(scenario.includes('MiB') ? 1 : 0),
      ...ratios,
    ];
    console.log(name.padEnd(22) + cells.map((cell) => cell.padEnd(20)).join(''));
  }
}

function told({ lower, median, upper }: Spread): string {
  return `${median.toFixed(2)} [${lower.toFixed(2)}..${upper.toFixed(2)}]`;
}
