/** What a window says: the value that is compared, and how often the work was done in a second. */
export interface Window {
  readonly value: number;
  readonly perSecond: number;
}

/** The windows of each subject, by its name; the first of one was in the same round as the first of any other. */
export type Rounds = ReadonlyMap<string, readonly Window[]>;

/**
 * Each subject has a window in each round, and every second round goes the other way, so that what else the machine does
 * meets all alike. A first round is not counted. A subject that fails in it takes no part, which is told; later it is an error.
 */
export async function takeTurns<Of extends { readonly name: string }>(
  subjects: readonly Of[],
  rounds: number,
  window: (subject: Of, isFirst: boolean) => Promise<Window>,
): Promise<Rounds> {
  const able: Of[] = [];
  for (const subject of subjects) {
    try {
      await window(subject, true);
      able.push(subject);
    } catch (error) {
      console.log(`not measured: ${subject.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const windows = new Map(able.map(({ name }) => [name, [] as Window[]]));
  for (let round = 0; round < rounds; round++) {
    for (const subject of round % 2 === 0 ? able : able.toReversed()) {
      windows.get(subject.name)?.push(await window(subject, false));
    }
  }
  return windows;
}
