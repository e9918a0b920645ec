import { RE2JS } from 're2js';

/**
 * Regular expressions that manifests bring: in the syntax of RE2, which has neither back references nor look-around, so
 * that matching takes time in proportion to the text, whatever the expression.
 */

const MAX_PATTERN_LENGTH = 512;
/** Instructions of the compiled program; the time for one character is in proportion to them. */
const MAX_PROGRAM_SIZE = 500;
/** Longer texts match nothing. */
const MAX_TEXT_LENGTH = 1_024;

/** Why an expression cannot be used, as the end of a sentence that begins with it; null when it can. */
export function patternFault(expression: string): string | null {
  if (expression.length > MAX_PATTERN_LENGTH) return `has more than ${MAX_PATTERN_LENGTH} characters`;
  try {
    if (RE2JS.compile(expression).programSize() > MAX_PROGRAM_SIZE) return 'is too complex';
    return null;
  } catch {
    return 'is not a regular expression that RE2 understands';
  }
}

/** Says whether a text has the expression somewhere in it. To be called with an expression without a fault. */
export function compilePattern(expression: string): (text: string) => boolean {
  const pattern = RE2JS.compile(expression);
  return (text) => text.length <= MAX_TEXT_LENGTH && pattern.test(text);
}
