import {
  type ByteSet,
  ANY,
  DIGIT,
  NOT_NEWLINE,
  POSIX,
  SPACE,
  WORD,
  complement,
  fold,
  range,
} from './byte-set.ts';

/** A regular expression as a tree. */
export type RegexNode =
  | { readonly kind: 'byte'; readonly set: ByteSet }
  | { readonly kind: 'sequence'; readonly nodes: readonly RegexNode[] }
  | { readonly kind: 'choice'; readonly nodes: readonly RegexNode[] }
  | {
      readonly kind: 'repeat';
      readonly node: RegexNode;
      readonly min: number;
      /** `Infinity` for no bound. */
      readonly max: number;
      readonly greedy: boolean;
    }
  | { readonly kind: 'group'; readonly number: number; readonly node: RegexNode }
  | { readonly kind: 'assertion'; readonly assertion: Assertion };

export type Assertion = 'start' | 'end' | 'boundary' | 'no-boundary';

/** `why` continues the expression: `has a look-around, …`. */
export type ParsedRegex =
  | { readonly kind: 'regex'; readonly root: RegexNode; readonly groups: number }
  | { readonly kind: 'invalid'; readonly why: string };

/** Groups within groups. */
const MAX_DEPTH = 50;
/** As in RE2. */
const MAX_COUNT = 1_000;

/**
 * Parses the syntax of RE2, over bytes: a character above ASCII stands for its bytes in UTF-8. Not understood are
 * Unicode classes (`\p{…}`), single bytes (`\C`) and the flag `m`; look-around and back references are not in RE2.
 */
export function parseRegex(text: string, ignoreCase = false): ParsedRegex {
  try {
    const parser = new Parser(text, { ignoreCase, dotAll: false, ungreedy: false });
    return { kind: 'regex', root: parser.whole(), groups: parser.groups };
  } catch (error) {
    if (error instanceof RegexFault) return { kind: 'invalid', why: error.message };
    throw error;
  }
}

class RegexFault extends Error {}

interface Flags {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
  readonly ungreedy: boolean;
}

class Parser {
  readonly #text: string;
  #at = 0;
  #flags: Flags;
  #depth = 0;
  groups = 0;

  constructor(text: string, flags: Flags) {
    this.#text = text;
    this.#flags = flags;
  }

