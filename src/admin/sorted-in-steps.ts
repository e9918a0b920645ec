/** As `toSorted`, and stable like it; may be interrupted after each step, of which one takes no more than a millisecond. */
export function* sortedInSteps<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
): Generator<void, readonly T[]> {
  let runs: (readonly T[])[] = [];
  for (let at = 0; at < items.length; at += RUN) {
    runs.push(items.slice(at, at + RUN).sort(compare));
    yield;
  }
  while (runs.length > 1) {
    const longer: (readonly T[])[] = [];
    for (let at = 0; at < runs.length; at += 2) longer.push(yield* merged(runs[at]!, runs[at + 1], compare));
    runs = longer;
  }
  return runs[0] ?? [];
}

const RUN = 512;

function* merged<T>(
  a: readonly T[],
  b: readonly T[] | undefined,
  compare: (a: T, b: T) => number,
): Generator<void, readonly T[]> {
  if (b === undefined) return a;
  const both: T[] = [];
  let [atA, atB] = [0, 0];
  while (atA < a.length && atB < b.length) {
    both.push(compare(a[atA]!, b[atB]!) <= 0 ? a[atA++]! : b[atB++]!);
    if (both.length % RUN === 0) yield;
  }
  for (const rest of [a.slice(atA), b.slice(atB)]) {
    for (const item of rest) {
      both.push(item);
      if (both.length % RUN === 0) yield;
    }
  }
  return both;
}
