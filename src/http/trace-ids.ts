import { randomFillSync } from 'node:crypto';

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
/** Random bytes are drawn for many ids at once: to draw those of one takes twenty times as long. */
const random = Buffer.alloc(256 * TRACE_ID_BYTES);
let next = random.length;

/** A random trace id: 32 hexadecimal digits. */
export function newTraceId(): string {
  return randomHex(TRACE_ID_BYTES);
}

/** A random span id: 16 hexadecimal digits. */
export function newSpanId(): string {
  return randomHex(SPAN_ID_BYTES);
}

function randomHex(bytes: number): string {
  if (next + bytes > random.length) {
    randomFillSync(random);
    next = 0;
  }
  const from = next;
  next += bytes;
  return random.toString('hex', from, next);
}
