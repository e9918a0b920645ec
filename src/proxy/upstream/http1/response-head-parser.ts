import { type ConnectionOptions, connectionOptions } from '../../../http/header-fields.ts';
import type { Limits } from '../../limits.ts';
import { CR, LF, SP, decimal, endOfValue, equalsIgnoringCase, text } from '../../http1/bytes.ts';
import { FieldBlock, type FieldFault } from '../../http1/field-block.ts';
import { FieldKind } from '../../../http/field-names.ts';
import { type Leniency, STRICT } from '../../http1/leniency.ts';
import { CHUNKED, type Framing, NO_BODY, UNTIL_CLOSE, lengthOf } from '../../http1/framing.ts';

/** Why a response is not passed on, one by one for the log; the client gets 502 for each. */
export type ResponseFault =
  | FieldFault
  | 'bad-status-line'
  | 'bad-content-length'
  | 'several-content-lengths'
  | 'length-and-transfer-encoding'
  | 'bad-transfer-encoding'
  | 'transfer-encoding-in-http-1.0'
  | 'unasked-switch';

export type ResponseProgress = 'more' | 'done' | ResponseFault;

/** What the request was, as far as it decides how the response is read. */
export interface ResponseContext {
  readonly isHead: boolean;
  readonly asksUpgrade: boolean;
  /** The most bytes that the head of the response may have. */
  readonly maxHeadBytes: number;
}

/** Reads one response head (RFC 9112 4–6), as strictly as requests are read but for what `leniency` allows. */
export class ResponseHead {
  readonly #leniency: Leniency;
  readonly fields: FieldBlock;
  #inFields = false;

  status = 0;
  minor = 1;
  /** Places of the reason phrase, relative to the base. */
  reasonStart = 0;
  reasonEnd = 0;
  framing: Framing = NO_BODY;
  /** The field's value; -1 when there is none. Told to the client even where no body comes (HEAD, 304). */
  contentLength = -1;
  connection: ConnectionOptions = connectionOptions(undefined);
  hasDate = false;
  /** Seconds of `Keep-Alive: timeout`; -1 when it does not say. */
  keepAliveTimeout = -1;

  constructor(limits: Limits, leniency: Leniency = STRICT) {
    this.#leniency = leniency;
    this.fields = new FieldBlock(limits.fieldCount, leniency);
  }

  reset(): void {
    this.#inFields = false;
  }

  get length(): number {
    return this.fields.next;
  }

  /** Reads on in `bytes` from `base` to `end`. Between two calls only more bytes may be there, or all have moved. */
  read(bytes: Buffer, base: number, end: number, context: ResponseContext): ResponseProgress {
    if (!this.#inFields) {
      const progress = this.#statusLine(bytes, base, end, context.maxHeadBytes);
      if (progress !== 'done') return progress;
      this.#inFields = true;
    }
    const progress = this.fields.read(bytes, base, end, context.maxHeadBytes);
    return progress === 'done' ? this.#interpret(bytes, base, context) : progress;
  }

  /** `HTTP-version SP status-code [SP [reason-phrase]] CRLF`; the first blank is left out by some old servers. */
  #statusLine(bytes: Buffer, base: number, end: number, maxBytes: number): ResponseProgress {
    const limit = Math.min(end, base + maxBytes);
    const unfinished = limit - base === maxBytes ? 'head-too-large' : 'more';
    let at = base;
    for (let i = 0; i < STATUS_LINE.length; i++, at++) {
      if (at === limit) return unfinished;
      const byte = bytes[at] ?? 0;
      const expected = STATUS_LINE.charCodeAt(i);
      const fits = expected === DIGIT ? byte >= 0x30 && byte <= 0x39 : byte === expected;
      if (!fits) return 'bad-status-line';
    }
    this.minor = (bytes[at - 5] ?? 0) - 0x30;
    this.status = decimal(bytes, at - 3, at);
    if (this.minor > 1 || this.status < 100 || this.status > 599) return 'bad-status-line';
    if (at === limit) return unfinished;
    if (bytes[at] === SP) at++;
    else if (bytes[at] !== CR) return 'bad-status-line';
    const reason = at;
    at = endOfValue(bytes, at, limit);
    if (at === limit) return unfinished;
    this.reasonStart = reason - base;
    this.reasonEnd = at - base;
    if (bytes[at] === LF && this.#leniency.bareLf) {
      this.fields.reset(at + 1 - base);
      return 'done';
    }
    if (bytes[at] !== CR) return bytes[at] === LF ? 'bare-lf' : 'bad-status-line';
    if (at + 1 === limit) return unfinished;
    if (bytes[at + 1] !== LF) return 'bad-status-line';
    this.fields.reset(at + 2 - base);
    return 'done';
  }

  #interpret(bytes: Buffer, base: number, context: ResponseContext): ResponseProgress {
    const { fields } = this;
    let length = -1;
    let codings = 0;
    let connections = 0;
    this.keepAliveTimeout = -1;
    this.hasDate = false;
    for (let field = 0; field < fields.count; field++) {
      const kind = fields.kind(field);
      if (kind === FieldKind.other) continue;
      const start = base + fields.valueStart(field);
      const end = base + fields.valueEnd(field);
      switch (kind) {
        case FieldKind.contentLength: {
          const number = decimal(bytes, start, end);
          if (number < 0) return 'bad-content-length';
          if (length >= 0) return 'several-content-lengths';
          length = number;
          break;
        }
        case FieldKind.transferEncoding:
          if (!equalsIgnoringCase(bytes, start, end, 'chunked')) return 'bad-transfer-encoding';
          codings++;
          break;
        case FieldKind.connection:
          connections++;
          this.connection = connectionOptions(text(bytes, start, end));
          break;
        case FieldKind.date:
          this.hasDate = true;
          break;
        case FieldKind.keepAlive:
          this.keepAliveTimeout = timeoutOf(text(bytes, start, end));
          break;
        default:
          break;
      }
    }
    if (codings > 0) {
      if (codings > 1) return 'bad-transfer-encoding';
      if (this.minor === 0) return 'transfer-encoding-in-http-1.0';
      if (length >= 0) return 'length-and-transfer-encoding';
    }
    if (connections !== 1) {
      this.connection = connectionOptions(fields.valueOfKind(bytes, base, FieldKind.connection));
    }
    if (this.status === 101 && !context.asksUpgrade) return 'unasked-switch';
    this.contentLength = length;
    if (context.isHead || this.status < 200 || this.status === 204 || this.status === 304) {
      this.framing = NO_BODY;
    } else if (codings > 0) this.framing = CHUNKED;
    else this.framing = length >= 0 ? lengthOf(length) : UNTIL_CLOSE;
    return 'done';
  }

  /** `protocol` in lower case. */
  switchesTo(bytes: Buffer, base: number, protocol: string): boolean {
    return this.fields.valueOfKind(bytes, base, FieldKind.upgrade)?.toLowerCase() === protocol;
  }

  /** Whether the upstream will take another request on this connection, once this response is over. */
  get persists(): boolean {
    if (this.framing.kind === 'until-close' || this.connection.close) return false;
    return this.minor === 1 || this.connection.keepAlive;
  }
}

const DIGIT = 0x23;
const STATUS_LINE = 'HTTP/1.# ###';

function timeoutOf(keepAlive: string): number {
  const timeout = /(?:^|[,\s])timeout\s*=\s*"?(\d{1,9})/i.exec(keepAlive)?.[1];
  return timeout === undefined ? -1 : Number(timeout);
}
