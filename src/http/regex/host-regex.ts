import { compileRegex } from './regex-program.ts';
import { parseRegex } from './syntax.ts';

/** Instructions of one expression. */
const MAX_SIZE = 200;

export type HostRegexReading =
  /** `text` matches the beginning of the hosts that it takes; `size` is in instructions. */
  | { readonly kind: 'regex'; readonly text: string; readonly size: number }
  /** `why` continues the expression. */
  | { readonly kind: 'refused'; readonly why: string };

/** An expression that takes hosts. As in nginx it may match anywhere in one. */
export function readHostRegex(expression: string): HostRegexReading {
  const text = `.*(?:${expression})`;
  const regex = parseRegex(text, true);
  if (regex.kind === 'invalid') return { kind: 'refused', why: regex.why };
  const size = compileRegex([regex], MAX_SIZE)?.ops.length;
  if (size === undefined) return { kind: 'refused', why: `needs more than ${MAX_SIZE} instructions` };
  return { kind: 'regex', text, size };
}
