import type { MessageFault } from '../../../http/local-response.ts';
import { type ConnectionOptions, connectionOptions } from '../../../http/header-fields.ts';
import type { Limits } from '../../limits.ts';
import {
  CR,
  LF,
  SP,
  decimal,
  endOfTarget,
  endOfToken,
  equalsIgnoringCase,
  includesIgnoringCase,
  startsWithIgnoringCase,
  text,
} from '../../http1/bytes.ts';
import { FieldBlock, type FieldFault } from '../../http1/field-block.ts';
import { FieldKind } from '../../../http/field-names.ts';
import { type Framing, NO_BODY, CHUNKED, lengthOf } from '../../http1/framing.ts';

/** Why a request head is refused, one by one for the log; `messageFault` gives the answer to each. */
export type RequestFault =
  | FieldFault
  | 'bad-request-line'
  | 'target-too-long'
  | 'version-not-supported'
  | 'missing-host'
  | 'duplicate-host'
  | 'bad-content-length'
  | 'several-content-lengths'
  | 'length-and-transfer-encoding'
  | 'bad-transfer-encoding'
  | 'unknown-transfer-coding'
  | 'transfer-encoding-in-http-1.0'
  | 'unknown-expectation';

export type RequestProgress = 'more' | 'done' | RequestFault;

