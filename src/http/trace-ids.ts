import { randomFillSync } from 'node:crypto';
import { inOnePiece } from './one-piece.ts';

const ID_BYTES = 8;
/** Random bytes are drawn for many ids at once: to draw those of one takes twenty times as long. */
const IDS_AT_ONCE = 256;
/** Of a trace id, at its end: those by which samplers decide, and two more. */
const OWN_DIGITS = 2 * ID_BYTES;
const HALF = OWN_DIGITS / 2;
/** Where the trace id begins in a trace line. */
const TRACE_AT = 'traceparent: 00-'.length;

/**
 * Ids of traces that begin here, drawn together. The last 16 digits of each trace id are random. The others, and the span id
 * of those that are not recorded, are random once for all of them: ids are no secrets, a whole trace id must not come twice,
 * and samplers look at the last 14 digits, which `traceparent` calls random.
 */
export class TraceIds {
  /** What is each trace's own of its id, one after the other. */
  readonly digits: string;
  /** What comes before these digits in a trace line that ends a head, and after them. */
  readonly #before: string;
  readonly #after: string;
  #end = 0;

  constructor() {
    const bytes = randomFillSync(Buffer.allocUnsafe(IDS_AT_ONCE * ID_BYTES));
    this.digits = bytes.toString('hex');
    this.#before = inOnePiece(`traceparent: 00-${newSpanId()}`);
    this.#after = inOnePiece(`-${newSpanId()}-02\r\n\r\n`);
  }

  /** Takes the next trace: where its digits end. 0 when there is none left. */
  next(): number {
    if (this.#end === this.digits.length) return 0;
    return (this.#end += OWN_DIGITS);
  }

  /** The id of the trace whose digits end there: 32 of them. */
  traceId(end: number): string {
    return `${this.#before.slice(TRACE_AT)}${this.digits.slice(end - OWN_DIGITS, end)}`;
  }

  /**
   * The head with the line of that trace and its empty line: recorded, with this span for what comes after, or not recorded
   * where it is null.
   */
  complete(head: string, end: number, spanId: string | null): string {
    const from = end - OWN_DIGITS;
    const middle = from + HALF;
    const after = spanId === null ? this.#after : `-${spanId}-03\r\n\r\n`;
    // A part of at most 12 characters is a copy. A longer one only points to where it is, and a head with such a part takes
    // 0.1 µs more to be written.
    return `${head}${this.#before}${this.digits.slice(from, middle)}${this.digits.slice(middle, end)}${after}`;
  }
}

const random = Buffer.alloc(IDS_AT_ONCE * ID_BYTES);
let next = random.length;

/** A random span id: 16 hexadecimal digits. */
export function newSpanId(): string {
  if (next === random.length) {
    randomFillSync(random);
    next = 0;
  }
  next += ID_BYTES;
  return random.toString('hex', next - ID_BYTES, next);
}
