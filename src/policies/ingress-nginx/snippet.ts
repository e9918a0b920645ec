/** One directive of a snippet, such as `add_header X-Frame-Options DENY;`. */
export interface Directive {
  readonly name: string;
  /** Without their quotes. */
  readonly words: readonly string[];
  /** From 1. */
  readonly line: number;
}

export type Snippet =
  | { readonly kind: 'directives'; readonly directives: readonly Directive[] }
  /** `why` continues "line 3". */
  | { readonly kind: 'unreadable'; readonly line: number; readonly why: string };

const MAX_LENGTH = 16_384;
const MAX_DIRECTIVES = 256;
const BLANK = /\s/;

/**
 * Reads the directives of an nginx snippet. Nothing is executed, and what is no plain directive is not understood: a
 * block, such as `if (…) { … }`, makes the whole snippet unreadable. One pass, in time and memory that follow the length.
 */
export function readSnippet(text: string): Snippet {
  if (text.length > MAX_LENGTH) return unreadable(1, `and more are longer than ${MAX_LENGTH} characters`);
  const directives: Directive[] = [];
  let words: string[] = [];
  let startedAt = 1;
  let line = 1;
  let at = 0;
  while (at < text.length) {
    const char = text.charAt(at);
    if (char === '\n') line++;
    if (BLANK.test(char)) {
      at++;
    } else if (char === '#') {
      const end = text.indexOf('\n', at);
      at = end < 0 ? text.length : end;
    } else if (char === '{' || char === '}') {
      return unreadable(line, `has a block${words[0] === undefined ? '' : ` of ${words[0]}`}`);
    } else if (char === ';') {
      const [name, ...rest] = words;
      if (name === undefined) return unreadable(line, 'has a semicolon without a directive');
      if (directives.length === MAX_DIRECTIVES)
        return unreadable(line, `is beyond the ${MAX_DIRECTIVES} directives that are read`);
      directives.push({ name: name.toLowerCase(), words: rest, line: startedAt });
      words = [];
      at++;
    } else {
      if (words.length === 0) startedAt = line;
      const word = wordAt(text, at);
      if (word === null) return unreadable(line, 'has a quote without its end');
      words.push(word.text);
      line += word.lineBreaks;
      at = word.end;
    }
  }
  if (words.length > 0) return unreadable(startedAt, 'has a directive without its semicolon');
  return { kind: 'directives', directives };
}

function unreadable(line: number, why: string): Snippet {
  return { kind: 'unreadable', line, why };
}

interface Word {
  readonly text: string;
  readonly end: number;
  readonly lineBreaks: number;
}

/** The word that begins at `from`; null when its quote does not end. As in nginx, quotes count at the start only. */
function wordAt(text: string, from: number): Word | null {
  const first = text.charAt(from);
  const quote = first === '"' || first === "'" ? first : null;
  let word = '';
  let lineBreaks = 0;
  for (let at = quote === null ? from : from + 1; at < text.length; at++) {
    let char = text.charAt(at);
    if (char === quote) return { text: word, end: at + 1, lineBreaks };
    if (quote === null && endsWord(char, word)) return { text: word, end: at, lineBreaks };
    if (char === '\\' && at + 1 < text.length) char = text.charAt(++at);
    if (char === '\n') lineBreaks++;
    word += char;
  }
  return quote === null ? { text: word, end: text.length, lineBreaks } : null;
}

/** The brace of `${name}` belongs to its word. */
function endsWord(char: string, before: string): boolean {
  if (char === '{') return !before.endsWith('$');
  return char === ';' || BLANK.test(char);
}
