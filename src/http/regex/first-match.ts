import { isWordByte } from './byte-set.ts';
import { ASSERTIONS, Op, type Program } from './regex-program.ts';

/** Instructions looked at for one text. What takes more is given up: no text may stop a thread. */
const MAX_WORK = 50_000;
/** What states may take of memory beside what they may take for each instruction; then they are forgotten. */
const MIN_STATE_BYTES = 256 * 1024;
const STATE_BYTES_PER_INSTRUCTION = 128;
/** Of a state, beside its threads, its key and its row in the table. */
const STATE_OVERHEAD = 200;

export const TOO_COSTLY = 'too-costly';

/** The instructions that may go on after what was read of a text, and the best pattern that has matched by then. */
interface State {
  readonly threads: readonly number[];
  /** The place of the pattern; -1 for none. */
  readonly best: number;
  readonly isStart: boolean;
  /** Whether the last byte is one of a word; false where no pattern asks. */
  readonly afterWord: boolean;
}

/**
 * Finds the first pattern of a list that matches the beginning of a text. All of them are followed at once by an automaton
 * whose states are made when they are needed (a lazy DFA), so that a text takes one step for each byte, however many
 * patterns there are.
 */
export class FirstMatch {
  readonly #program: Program;
  /** Bytes that no pattern tells apart are of one class. */
  readonly #classes = new Uint8Array(256);
  readonly #representatives: number[] = [];
  readonly #asksForWords: boolean;
  readonly #stateBytesLimit: number;
  /** The first one is where texts begin. */
  #states: State[] = [];
  #numbers = new Map<string, number>();
  /** For each state a row with the next one by the class of the next byte, then for the end of the text; 0 where it is not made. */
  #table = new Int32Array(0);
  #stateBytes = 0;
  #work = 0;
  /** Looked at already for the transition that is being made, by its number. */
  readonly #seen: Int32Array;
  #transition = 0;

  constructor(program: Program) {
    this.#program = program;
    const size = program.ops.length;
    this.#seen = new Int32Array(size);
    this.#stateBytesLimit = MIN_STATE_BYTES + STATE_BYTES_PER_INSTRUCTION * size;
    this.#asksForWords = program.ops.some(
      (op, pc) => op === Op.assert && (ASSERTIONS[program.a[pc] ?? 0] ?? '').endsWith('boundary'),
    );
    const classOf = new Map<string, number>();
    for (let byte = 0; byte < 256; byte++) {
      const marks = program.sets.map((set) => set[byte]);
      if (this.#asksForWords) marks.push(isWordByte(byte) ? 1 : 0);
      const key = marks.join('');
      const known = classOf.get(key);
      this.#classes[byte] = known ?? classOf.size;
      if (known !== undefined) continue;
      classOf.set(key, classOf.size);
      this.#representatives.push(byte);
    }
  }

  /** What this holds of memory, roughly. */
  get bytes(): number {
    return this.#stateBytes + 13 * this.#program.ops.length + 256 * this.#program.sets.length;
  }

  /** The place of the first pattern that matches; -1 for none. `maxWork` is in instructions. */
  find(text: string, maxWork = MAX_WORK): number | typeof TOO_COSTLY {
    this.#work = 0;
    if (this.#states.length === 0) this.#stateNumber(this.#program.entries, -1, true, false);
    const end = this.#representatives.length;
    let number = 0;
    for (let i = 0; i <= text.length; i++) {
      const symbol = i === text.length ? end : (this.#classes[text.charCodeAt(i) & 0xff] ?? end);
      const next = this.#table[number * (end + 1) + symbol] ?? 0;
      if (next > 0) {
        number = next;
        continue;
      }
      const state = this.#states[number];
      if (state === undefined) break;
      if (state.threads.length === 0) return state.best;
      number = this.#after(number, state, symbol);
      if (this.#work > maxWork) return TOO_COSTLY;
    }
    return this.#states[number]?.best ?? -1;
  }

  /** Makes the transition of a state, and gives the number of the next one. */
  #after(number: number, state: State, symbol: number): number {
    const { ops, a, b, sets, entries } = this.#program;
    const byte = this.#representatives[symbol] ?? -1;
    const isWord = byte >= 0 && isWordByte(byte);
    const transition = ++this.#transition;
    const stack = state.threads.toReversed();
    const threads: number[] = [];
    let { best } = state;
    for (let pc = stack.pop(); pc !== undefined; pc = stack.pop()) {
      if (this.#seen[pc] === transition) continue;
      this.#seen[pc] = transition;
      this.#work++;
      const to = a[pc] ?? 0;
      switch (ops[pc]) {
        case Op.byte:
          if (byte >= 0 && sets[to]?.[byte] === 1) threads.push(pc + 1);
          break;
        case Op.split:
          stack.push(b[pc] ?? 0, to);
          break;
        case Op.jump:
          stack.push(to);
          break;
        case Op.save:
          stack.push(pc + 1);
          break;
        case Op.assert:
          if (this.#holds(ASSERTIONS[to], state, byte < 0, isWord)) stack.push(pc + 1);
          break;
        default:
          if (best < 0 || to < best) best = to;
      }
    }
    // What comes after the best one can win no more.
    const limit = best < 0 ? ops.length : (entries[best] ?? 0);
    const kept = threads.filter((pc) => pc < limit).toSorted((x, y) => x - y);
    const generation = this.#numbers;
    const next = this.#stateNumber(kept, best, false, this.#asksForWords && isWord);
    if (generation === this.#numbers)
      this.#table[number * (this.#representatives.length + 1) + symbol] = next;
    return next;
  }

  #holds(
    assertion: (typeof ASSERTIONS)[number] | undefined,
    state: State,
    isEnd: boolean,
    isWord: boolean,
  ): boolean {
    switch (assertion) {
      case 'start':
        return state.isStart;
      case 'end':
        return isEnd;
      case 'boundary':
        return state.afterWord !== isWord;
      default:
        return state.afterWord === isWord;
    }
  }

  #stateNumber(threads: readonly number[], best: number, isStart: boolean, afterWord: boolean): number {
    const key = `${best} ${afterWord ? 1 : 0} ${isStart ? 1 : 0} ${threads.join()}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const width = this.#representatives.length + 1;
    this.#work += threads.length;
    const bytes = STATE_OVERHEAD + key.length + 8 * threads.length + 4 * width;
    if (this.#stateBytes + bytes > this.#stateBytesLimit) {
      this.#states = [];
      this.#numbers = new Map();
      this.#table = new Int32Array(0);
      this.#stateBytes = 0;
      if (!isStart) this.#stateNumber(this.#program.entries, -1, true, false);
    }
    this.#stateBytes += bytes;
    const number = this.#states.push({ threads, best, isStart, afterWord }) - 1;
    this.#numbers.set(key, number);
    if (this.#table.length < (number + 1) * width) {
      const larger = new Int32Array(2 * (number + 1) * width);
      larger.set(this.#table);
      this.#table = larger;
    }
    return number;
  }
}
