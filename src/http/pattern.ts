import { ANY } from './regex/byte-set.ts';
import { FirstMatch } from './regex/first-match.ts';
import { compileRegex } from './regex/regex-program.ts';
import { type RegexNode, parseRegex } from './regex/syntax.ts';

/**
 * Regular expressions that manifests bring: in the syntax of RE2, which has neither back references nor look-around, so
 * that matching takes time in proportion to the text, whatever the expression.
 */

const MAX_PATTERN_LENGTH = 512;
/** Instructions of the compiled program; the time for one character is in proportion to them. */
const MAX_PROGRAM_SIZE = 500;
/** Longer texts match nothing. */
const MAX_TEXT_LENGTH = 1_024;

const ANYTHING: RegexNode = {
  ...{ kind: 'repeat', node: { kind: 'byte', set: ANY } },
  ...{ min: 0, max: Infinity, greedy: false },
};

/** Why an expression cannot be used, as the end of a sentence that begins with it; null when it can. */
export function patternFault(expression: string): string | null {
  if (expression.length > MAX_PATTERN_LENGTH) return `has more than ${MAX_PATTERN_LENGTH} characters`;
  const regex = parseRegex(expression);
  if (regex.kind === 'invalid') return regex.why;
  return compileRegex([regex], MAX_PROGRAM_SIZE) === null ? 'is too complex' : null;
}

/** Says whether a text has the expression somewhere in it. To be called with an expression without a fault. */
export function compilePattern(expression: string): (text: string) => boolean {
  const regex = parseRegex(expression);
  if (regex.kind === 'invalid') return () => false;
  const root: RegexNode = { kind: 'sequence', nodes: [ANYTHING, regex.root] };
  const program = compileRegex([{ ...regex, root }], 2 * MAX_PROGRAM_SIZE);
  if (program === null) return () => false;
  const automaton = new FirstMatch(program);
  return (text) => text.length <= MAX_TEXT_LENGTH && automaton.find(text) === 0;
}
