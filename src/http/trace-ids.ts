import { randomFillSync } from 'node:crypto';
import { latin1 } from './latin1.ts';

/** Of a trace id, at its end: those by which samplers decide, and two more. */
const OWN_DIGITS = 16;

/** How a head ends without a trace: with the empty line. */
export const NO_TRACE = '\r\n';
/** Where its trace id begins in how a head with a trace ends. */
const ID_START = 'traceparent: 00-'.length;
/** And where it ends. */
export const TRACE_ID_END = ID_START + 32;
const OWN_START = TRACE_ID_END - OWN_DIGITS;

/** So few that they are still in the cache when they are taken, and do not become old; so many that it costs a call for all. */
const AT_ONCE = 16;

/**
 * Ids of traces that begin here, and with them how a head ends that tells of such a trace. The last 16 digits of each trace id
 * are its own. The others, and the span id of those that are not recorded, are random once for all of them: ids are no
 * secrets, a whole trace id must not come twice, and samplers look at the last 14 digits, which `traceparent` calls random.
 */
export class TraceIds {
  /** How several heads end, one after the other: two characters each, so that a byte of an id is written at once. */
  readonly #pairs: Uint16Array;
  readonly #bytes: Buffer;
  readonly #length: number;
  /** The same as text, of which each request takes a part. */
  #endings = '';
  #next = 0;

  constructor() {
    const ending = `traceparent: 00-${newSpanId()}${'0'.repeat(OWN_DIGITS)}-${newSpanId()}-02\r\n\r\n`;
    this.#length = ending.length;
    this.#pairs = new Uint16Array((AT_ONCE * ending.length) / 2);
    this.#bytes = Buffer.from(this.#pairs.buffer);
    this.#bytes.write(ending.repeat(AT_ONCE), 'latin1');
  }

  /** The next trace: how the head of a request ends that belongs to it and is not recorded, with its `traceparent` and the empty line. */
  next(): string {
    if (this.#next === this.#endings.length) this.#draw();
    const from = this.#next;
    this.#next = from + this.#length;
    return this.#endings.slice(from, this.#next);
  }

  #draw(): void {
    const { length } = this.#bytes;
    for (let at = OWN_START; at < length; at += this.#length) drawDigits(this.#pairs, at);
    this.#endings = latin1(this.#bytes, 0, length);
    this.#next = 0;
  }
}

/** The 32 digits of the trace that a head tells of which ends so; empty for `NO_TRACE`. */
export function traceIdOf(ending: string): string {
  return ending.slice(ID_START, TRACE_ID_END);
}

const SPAN_DIGITS = 16;
const spanPairs = new Uint16Array(SPAN_DIGITS / 2);
const spanBytes = Buffer.from(spanPairs.buffer);

/** A random span id: 16 hexadecimal digits. */
export function newSpanId(): string {
  drawDigits(spanPairs, 0);
  return latin1(spanBytes, 0, SPAN_DIGITS);
}

/** The two digits of each byte, as two characters that stand one after the other. */
const HEX_PAIRS = new Uint16Array(256);
for (let byte = 0; byte < 256; byte++) {
  Buffer.from(HEX_PAIRS.buffer).write(byte.toString(16).padStart(2, '0'), byte * 2, 'latin1');
}

/** Random words are drawn for many ids at once: to draw those of one takes twenty times as long. */
const words = new Int32Array(1024);
let next = words.length;

/** Writes 16 random digits from a place on. */
function drawDigits(pairs: Uint16Array, from: number): void {
  if (next === words.length) {
    randomFillSync(words);
    next = 0;
  }
  for (let at = from / 2; at < from / 2 + 8; at += 4) {
    const word = words[next++] ?? 0;
    pairs[at] = HEX_PAIRS[word >>> 24] ?? 0;
    pairs[at + 1] = HEX_PAIRS[(word >>> 16) & 0xff] ?? 0;
    pairs[at + 2] = HEX_PAIRS[(word >>> 8) & 0xff] ?? 0;
    pairs[at + 3] = HEX_PAIRS[word & 0xff] ?? 0;
  }
}
