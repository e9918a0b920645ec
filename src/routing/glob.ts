import type { GlobLabel, GlobPattern, GlobText } from './glob-pattern.ts';

/** A host glob from an annotation, ready for the table. */
export interface HostGlob {
  readonly glob: string;
  /** The labels at the end that are literal: what the table files the glob under. */
  readonly suffix: string;
  /** What it stands for: one for each combination of the choices in its braces. */
  readonly patterns: readonly GlobPattern[];
}

export type HostGlobResult =
  | { readonly kind: 'glob'; readonly glob: HostGlob }
  | { readonly kind: 'refused'; readonly reason: string };

/** What bounds the time that globs can cost a request: see also `TENANT_LIMITS`. */
export const MAX_GLOBS = 16;
const MAX_STARS_AND_BRACES = 3;
const MAX_PATTERNS = 32;

const LITERAL = /^[a-z0-9_-]+$/;
const LABEL = /^(?:[a-z0-9_*?-]|\[[a-z0-9-]+\]|\{[a-z0-9-]+(?:,[a-z0-9-]+)+\})+$/;
const ALPHABET = [...'abcdefghijklmnopqrstuvwxyz0123456789-_'];

/** The globs of a comma-separated list; commas in braces belong to their glob. */
export function splitGlobs(list: string): readonly string[] {
  const globs: string[] = [];
  let start = 0;
  let inBraces = false;
  for (let i = 0; i <= list.length; i++) {
    const character = list[i];
    if (character === '{') inBraces = true;
    else if (character === '}') inBraces = false;
    else if (character === undefined || (character === ',' && !inBraces)) {
      globs.push(list.slice(start, i).trim());
      start = i + 1;
    }
  }
  return globs.filter((glob) => glob !== '');
}

/**
 * One host glob: `*` and `?` stay within a label, a label `**` stands for any number of labels, `[a-c]` and
 * `{blue,green}` choose. It must end in two literal labels.
 */
export function parseHostGlob(glob: string): HostGlobResult {
  if (glob.length > 253) return refuse('is longer than 253 characters');
  const labels = glob.split('.');
  if (!labels.every((label) => LABEL.test(label))) {
    return refuse('may hold only lower-case letters, digits, "-", "_", ".", "*", "?", "[a-z]" and "{a,b}"');
  }
  const starsAndBraces = glob.match(/\*|\{[^}]*\}/g) ?? [];
  if (starsAndBraces.length > MAX_STARS_AND_BRACES) {
    return refuse(`has more than ${MAX_STARS_AND_BRACES} stars and braces`);
  }
  if (labels.some((label) => label.includes('**') && label !== '**')) {
    return refuse('must have "**" as a whole label');
  }
  const choices = starsAndBraces.reduce((product, part) => product * part.split(',').length, 1);
  if (choices > MAX_PATTERNS)
    return refuse(`has more than ${MAX_PATTERNS} combinations of choices in braces`);
  const variable = labels.findLastIndex((label) => !LITERAL.test(label));
  if (variable < 0) return refuse('has nothing variable: write it as the host of a rule');
  if (variable > labels.length - 3)
    return refuse('must end in two literal labels, as in "preview-*.example.com"');
  const patterns = spread(labels.slice(0, variable + 1).join('.')).map(parsePattern);
  const suffix = labels.slice(variable + 1).join('.');
  if (!patterns.every((pattern) => pattern !== null)) return refuse('has a range that is out of order');
  return { kind: 'glob', glob: { glob, suffix, patterns } };
}

function refuse(reason: string): HostGlobResult {
  return { kind: 'refused', reason };
}

/** The glob once for each combination of the choices in its braces. */
function spread(glob: string): readonly string[] {
  const [, before = '', choices, after = ''] = /^([^{]*)\{([^}]*)\}(.*)$/.exec(glob) ?? [];
  if (choices === undefined) return [glob];
  const rest = spread(after);
  return choices.split(',').flatMap((choice) => rest.map((end) => before + choice + end));
}

function parsePattern(glob: string): GlobPattern | null {
  const labels = glob.split('.');
  const anyLabels = labels.indexOf('**');
  const head = (anyLabels < 0 ? labels : labels.slice(0, anyLabels)).map(parseLabel);
  const tail = anyLabels < 0 ? null : labels.slice(anyLabels + 1).map(parseLabel);
  if (!isComplete(head) || (tail !== null && !isComplete(tail))) return null;
  return { head, tail };
}

function isComplete(labels: readonly (GlobLabel | null)[]): labels is readonly GlobLabel[] {
  return labels.every((label) => label !== null);
}

function parseLabel(label: string): GlobLabel | null {
  const texts = label.split('*').map(parseText);
  return texts.every((text) => text !== null) ? texts : null;
}

/** Null when a range in it is out of order. */
function parseText(text: string): GlobText | null {
  const parts = text.match(/\[[^\]]*\]|./g) ?? [];
  const taken = parts.map((part) => (part === '?' ? '' : part.length === 1 ? part : inRange(part)));
  return taken.every((characters) => characters !== null) ? taken : null;
}

function inRange(range: string): string | null {
  try {
    const expression = new RegExp(range);
    return ALPHABET.filter((character) => expression.test(character)).join('');
  } catch {
    return null;
  }
}