const METHODS: readonly string[] = ['GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'PATCH', 'OPTIONS'];

/**
 * Reads one request head (RFC 9112 2–3, 5–6), strictly: what two readers could take differently is refused.
 * Can be used again for the next request after `reset`.
 */
export class RequestHead {
  readonly #limits: Limits;
  readonly fields: FieldBlock;
  /** Where the head begins, after an empty line that may stand before it. */
  #start = 0;
  #inFields = false;

  method = '';
  target = '';
  /** 0 or 1: the minor version. */
  minor = 1;
  /** Empty only in HTTP/1.0, where a client need not say it. */
  host = '';
  /** The field that says it is relayed; otherwise the upstream is told what `host` is. */
  saysHost = true;
  framing: Framing = NO_BODY;
  /** The field's value; -1 when there is none. A length of 0 is passed on, though there is no body. */
  contentLength = -1;
  connection: ConnectionOptions = connectionOptions(undefined);
  /** The client waits for `100 Continue` before it sends the body (RFC 9110 10.1.1). */
  expectsContinue = false;
  hasUpgrade = false;
  hasRequestId = false;
  hasLoop = false;
  /** A field of a propagator: `traceparent`, `b3` and others. */
  hasTraceFields = false;
  /** A field has an underscore in its name. */
  hasUnderscored = false;
  /** It says that it is a gRPC call: `application/grpc`, with a suffix or without. */
  isGrpc = false;
  /** An Accept field that may name JSON; -1 without any. */
  #accept = -1;

  constructor(limits: Limits) {
    this.#limits = limits;
    this.fields = new FieldBlock(limits.fieldCount);
  }

  reset(): void {
    this.#start = 0;
    this.#inFields = false;
    this.method = '';
    this.target = '';
    this.host = '';
  }

  /** Bytes from the base to the end of the head, once it is done. */
  get length(): number {
    return this.fields.next;
  }

  /** Names the host to the upstream that the client did not name: HTTP/1.1 has no request without one. */
  assumeHost(host: string): void {
    this.host = host;
    this.fields.drop(FieldKind.host);
    this.saysHost = false;
  }

  /** What the client likes to read; undefined where it cannot name JSON, which is all that is asked about it. */
  accept(bytes: Buffer, base: number): string | undefined {
    return this.#accept < 0 ? undefined : this.fields.valueOfKind(bytes, base, FieldKind.accept);
  }

  /** Reads on in `bytes` from `base` to `end`. Between two calls only more bytes may be there, or all have moved. */
  read(bytes: Buffer, base: number, end: number): RequestProgress {
    if (!this.#inFields) {
      const progress = this.#requestLine(bytes, base, end);
      if (progress !== 'done') return progress;
      this.#inFields = true;
    }
    const progress = this.fields.read(bytes, base, end, this.#start + this.#limits.headBytes);
    return progress === 'done' ? this.#interpret(bytes, base) : progress;
  }

  /** `method SP request-target SP HTTP-version CRLF`; read from its start each time, it is short. */
  #requestLine(bytes: Buffer, base: number, end: number): RequestProgress {
    let at = base;
    if (at === end) return 'more';
    // RFC 9112 2.2: some clients end a body with an empty line that belongs to nothing.
    if (bytes[at] === CR) {
      if (at + 1 === end) return 'more';
      if (bytes[at + 1] !== LF) return 'bad-request-line';
      at += 2;
    }
    const start = at;
    const limit = Math.min(end, start + this.#limits.requestLineBytes + 2);
    const unfinished = limit - start === this.#limits.requestLineBytes + 2 ? 'target-too-long' : 'more';

    at = endOfToken(bytes, at, limit);
    if (at === limit) return unfinished;
    if (at === start || bytes[at] !== SP) return bytes[at] === LF ? 'bare-lf' : 'bad-request-line';
    const methodEnd = at;
    const targetStart = ++at;
    at = endOfTarget(bytes, at, limit);
    if (at === limit) return unfinished;
    if (at === targetStart || bytes[at] !== SP) return bytes[at] === LF ? 'bare-lf' : 'bad-request-line';
    const targetEnd = at++;

    const version = this.#version(bytes, at, limit);
    if (version === 'more') return unfinished;
    if (version !== 'done') return version;
    this.#start = start - base;
    this.method = internedMethod(bytes, start, methodEnd);
    this.target = text(bytes, targetStart, targetEnd);
    this.fields.reset(at + 10 - base);
    return 'done';
  }

  /** `HTTP/1.1` and CRLF, byte by byte, so that a wrong one is found as soon as it is there. */
  #version(bytes: Buffer, at: number, limit: number): RequestProgress {
    for (let i = 0; i < VERSION.length; i++, at++) {
      if (at >= limit) return 'more';
      const byte = bytes[at] ?? 0;
      const expected = VERSION.charCodeAt(i);
      const fits = expected === DIGIT ? byte >= 0x30 && byte <= 0x39 : byte === expected;
      if (!fits) return byte === LF ? 'bare-lf' : 'bad-request-line';
    }
    const minor = (bytes[at - 3] ?? 0) - 0x30;
    if (bytes[at - 5] !== 0x31 || minor > 1) return 'version-not-supported';
    this.minor = minor;
    return 'done';
  }

  /** What the fields say together, once all are there. */
  #interpret(bytes: Buffer, base: number): RequestProgress {
    const { fields } = this;
    let hosts = 0;
    let lengths = 0;
    let length = -1;
    let codings = 0;
    let coding: 'chunked' | 'bad-transfer-encoding' | 'unknown-transfer-coding' = 'chunked';
    let connections = 0;
    let expectation: boolean | 'unknown' = false;
    this.hasUpgrade = false;
    this.hasRequestId = false;
    this.hasLoop = false;
    this.hasTraceFields = false;
    this.hasUnderscored = false;
    this.isGrpc = false;
    this.#accept = -1;
    for (let field = 0; field < fields.count; field++) {
      const kind = fields.kind(field);
      if (kind === FieldKind.other) continue;
      const start = base + fields.valueStart(field);
      const end = base + fields.valueEnd(field);
      switch (kind) {
        case FieldKind.host:
          hosts++;
          this.host = text(bytes, start, end);
          break;
        case FieldKind.contentLength: {
          const number = decimal(bytes, start, end);
          if (number < 0) return 'bad-content-length';
          // RFC 9110 8.6 lets a recipient accept equal ones; a Pod that reads only the first or the last need not see them.
          if (lengths++ > 0) return 'several-content-lengths';
          length = number;
          break;
        }
        case FieldKind.transferEncoding:
          codings++;
          coding = transferCoding(bytes, start, end);
          break;
        case FieldKind.connection:
          connections++;
          this.connection = connectionOptions(text(bytes, start, end));
          break;
        case FieldKind.expect:
          if (!equalsIgnoringCase(bytes, start, end, '100-continue')) expectation = 'unknown';
          else if (expectation === false) expectation = true;
          break;
        case FieldKind.upgrade:
          this.hasUpgrade = true;
          break;
        case FieldKind.requestId:
          this.hasRequestId = true;
          break;
        case FieldKind.loop:
          this.hasLoop = true;
          break;
        case FieldKind.traceContext:
        case FieldKind.b3:
        case FieldKind.b3multi:
          this.hasTraceFields = true;
          break;
        case FieldKind.underscored:
          this.hasUnderscored = true;
          break;
        case FieldKind.accept:
          if (includesIgnoringCase(bytes, start, end, LETTER_J)) this.#accept = field;
          break;
        case FieldKind.contentType:
          this.isGrpc = startsWithIgnoringCase(bytes, start, end, GRPC);
          break;
        default:
          break;
      }
    }
    if (codings > 0) {
      if (this.minor === 0) return 'transfer-encoding-in-http-1.0';
      if (lengths > 0) return 'length-and-transfer-encoding';
      if (codings > 1) return 'bad-transfer-encoding';
      if (coding !== 'chunked') return coding;
    }
    if (hosts > 1) return 'duplicate-host';
    if (hosts === 0 && this.minor === 1) return 'missing-host';
    this.saysHost = true;
    // RFC 9110 10.1.1: an HTTP/1.0 client cannot be waiting.
    if (expectation === 'unknown' && this.minor === 1) return 'unknown-expectation';
    this.contentLength = length;
    this.framing = codings > 0 ? CHUNKED : lengthOf(length);
    this.expectsContinue = expectation === true && this.minor === 1 && this.framing.kind !== 'none';
    if (connections !== 1) {
      this.connection = connectionOptions(fields.valueOfKind(bytes, base, FieldKind.connection));
    }
    return 'done';
  }
}

