import picomatch from 'picomatch';

/** A host glob from an annotation, ready for the table. */
export interface HostGlob {
  readonly glob: string;
  /** The labels at the end that are literal: what the table files the glob under. */
  readonly suffix: string;
  /** The source of an anchored RegExp over a lower-case host. */
  readonly pattern: string;
}

export type HostGlobResult =
  { readonly kind: 'glob'; readonly glob: HostGlob } | { readonly kind: 'refused'; readonly reason: string };

/**
 * What bounds the time that a hostile glob and a hostile host together can cost: the globs one Ingress may name,
 * the places where one glob can match in more than one way, and the choices at such a place.
 */
export const MAX_GLOBS = 16;
const MAX_STARS_AND_BRACES = 3;
const MAX_CHOICES = 32;

const LITERAL = /^[a-z0-9_-]+$/;
const LABEL = /^(?:[a-z0-9_*?-]|\[[a-z0-9-]+\]|\{[a-z0-9-]+(?:,[a-z0-9-]+)+\})+$/;

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
 * `{blue,green}` choose. It must end in a literal label.
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
  if (starsAndBraces.some((part) => part.split(',').length > MAX_CHOICES)) {
    return refuse(`has more than ${MAX_CHOICES} choices in one pair of braces`);
  }
  const variable = labels.findLastIndex((label) => !LITERAL.test(label));
  if (variable < 0) return refuse('has nothing variable: write it as the host of a rule');
  if (variable === labels.length - 1)
    return refuse('must end in a literal label, as in "preview-*.example.com"');
  const pattern = compile(glob);
  if (pattern === null) return refuse('is not a glob that can be compiled');
  return { kind: 'glob', glob: { glob, suffix: labels.slice(variable + 1).join('.'), pattern } };
}

function refuse(reason: string): HostGlobResult {
  return { kind: 'refused', reason };
}

/** picomatch separates by slashes where hosts have dots: both ways, since what was validated holds no slash. */
function compile(glob: string): string | null {
  try {
    const options = { dot: true, noextglob: true, nonegate: true, strictSlashes: true };
    const overSlashes = picomatch.makeRe(glob.replaceAll('.', '/'), options).source;
    const pattern = overSlashes.replaceAll('\\/', '\\.').replaceAll('[^/]', '[^.]');
    return new RegExp(pattern).source;
  } catch {
    return null;
  }
}
