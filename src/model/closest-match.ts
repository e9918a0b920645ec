/**
 * The one of `known` that `name` is probably a misspelling of; null when none is near enough. A prefix that both have,
 * such as `portico.dev/`, does not make them nearer.
 */
export function closestMatch(name: string, known: readonly string[]): string | null {
  let best: { readonly each: string; readonly distance: number } | null = null;
  for (const each of known) {
    const found = distance(name, each);
    if (found < (best?.distance ?? Infinity) && isNear(name, each, found)) best = { each, distance: found };
  }
  return best?.each ?? null;
}

/** A third of the letters may be wrong, or words of the name are missing: `ingressClass` for `ingressClassName`. */
function isNear(name: string, other: string, distance: number): boolean {
  const [a, b] = [ownPart(name), ownPart(other)];
  if (ownPrefix(name) !== ownPrefix(other)) return distance <= 2;
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  if (short.length > 3 && (long.startsWith(short) || long.endsWith(`-${short}`))) return true;
  return distance <= Math.max(1, Math.floor(short.length / 3));
}

/** `portico.dev/` of an annotation; empty for a name without a slash. */
function ownPrefix(name: string): string {
  return name.slice(0, name.lastIndexOf('/') + 1);
}

function ownPart(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

/** Edit distance in which two letters that changed places count once, over at most the first 64 characters. */
function distance(name: string, other: string): number {
  const [whole, wholeOther] = [name.slice(0, 64).toLowerCase(), other.slice(0, 64).toLowerCase()];
  // What both begin with makes no difference.
  let common = 0;
  while (common < whole.length && whole[common] === wholeOther[common]) common++;
  const [a, b] = [whole.slice(common), wholeOther.slice(common)];
  let [twoBack, before]: number[][] = [[], Array.from({ length: b.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min(
        (before?.[j - 1] ?? 0) + (same ? 0 : 1),
        (before?.[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
      );
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (twoBack?.[j - 2] ?? 0) + 1);
      row.push(least);
    }
    [twoBack, before] = [before ?? [], row];
  }
  return before?.[b.length] ?? 0;
}