const GRPC = 'application/grpc';
/** As in JSON. Most values of Accept have none, and no string is made of them. */
const LETTER_J = 0x6a;

/** A digit where the one byte stands that no version has. */
const DIGIT = 0x23;
const VERSION = 'HTTP/#.#\r\n';

function internedMethod(bytes: Buffer, start: number, end: number): string {
  // Comparing bytes is cheaper than making a string and throwing it away.
  for (const method of METHODS) {
    if (end - start === method.length && bytes[start] === method.charCodeAt(0)) {
      let same = 1;
      while (same < method.length && bytes[start + same] === method.charCodeAt(same)) same++;
      if (same === method.length) return method;
    }
  }
  return text(bytes, start, end);
}

/** `chunked` alone is understood; codings before it could be valid, but not here (RFC 9112 6.1). */
function transferCoding(
  bytes: Buffer,
  start: number,
  end: number,
): 'chunked' | 'bad-transfer-encoding' | 'unknown-transfer-coding' {
  if (equalsIgnoringCase(bytes, start, end, 'chunked')) return 'chunked';
  const value = text(bytes, start, end).toLowerCase();
  // Not trim(): to JavaScript more bytes are blank than to HTTP.
  const codings = TOKENS.test(value) ? value.split(/[ \t]*,[ \t]*/) : [];
  const chunkedIsLast = codings.indexOf('chunked') === codings.length - 1;
  return codings.length > 0 && chunkedIsLast && !codings.includes('identity')
    ? 'unknown-transfer-coding'
    : 'bad-transfer-encoding';
}

const TOKENS = /^[!#$%&'*+\-.^_`|~\w]+(?:[ \t]*,[ \t]*[!#$%&'*+\-.^_`|~\w]+)*$/;

/** How a fault is answered. */
export function messageFault(fault: RequestFault): MessageFault | 'bad-host' {
  switch (fault) {
    case 'bare-lf':
    case 'obs-fold':
    case 'bad-field-name':
    case 'bad-field-value':
    case 'bad-request-line':
      return 'bad-message';
    case 'too-many-fields':
    case 'head-too-large':
      return 'head-too-large';
    case 'target-too-long':
      return 'target-too-long';
    case 'version-not-supported':
      return 'version-not-supported';
    case 'missing-host':
    case 'duplicate-host':
      return 'bad-host';
    case 'bad-content-length':
    case 'several-content-lengths':
    case 'length-and-transfer-encoding':
    case 'bad-transfer-encoding':
    case 'transfer-encoding-in-http-1.0':
      return 'bad-framing';
    case 'unknown-transfer-coding':
      return 'transfer-coding-unknown';
    case 'unknown-expectation':
      return 'expectation-unknown';
    default:
      return fault satisfies never;
  }
}
