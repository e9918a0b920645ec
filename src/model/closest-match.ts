/** The one of `known` that is spelled most like `name`, for "did you mean"; the first of several. */
export function closestMatch(name: string, known: readonly string[]): string {
  const ranked = known.map((each) => ({ each, distance: distance(name, each) }));
  ranked.sort((a, b) => a.distance - b.distance);
  return ranked[0]?.each ?? '';
}

/** Levenshtein's edit distance, over at most the first 64 characters. */
function distance(a: string, b: string): number {
  const from = a.slice(0, 64);
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
