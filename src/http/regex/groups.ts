import { isWordByte } from './byte-set.ts';
import { TOO_COSTLY } from './first-match.ts';
import { ASSERTIONS, Op, type Program } from './regex-program.ts';

/** Instructions times places in the text: what takes more is given up. */
const MAX_WORK = 262_144;

/** For each instruction and place the number of the match that last tried it: nothing has to be cleared between matches. */
let tried = new Int32Array(4_096);
let matches = 0;

/**
 * What the groups of the only pattern of a program take of a text that it matches from the beginning, as a backtracking
 * search would find it; the whole match first, and undefined for a group that takes no part. Null when it does not match. No
 * instruction is tried twice at one place, so that the time is bounded.
 */
export function matchGroups(
  program: Program,
  text: string,
): readonly (string | undefined)[] | null | typeof TOO_COSTLY {
  const { ops, a, b, sets, groups } = program;
  const size = ops.length;
  const marks = size * (text.length + 1);
  if (marks > MAX_WORK) return TOO_COSTLY;
  if (marks > tried.length || matches === 0x7fff_ffff) {
    tried = new Int32Array(Math.max(tried.length, 2 * marks));
    matches = 0;
  }
  const match = ++matches;
  const places = new Int32Array(2 * (groups + 1)).fill(-1);
  // Three numbers each: where to go on; or, with a negative instruction, what a place was before.
  const stack: number[] = [0, 0, 0];
  while (stack.length > 0) {
    const before = stack.pop() ?? 0;
    let at = stack.pop() ?? 0;
    let pc = stack.pop() ?? 0;
    if (pc < 0) {
      places[-pc - 1] = before;
      continue;
    }
    for (;;) {
      const mark = at * size + pc;
      if (tried[mark] === match) break;
      tried[mark] = match;
      const to = a[pc] ?? 0;
      const op = ops[pc];
      if (op === Op.match) {
        places[0] = 0;
        places[1] = at;
        const found: (string | undefined)[] = [];
        for (let group = 0; group <= groups; group++) found.push(taken(text, places, group));
        return found;
      }
      if (op === Op.byte) {
        if (at === text.length || sets[to]?.[text.charCodeAt(at) & 0xff] !== 1) break;
        at++;
        pc++;
      } else if (op === Op.split) {
        stack.push(b[pc] ?? 0, at, 0);
        pc = to;
      } else if (op === Op.jump) pc = to;
      else if (op === Op.save) {
        stack.push(-to - 1, 0, places[to] ?? -1);
        places[to] = at;
        pc++;
      } else if (holds(ASSERTIONS[to], text, at)) pc++;
      else break;
    }
  }
  return null;
}

function taken(text: string, places: Int32Array, group: number): string | undefined {
  const from = places[2 * group] ?? -1;
  const to = places[2 * group + 1] ?? -1;
  return from < 0 || to < 0 ? undefined : text.slice(from, to);
}

function holds(assertion: (typeof ASSERTIONS)[number] | undefined, text: string, at: number): boolean {
  const isWord = (place: number): boolean =>
    place >= 0 && place < text.length && isWordByte(text.charCodeAt(place) & 0xff);
  switch (assertion) {
    case 'start':
      return at === 0;
    case 'end':
      return at === text.length;
    case 'boundary':
      return isWord(at - 1) !== isWord(at);
    default:
      return isWord(at - 1) === isWord(at);
  }
}
