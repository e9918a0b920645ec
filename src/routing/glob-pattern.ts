/** One way to read a host glob: its labels before the literal suffix, none of which holds a choice in braces. */
export interface GlobPattern {
  /** From the left. */
  readonly head: readonly GlobLabel[];
  /** What follows a label `**`, up to the suffix; null when there is none, and the labels are as many as in `head`. */
  readonly tail: readonly GlobLabel[] | null;
}

/** What stands between the stars of a label. */
export type GlobLabel = readonly GlobText[];

/** For each character the characters that are taken there; empty for any. */
export type GlobText = readonly string[];

/**
 * Whether the pattern takes the labels of a host before `end`, where its suffix begins with a dot. Allocates nothing
 * and never goes back to try again: `**` is at most once in a pattern, and stars take as little as they can.
 */
export function patternTakes({ head, tail }: GlobPattern, host: string, end: number): boolean {
  let start = 0;
  for (const label of head) {
    if (start > end) return false;
    const stop = host.indexOf('.', start);
    if (!labelTakes(label, host, start, stop)) return false;
    start = stop + 1;
  }
  if (tail === null) return start === end + 1;
  let stop = end;
  for (let i = tail.length - 1; i >= 0; i--) {
    const label = tail[i];
    if (!label || stop < start) return false;
    const begin = Math.max(host.lastIndexOf('.', stop - 1) + 1, start);
    if (!labelTakes(label, host, begin, stop)) return false;
    stop = begin - 1;
  }
  return true;
}

/** The first text stands at the start, the last at the end, those between follow each other as early as they can. */
function labelTakes(texts: GlobLabel, host: string, from: number, to: number): boolean {
  let at = from;
  const last = texts.length - 1;
  for (let i = 0; i < last; i++) {
    const text = texts[i] ?? [];
    const latest = i === 0 ? at : to - text.length;
    while (at <= latest && !stands(text, host, at)) at++;
    if (at > latest) return false;
    at += text.length;
  }
  const end = texts[last] ?? [];
  const begin = to - end.length;
  return (last === 0 ? begin === at : begin >= at) && stands(end, host, begin);
}

function stands(text: GlobText, host: string, at: number): boolean {
  for (let i = 0; i < text.length; i++) {
    const taken = text[i] ?? '';
    if (taken !== '' && !taken.includes(host.charAt(at + i))) return false;
  }
  return true;
}
