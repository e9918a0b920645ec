import { randomFillSync } from 'node:crypto';

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
/** Of a trace id: those at its end, by which samplers decide, and one more. */
const OWN_BYTES = 8;
/** Random bytes are drawn for many ids at once: to draw those of one takes twenty times as long. */
const random = Buffer.alloc(768 * OWN_BYTES);
let next = random.length;

const BEFORE = 'traceparent: 00-';
const TRACE_AT = BEFORE.length;
/** Where the trace id ends in a trace line. */
export const TRACE_END = TRACE_AT + 2 * TRACE_ID_BYTES;
const OWN_AT = TRACE_END - 2 * OWN_BYTES;
const SPAN_AT = TRACE_END + 1;
const TEMPLATE = `${BEFORE}${'0'.repeat(32)}-${'0'.repeat(16)}-02\r\n`;
/** Text is made of so many lines at once, which are parts of it. More would be held by the one that is used longest. */
const LINES_AT_ONCE = 16;
const BATCHES_ALIKE = 64;
const lines = Buffer.from(new ArrayBuffer(TEMPLATE.length * LINES_AT_ONCE));
lines.fill(TEMPLATE, 'latin1');
/** The same, two digits at a time. */
const pairs = new Uint16Array(lines.buffer);
const PAIRS = new Uint16Array(
  Uint8Array.from(Buffer.from(Array.from({ length: 256 }, (_, byte) => hex(byte)).join(''), 'latin1')).buffer,
);
let text = '';
let nextLine = 0;
let batches = 0;

/**
 * The line of a head by which a trace begins that is not recorded: nearly every request has one where few are recorded, so
 * little is done for it. The last 16 digits of its trace id are random, the others and the span id so often: lines of
 * different traces may have these in common.
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

/** A random span id: 16 hexadecimal digits. */
export function newSpanId(): string {
  const from = drawn(SPAN_ID_BYTES);
  return random.toString('hex', from, from + SPAN_ID_BYTES);
}

function makeLines(): void {
  if (batches++ % BATCHES_ALIKE === 0) makeAlike();
  for (let line = 0; line < lines.length; line += TEMPLATE.length) {
    const from = drawn(OWN_BYTES);
    const to = (line + OWN_AT) / 2;
    for (let i = 0; i < OWN_BYTES; i++) pairs[to + i] = PAIRS[random[from + i] ?? 0] ?? 0;
  }
  text = lines.toString('latin1');
  nextLine = 0;
}

/** What the lines of many batches have in common. */
function makeAlike(): void {
  const spanId = newSpanId();
  const beginning = newSpanId();
  for (let line = 0; line < lines.length; line += TEMPLATE.length) {
    lines.write(beginning, line + TRACE_AT, 'latin1');
    lines.write(spanId, line + SPAN_AT, 'latin1');
  }
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
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