  whole(): RegexNode {
    const root = this.#choice();
    if (this.#at < this.#text.length)
      throw new RegexFault('has a closing parenthesis without an opening one');
    return root;
  }

  #choice(): RegexNode {
    const nodes = [this.#sequence()];
    while (this.#take('|')) nodes.push(this.#sequence());
    return nodes.length === 1 && nodes[0] ? nodes[0] : { kind: 'choice', nodes };
  }

  #sequence(): RegexNode {
    const nodes: RegexNode[] = [];
    for (let next = this.#peek(); next !== '' && next !== '|' && next !== ')'; next = this.#peek()) {
      if (this.#takeQuoted(nodes)) continue;
      const atom = this.#atom();
      if (atom !== null) nodes.push(...this.#repeated(atom));
    }
    return { kind: 'sequence', nodes };
  }

  /** `\Q…\E` stands for itself; its last character may be repeated. */
  #takeQuoted(nodes: RegexNode[]): boolean {
    if (!this.#take('\\Q')) return false;
    const end = this.#text.indexOf('\\E', this.#at);
    const quoted = this.#text.slice(this.#at, end < 0 ? this.#text.length : end);
    this.#at += quoted.length + (end < 0 ? 0 : 2);
    const bytes = bytesOf(quoted).map((byte) => this.#literal(byte));
    const last = bytes.pop();
    nodes.push(...bytes);
    if (last !== undefined) nodes.push(...this.#repeated([last]));
    return true;
  }

  /** The bytes or the one node that come next; null for what stands for no text. */
  #atom(): RegexNode[] | null {
    const char = this.#next();
    switch (char) {
      case '(':
        return this.#group();
      case '[':
        return [{ kind: 'byte', set: this.#class() }];
      case '.':
        return [{ kind: 'byte', set: this.#flags.dotAll ? ANY : NOT_NEWLINE }];
      case '^':
        return [{ kind: 'assertion', assertion: 'start' }];
      case '$':
        return [{ kind: 'assertion', assertion: 'end' }];
      case '*':
      case '+':
      case '?':
        throw new RegexFault(`repeats nothing with "${char}"`);
      case '\\':
        return this.#escape();
      default:
        return bytesOf(char).map((byte) => this.#literal(byte));
    }
  }

  #literal(byte: number): RegexNode {
    return this.#flags.ignoreCase ? literal(byte, IGNORING_CASE, fold) : literal(byte, AS_WRITTEN);
  }

  #group(): RegexNode[] | null {
    const before = this.#flags;
    let number = 0;
    if (this.#take('?')) {
      const named = /^P?<([A-Za-z_]\w*)>/.exec(this.#text.slice(this.#at, this.#at + 100));
      if (named) {
        this.#at += named[0].length;
        number = ++this.groups;
      } else if (!this.#setFlags()) {
        // `(?i)` counts for the rest of the group around it.
        return null;
      }
    } else number = ++this.groups;
    if (++this.#depth > MAX_DEPTH) throw new RegexFault(`has groups more than ${MAX_DEPTH} deep`);
    const node = this.#choice();
    this.#depth--;
    if (!this.#take(')')) throw new RegexFault('has an opening parenthesis without a closing one');
    this.#flags = before;
    return [number === 0 ? node : { kind: 'group', number, node }];
  }

  /** Reads `i-s:` or `i-s)` after `(?`; whether a group with a content follows. */
  #setFlags(): boolean {
    let on = true;
    for (;;) {
      const char = this.#next();
      if (char === ':') return true;
      if (char === ')') return false;
      if (char === '-' && on) on = false;
      else if (char === 'i') this.#flags = { ...this.#flags, ignoreCase: on };
      else if (char === 's') this.#flags = { ...this.#flags, dotAll: on };
      else if (char === 'U') this.#flags = { ...this.#flags, ungreedy: on };
      else if ('=!<'.includes(char)) throw new RegexFault('looks ahead or behind, which RE2 cannot do');
      else throw new RegexFault(`has a group that begins with "(?${char}", which is not supported`);
    }
  }

  #repeated(atom: RegexNode[]): RegexNode[] {
    const bounds = this.#bounds();
    if (bounds === null) return atom;
    const lazy = this.#take('?');
    const again = this.#peek();
    if (again === '*' || again === '+' || again === '?' || (again === '{' && this.#countAhead() !== null)) {
      throw new RegexFault(`repeats a repetition with "${again}", which RE2 does not understand`);
    }
    const node = atom.at(-1);
    // Of several bytes of one character all are repeated.
    const repeated: RegexNode = atom.length === 1 && node ? node : { kind: 'sequence', nodes: atom };
    return [{ kind: 'repeat', node: repeated, ...bounds, greedy: lazy === this.#flags.ungreedy }];
  }

  #bounds(): { min: number; max: number } | null {
    if (this.#take('*')) return { min: 0, max: Infinity };
    if (this.#take('+')) return { min: 1, max: Infinity };
    if (this.#take('?')) return { min: 0, max: 1 };
    const count = this.#countAhead();
    if (count === null) return null;
    this.#at += count[0].length;
    const [, from = '', comma, to] = count;
    const min = Number(from);
    const max = comma === undefined ? min : to === '' || to === undefined ? Infinity : Number(to);
    if (max < min || min > MAX_COUNT || (max !== Infinity && max > MAX_COUNT)) {
      throw new RegexFault(`has the count "${count[0]}", which is not valid`);
    }
    return { min, max };
  }

  /** `{2}`, `{2,}` or `{2,3}`; any other brace stands for itself. */
  #countAhead(): RegExpExecArray | null {
    return /^\{(\d{1,6})(,(\d{0,6}))?\}/.exec(this.#text.slice(this.#at, this.#at + 16));
  }

  #escape(): RegexNode[] {
    switch (this.#peek()) {
      case 'b':
        this.#at++;
        return [{ kind: 'assertion', assertion: 'boundary' }];
      case 'B':
        this.#at++;
        return [{ kind: 'assertion', assertion: 'no-boundary' }];
      case 'A':
        this.#at++;
        return [{ kind: 'assertion', assertion: 'start' }];
      case 'z':
        this.#at++;
        return [{ kind: 'assertion', assertion: 'end' }];
      default: {
        const set = this.#perlClass();
        if (set !== null) return [{ kind: 'byte', set }];
        return bytesOf(this.#escapedCharacter()).map((byte) => this.#literal(byte));
      }
    }
  }

  /** `\d` and its like, after the backslash; null for anything else. */
  #perlClass(): ByteSet | null {
    const char = this.#peek();
    const set = { d: DIGIT, w: WORD, s: SPACE }[char.toLowerCase()];
    if (set === undefined) return null;
    this.#at++;
    return char === char.toLowerCase() ? set : complement(set);
  }

  #escapedCharacter(): string {
    const char = this.#next();
    const control = { t: '\t', n: '\n', r: '\r', f: '\f', v: '\v', a: '\x07' }[char];
    if (control !== undefined) return control;
    if (char === 'x') {
      const hex = /^(?:([0-9a-f]{2})|\{([0-9a-f]{1,6})\})/i.exec(this.#text.slice(this.#at, this.#at + 8));
      const code = Number.parseInt(hex?.[1] ?? hex?.[2] ?? '', 16);
      if (hex === null || code > 0x10_ffff)
        throw new RegexFault('has "\\x" without a valid hexadecimal number');
      this.#at += hex[0].length;
      return String.fromCodePoint(code);
    }
    if (/[1-9]/.test(char)) throw new RegexFault('refers back to a group, which RE2 cannot do');
    if (char === '' || /[\w]/.test(char)) throw new RegexFault(`has "\\${char}", which is not supported`);
    return char;
  }

  #class(): ByteSet {
    const negated = this.#take('^');
    let set = new Uint8Array(256);
    const add = (more: ByteSet): void => {
      set = set.map((bit, byte) => bit | (more[byte] ?? 0));
    };
    for (let first = true; ; first = false) {
      if (!first && this.#take(']')) break;
      const posix = /^\[:(\^?)(\w+):\]/.exec(this.#text.slice(this.#at, this.#at + 16));
      const named = posix?.[2] === undefined ? undefined : POSIX[posix[2]];
      if (posix && named) {
        this.#at += posix[0].length;
        add(posix[1] === '^' ? complement(named) : named);
        continue;
      }
      const low = this.#classMember();
      if (typeof low !== 'number') add(low);
      else if (this.#peek() === '-' && this.#text[this.#at + 1] !== ']') {
        this.#at++;
        const high = this.#classMember();
        if (typeof high !== 'number' || high < low)
          throw new RegexFault('has a range in brackets that is not valid');
        add(range(low, high));
      } else add(range(low, low));
    }
    const folded = this.#flags.ignoreCase ? fold(set) : set;
    return negated ? complement(folded) : folded;
  }

  #classMember(): number | ByteSet {
    const char = this.#next();
    if (char === '') throw new RegexFault('has an opening bracket without a closing one');
    if (char !== '\\') return asciiOf(char);
    return this.#perlClass() ?? asciiOf(this.#escapedCharacter());
  }

  #peek(): string {
    return this.#text.charAt(this.#at);
  }

  /** A whole character, which may be two UTF-16 code units; empty at the end. */
  #next(): string {
    const code = this.#text.codePointAt(this.#at);
    if (code === undefined) return '';
    const char = String.fromCodePoint(code);
    this.#at += char.length;
    return char;
  }

  #take(expected: string): boolean {
    if (!this.#text.startsWith(expected, this.#at)) return false;
    this.#at += expected.length;
    return true;
  }
}

const AS_WRITTEN: RegexNode[] = [];
const IGNORING_CASE: RegexNode[] = [];

/** The node of one byte, made once: most of an expression are such nodes. */
function literal(byte: number, made: RegexNode[], also = (set: ByteSet): ByteSet => set): RegexNode {
  return (made[byte] ??= { kind: 'byte', set: also(range(byte, byte)) });
}

function bytesOf(text: string): number[] {
  return [...Buffer.from(text, 'utf8')];
}

function asciiOf(char: string): number {
  const code = char.codePointAt(0) ?? 0;
  if (code > 0x7f) throw new RegexFault(`has "${char}" in brackets, where only ASCII is supported`);
  return code;
}
