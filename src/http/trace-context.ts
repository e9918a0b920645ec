/** How a request says which trace it belongs to: W3C `traceparent` and `tracestate`, or b3 in one field or in several. */
export type Propagator = 'tracecontext' | 'b3' | 'b3multi';

/** What a request says of the trace that it belongs to. */
export interface TraceContext {
  /** 32 hexadecimal digits; empty where it says only whether it is to be recorded (b3). */
  readonly traceId: string;
  /** The span of its sender: 16 hexadecimal digits. */
  readonly parentId: string;
  /** Whether its sender records it; null where that is left to us (b3). */
  readonly isSampled: boolean | null;
  /** Whether the trace id is random (level 2 of the W3C recommendation). */
  readonly isRandom: boolean;
  /** `tracestate` as it goes on; empty for none. */
  readonly state: string;
}

/** The fields of each propagator, in lower case. */
export const TRACE_FIELDS: Readonly<Record<Propagator, readonly string[]>> = {
  tracecontext: ['traceparent', 'tracestate'],
  b3: ['b3'],
  b3multi: ['x-b3-traceid', 'x-b3-spanid', 'x-b3-parentspanid', 'x-b3-sampled', 'x-b3-flags'],
};

/** `FieldsView`, as far as it is asked. */
interface FieldValues {
  /** Of all fields of a lower-case name, joined with `, `. */
  value(name: string): string | undefined;
}

/** What the first of these propagators says that the request has a valid context of; null for none. */
export function readTraceContext(
  propagators: readonly Propagator[],
  fields: FieldValues,
): TraceContext | null {
  for (const propagator of propagators) {
    const context = READERS[propagator](fields);
    if (context !== null) return context;
  }
  return null;
}

const READERS: Readonly<Record<Propagator, (fields: FieldValues) => TraceContext | null>> = {
  tracecontext(fields) {
    const parent = fields.value('traceparent');
    return parent === undefined ? null : w3c(parent, fields.value('tracestate'));
  },
  b3(fields) {
    const value = fields.value('b3');
    return value === undefined ? null : b3(value);
  },
  b3multi(fields) {
    const traceId = fields.value('x-b3-traceid');
    const sampled = fields.value('x-b3-flags') === '1' ? '1' : fields.value('x-b3-sampled');
    if (traceId === undefined) return sampled === undefined ? null : withoutIds(sampled);
    const spanId = fields.value('x-b3-spanid') ?? '';
    return b3(`${traceId}-${spanId}${sampled === undefined ? '' : `-${SAMPLED_WORDS[sampled] ?? sampled}`}`);
  },
};

/** Early senders wrote words. */
const SAMPLED_WORDS: Readonly<Record<string, string>> = { true: '1', false: '0' };

const SAMPLED = 0x01;
const RANDOM = 0x02;
const TRACEPARENT_LENGTH = 55;

/** `00-TRACE-SPAN-FLAGS`, read by place: an expression takes four times as long, and every request may have one. */
function w3c(parent: string, state: string | undefined): TraceContext | null {
  const isValid =
    (parent.length === TRACEPARENT_LENGTH || isOfLaterVersion(parent)) &&
    !parent.startsWith('ff') &&
    isHex(parent, 0, 2) &&
    parent.charCodeAt(2) === DASH &&
    isId(parent, 3, 35) &&
    parent.charCodeAt(35) === DASH &&
    isId(parent, 36, 52) &&
    parent.charCodeAt(52) === DASH &&
    isHex(parent, 53, 55);
  if (!isValid) return null;
  const flags = Number.parseInt(parent.charAt(54), 16);
  return {
    traceId: parent.slice(3, 35),
    parentId: parent.slice(36, 52),
    isSampled: (flags & SAMPLED) !== 0,
    isRandom: (flags & RANDOM) !== 0,
    state: state === undefined ? '' : traceState(state),
  };
}

/** Of a version after 00, what 00 has is read, unless it goes on with something else than `-`. */
function isOfLaterVersion(parent: string): boolean {
  return parent.charCodeAt(TRACEPARENT_LENGTH) === DASH && !parent.startsWith('00');
}

/** Whether there are only digits 0 to 9 and a to f from a place to another. */
function isHex(text: string, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i);
    if (!((code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66))) return false;
  }
  return true;
}

