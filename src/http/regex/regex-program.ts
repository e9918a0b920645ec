import type { ByteSet } from './byte-set.ts';
import type { Assertion, ParsedRegex, RegexNode } from './syntax.ts';

/** What one instruction does; `a` and `b` are its operands. */
export const Op = {
  /** Takes a byte of set `a`. */
  byte: 0,
  /** Goes on at `a`, or else at `b`. */
  split: 1,
  /** Goes on at `a`. */
  jump: 2,
  /** Remembers the place in the text as `a`. */
  save: 3,
  /** Goes on where assertion `a` holds. */
  assert: 4,
  /** Pattern `a` has matched. */
  match: 5,
} as const;

export const ASSERTIONS: readonly Assertion[] = ['start', 'end', 'boundary', 'no-boundary'];

/** One pattern or several, each after the other, as instructions (Thompson's construction). */
export interface Program {
  readonly ops: Uint8Array;
  readonly a: Int32Array;
  readonly b: Int32Array;
  readonly sets: readonly ByteSet[];
  /** Where each pattern begins; the last one ends with the program. */
  readonly entries: readonly number[];
  /** Groups of the pattern that has most, the whole match not counted. */
  readonly groups: number;
}

type Regex = ParsedRegex & { readonly kind: 'regex' };

/** The program of some patterns; null when it has more than `maxSize` instructions. */
export function compileRegex(patterns: readonly Regex[], maxSize: number): Program | null {
  const emitter = new Emitter(maxSize);
  const entries: number[] = [];
  for (const [index, { root }] of patterns.entries()) {
    entries.push(emitter.size);
    emitter.node(root);
    emitter.emit(Op.match, index);
    if (emitter.size > maxSize) return null;
  }
  const groups = Math.max(0, ...patterns.map((pattern) => pattern.groups));
  return emitter.program(entries, groups);
}

/** The lower-case text that everything begins with that a pattern matches. */
export function literalPrefix({ root }: Regex): string {
  let prefix = '';
  const append = (node: RegexNode): boolean => {
    switch (node.kind) {
      case 'byte': {
        const byte = singleByte(node.set);
        if (byte === null) return false;
        prefix += String.fromCharCode(byte);
        return true;
      }
      case 'sequence':
        return node.nodes.every(append);
      case 'group':
        return append(node.node);
      case 'assertion':
        return node.assertion === 'start' && prefix === '';
      case 'choice':
      case 'repeat':
        return false;
      default:
        return node satisfies never;
    }
  };
  append(root);
  return prefix.toLowerCase();
}

/** The only byte of a set, or the lower case of the only letter. */
function singleByte(set: ByteSet): number | null {
  const last = set.lastIndexOf(1);
  const first = set.indexOf(1);
  if (first < 0) return null;
  if (first === last) return last;
  const isLetter = last >= 0x61 && last <= 0x7a && first === last - 0x20;
  return isLetter && set.indexOf(1, first + 1) === last ? last : null;
}

/** Whether a node can match no text at all. */
function isNullable(node: RegexNode): boolean {
  switch (node.kind) {
    case 'byte':
      return false;
    case 'assertion':
      return true;
    case 'sequence':
      return node.nodes.every(isNullable);
    case 'choice':
      return node.nodes.some(isNullable);
    case 'group':
      return isNullable(node.node);
    case 'repeat':
      return node.min === 0 || isNullable(node.node);
    default:
      return node satisfies never;
  }
}

class Emitter {
  readonly #maxSize: number;
  readonly #ops: number[] = [];
  readonly #a: number[] = [];
  readonly #b: number[] = [];
  readonly #sets: ByteSet[] = [];
  readonly #numbers = new Map<ByteSet, number>();
  readonly #numbersByBytes = new Map<string, number>();

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get size(): number {
    return this.#ops.length;
  }

  program(entries: readonly number[], groups: number): Program {
    return {
      ops: Uint8Array.from(this.#ops),
      a: Int32Array.from(this.#a),
      b: Int32Array.from(this.#b),
      sets: this.#sets,
      entries,
      groups,
    };
  }

  emit(op: number, a = 0, b = 0): number {
    this.#ops.push(op);
    this.#a.push(a);
    this.#b.push(b);
    return this.#ops.length - 1;
  }

  node(node: RegexNode): void {
    // A program that is too large is of no use: what is missing of it is not noticed.
    if (this.size > this.#maxSize) return;
    switch (node.kind) {
      case 'byte':
        this.emit(Op.byte, this.#setNumber(node.set));
        return;
      case 'sequence':
        for (const each of node.nodes) this.node(each);
        return;
      case 'choice':
        return this.#choice(node.nodes);
      case 'group':
        this.emit(Op.save, 2 * node.number);
        this.node(node.node);
        this.emit(Op.save, 2 * node.number + 1);
        return;
      case 'assertion':
        this.emit(Op.assert, ASSERTIONS.indexOf(node.assertion));
        return;
      case 'repeat':
        return this.#repeat(node.node, node.min, node.max, node.greedy);
      default:
        return node satisfies never;
    }
  }

  #choice(nodes: readonly RegexNode[]): void {
    const ends: number[] = [];
    for (const [index, node] of nodes.entries()) {
      const isLast = index === nodes.length - 1;
      const split = isLast ? -1 : this.emit(Op.split, this.size + 1);
      this.node(node);
      if (isLast) break;
      ends.push(this.emit(Op.jump));
      this.#b[split] = this.size;
    }
    for (const end of ends) this.#a[end] = this.size;
  }

  #repeat(node: RegexNode, min: number, max: number, greedy: boolean): void {
    if (max === Infinity) return this.#endless(node, min, greedy);
    for (let i = 0; i < min && this.size <= this.#maxSize; i++) this.node(node);
    const splits: number[] = [];
    for (let i = min; i < max && this.size <= this.#maxSize; i++) {
      splits.push(this.emit(Op.split));
      this.node(node);
    }
    for (const split of splits) this.#target(split, greedy, this.size);
  }

  #endless(node: RegexNode, min: number, greedy: boolean): void {
    // `x*` where x may be empty is `(?:x+)?`: its groups take part in an empty round (as in RE2).
    const isPlus = min > 0 || isNullable(node);
    const split = min === 0 ? this.emit(Op.split) : -1;
    let loop = this.size;
    for (let i = 0; i < Math.max(min, 1) && this.size <= this.#maxSize; i++) {
      loop = this.size;
      this.node(node);
    }
    if (isPlus) {
      const again = this.emit(Op.split);
      this.#a[again] = greedy ? loop : this.size;
      this.#b[again] = greedy ? this.size : loop;
    } else this.emit(Op.jump, split);
    if (split >= 0) this.#target(split, greedy, this.size);
  }

  /** The one way of a split is the next instruction, the other one is `out`. */
  #target(split: number, greedy: boolean, out: number): void {
    this.#a[split] = greedy ? split + 1 : out;
    this.#b[split] = greedy ? out : split + 1;
  }

  #setNumber(set: ByteSet): number {
    const known = this.#numbers.get(set);
    if (known !== undefined) return known;
    const bytes = Buffer.from(set).toString('latin1');
    const number = this.#numbersByBytes.get(bytes) ?? this.#sets.push(set) - 1;
    this.#numbersByBytes.set(bytes, number);
    this.#numbers.set(set, number);
    return number;
  }
}
