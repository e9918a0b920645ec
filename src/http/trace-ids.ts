import { randomFillSync } from 'node:crypto';

const ID_BYTES = 8;
/** Random bytes are drawn for many ids at once: to draw those of one takes twenty times as long. */
const IDS_AT_ONCE = 256;
/** Of a trace id, at its end: those by which samplers decide, and two more. */
const OWN_DIGITS = 2 * ID_BYTES;

/** How a head ends without a trace: with the empty line. */
export const NO_TRACE = '\r\n';
/** Where its trace id begins in how a head with a trace ends. */
const ID_START = 'traceparent: 00-'.length;
/** And where it ends. */
export const TRACE_ID_END = ID_START + 32;
const OWN_START = TRACE_ID_END - OWN_DIGITS;

/**
 * Ids of traces that begin here, drawn together, and with them how a head ends that tells of such a trace. The last 16 digits
 * of each trace id are random. The others, and the span id of those that are not recorded, are random once for all of them:
 * ids are no secrets, a whole trace id must not come twice, and samplers look at the last 14 digits, which `traceparent`
 * calls random.
 */
export class TraceIds {
  /** How the heads end, one after the other: a request takes a part of one text, and nothing is put together for it. */
  readonly #endings: string;
  readonly #length: number;
  #next = 0;

  constructor() {
    const ending = `traceparent: 00-${newSpanId()}${'0'.repeat(OWN_DIGITS)}-${newSpanId()}-02\r\n\r\n`;
    const own = Buffer.from(
      randomFillSync(Buffer.allocUnsafe(IDS_AT_ONCE * ID_BYTES)).toString('hex'),
      'latin1',
    );
    const bytes = Buffer.from(ending.repeat(IDS_AT_ONCE), 'latin1');
    for (let id = 0, from = 0; id < IDS_AT_ONCE; id++) {
      const at = id * ending.length + OWN_START;
      for (let digit = 0; digit < OWN_DIGITS; digit++) bytes[at + digit] = own[from++] ?? 0;
    }
    this.#endings = bytes.toString('latin1');
    this.#length = ending.length;
  }

  /**
   * Takes the next trace: how the head of a request ends that belongs to it and is not recorded, with its `traceparent` and
   * the empty line. `NO_TRACE` when there is none left.
   */
  next(): string {
    const from = this.#next;
    if (from === this.#endings.length) return NO_TRACE;
    this.#next = from + this.#length;
    return this.#endings.slice(from, this.#next);
  }
}

/** The 32 digits of the trace that a head tells of which ends so; empty for `NO_TRACE`. */
export function traceIdOf(ending: string): string {
  return ending.slice(ID_START, TRACE_ID_END);
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