/** The same, and that not all of them are 0. */
function isId(text: string, from: number, to: number): boolean {
  let at = from;
  while (at < to && text.charCodeAt(at) === 0x30) at++;
  return at < to && isHex(text, at, to);
}

const MAX_MEMBERS = 32;
/** Members beyond this length are the first to be left out, and no state goes on that is longer than the other. */
const LONG_MEMBER = 128;
const MAX_STATE = 512;
const MEMBER = /^[a-z\d][a-z\d_\-*/]{0,255}(?:@[a-z][a-z\d_\-*/]{0,13})?=[ -+\--<>-~]{0,255}[!-+\--<>-~]$/;

/** A valid `tracestate` as it goes on, shortened if it is long; empty for one that is not valid, as if there were none. */
export function traceState(value: string): string {
  const members = value.split(',').flatMap((member) => trimBlanks(member) || []);
  if (members.length > MAX_MEMBERS || !members.every((member) => MEMBER.test(member))) return '';
  const lengthOf = (list: readonly string[]): number =>
    list.reduce((sum, { length }) => sum + length + 1, -1);
  let kept = members;
  if (lengthOf(kept) > MAX_STATE) kept = kept.filter(({ length }) => length <= LONG_MEMBER);
  while (lengthOf(kept) > MAX_STATE) kept = kept.slice(0, -1);
  return kept.join(',');
}

/** Not trim(): to JavaScript more bytes are blank than to HTTP. Not an expression: one looks at blanks in between again and again. */
function trimBlanks(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

const SPACE = 0x20;
const TAB = 0x09;
const DASH = 0x2d;

const NO_SPAN = '0'.repeat(16);
/** A trace id of 16 digits is the same with as many zeros before it. */
const B3 = /^([\da-f]{16}(?:[\da-f]{16})?)-([\da-f]{16})(?:-([01d])(?:-[\da-f]{16})?)?$/;

function b3(value: string): TraceContext | null {
  const [, traceId, parentId = NO_SPAN, sampled] = B3.exec(value) ?? [];
  if (traceId === undefined) return withoutIds(value);
  if (parentId === NO_SPAN || /^0+$/.test(traceId)) return null;
  const isSampled = sampled === undefined ? null : sampled !== '0';
  return { traceId: traceId.padStart(32, '0'), parentId, isSampled, isRandom: false, state: '' };
}

/** The decision alone: the trace begins here. */
function withoutIds(sampled: string): TraceContext | null {
  const decided = SAMPLED_WORDS[sampled] ?? sampled;
  if (!/^[01d]$/.test(decided)) return null;
  return { traceId: '', parentId: '', isSampled: decided !== '0', isRandom: false, state: '' };
}

/** What goes on with a request. */
export interface OutgoingContext {
  readonly traceId: string;
  /** Of the request as it goes on. */
  readonly spanId: string;
  readonly isSampled: boolean;
  readonly isRandom: boolean;
  readonly state: string;
}

/** The lines of a head that say which trace a request belongs to, in each of these ways. */
export function traceLines(propagators: readonly Propagator[], context: OutgoingContext): string {
  let lines = '';
  for (const propagator of propagators) lines += WRITERS[propagator](context);
  return lines;
}

const FLAGS = ['00', '01', '02', '03'] as const;

const WRITERS: Readonly<Record<Propagator, (context: OutgoingContext) => string>> = {
  tracecontext({ traceId, spanId, isSampled, isRandom, state }) {
    const flags = FLAGS[(isSampled ? SAMPLED : 0) | (isRandom ? RANDOM : 0)];
    const parent = `traceparent: 00-${traceId}-${spanId}-${flags}\r\n`;
    return state === '' ? parent : `${parent}tracestate: ${state}\r\n`;
  },
  b3: ({ traceId, spanId, isSampled }) => `b3: ${traceId}-${spanId}-${isSampled ? 1 : 0}\r\n`,
  b3multi: ({ traceId, spanId, isSampled }) =>
    `X-B3-TraceId: ${traceId}\r\nX-B3-SpanId: ${spanId}\r\nX-B3-Sampled: ${isSampled ? 1 : 0}\r\n`,
};
