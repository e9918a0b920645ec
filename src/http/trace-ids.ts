import { randomFillSync } from 'node:crypto';

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
/** Random bytes are drawn for many ids at once: to draw those of one takes twenty times as long. */
const random = Buffer.alloc(256 * (TRACE_ID_BYTES + SPAN_ID_BYTES));
let next = random.length;

const BEFORE = 'traceparent: 00-';
const TRACE_AT = BEFORE.length;
/** Where the trace id ends in a trace line. */
export const TRACE_END = TRACE_AT + 2 * TRACE_ID_BYTES;
const SPAN_AT = TRACE_END + 1;
const SPAN_END = SPAN_AT + 2 * SPAN_ID_BYTES;
const TEMPLATE = `${BEFORE}${'0'.repeat(32)}-${'0'.repeat(16)}-02\r\n`;
/** Text is made of so many lines at once, which are parts of it. More would be held by the one that is used longest. */
const LINES_AT_ONCE = 16;
const lines = Buffer.from(TEMPLATE.repeat(LINES_AT_ONCE), 'latin1');
const DIGITS = Buffer.from('0123456789abcdef', 'latin1');
let text = '';
let nextLine = 0;

/**
 * The line of a head by which a trace begins that is not recorded, with random ids: nearly every request has one where few
 * are recorded.
 */
export function newTraceLine(): string {
  if (nextLine === text.length) makeLines();
  const line = text.slice(nextLine, nextLine + TEMPLATE.length);
  nextLine += TEMPLATE.length;
  return line;
}

/** The trace id in such a line: 32 hexadecimal digits. */
export function traceIdOf(traceLine: string): string {
  return traceLine.slice(TRACE_AT, TRACE_END);
}

/** The span id in it: 16 hexadecimal digits. */
export function spanIdOf(traceLine: string): string {
  return traceLine.slice(SPAN_AT, SPAN_END);
}

/** A random span id: 16 hexadecimal digits. */
export function newSpanId(): string {
  const from = drawn(SPAN_ID_BYTES);
  return random.toString('hex', from, from + SPAN_ID_BYTES);
}

function makeLines(): void {
  for (let line = 0; line < lines.length; line += TEMPLATE.length) {
    fill(line + TRACE_AT, TRACE_ID_BYTES);
    fill(line + SPAN_AT, SPAN_ID_BYTES);
  }
  text = lines.toString('latin1');
  nextLine = 0;
}

function fill(at: number, bytes: number): void {
  const from = drawn(bytes);
  for (let i = 0; i < bytes; i++) {
    const byte = random[from + i] ?? 0;
    lines[at + 2 * i] = DIGITS[byte >> 4] ?? 0;
    lines[at + 2 * i + 1] = DIGITS[byte & 0x0f] ?? 0;
  }
}

/** Where so many random bytes are that nobody has used. */
function drawn(bytes: number): number {
  if (next + bytes > random.length) {
    randomFillSync(random);
    next = 0;
  }
  next += bytes;
  return next - bytes;
}
