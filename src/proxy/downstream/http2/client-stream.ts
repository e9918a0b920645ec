import type { LocalResponse } from '../../../http/local-response.ts';
import type { ConnectionInfo } from '../../../http/connection-info.ts';
import { dateOf } from '../http1/client-head.ts';
import { BodyRate } from '../../body-rate.ts';
import { BodyBatch, type OpenBatches } from './body-batch.ts';
import { Deadline, type DeadlineList, type DeadlineLists } from '../../deadlines.ts';
import type { HeadEdit } from '../../../http/head-edit.ts';
import { ExchangeBoundary } from '../../exchange-boundary.ts';
import { messageFault } from '../http1/request-head.ts';
import type { ResponseHead } from '../../upstream/http1/response-head-parser.ts';
import type { Downstream } from '../downstream.ts';
import type { TunnelEnd } from '../../tunnel-end.ts';
import { FieldBlock, type Trailers } from '../../http1/field-block.ts';
import type { EngineState } from '../../engine-state.ts';
import type { ConnectionMemory } from '../../connection-memory.ts';
import {
  type Fields,
  NO_TRAILERS,
  keepTrailers,
  readTrailers,
  responseFields,
  trailerFields,
} from '../../http2/fields.ts';
import type { Decoded } from '../../http2/hpack/decoder.ts';
import { EarlyContent } from '../../http2/early-content.ts';
import { StreamEnd } from '../../http2/stream-end.ts';
import { http1Request } from '../../http2/text.ts';
import { ErrorCode } from '../../http2/wire/frame.ts';
import type { Http2Stream, StreamUser } from '../../http2/wire/stream.ts';

/** The connection of a stream, as the stream sees it. */
export interface StreamSession {
  readonly engine: EngineState;
  readonly connectionInfo: ConnectionInfo;
  readonly memory: ConnectionMemory;
  readonly clients: StreamTimes;
  /** Of its streams. */
  readonly batches: OpenBatches;
  /** The stream is over; `answered` says that its client got all that it was due. */
  over(stream: ClientStream, answered: boolean): void;
}

/** The time limits that streams share. */
export interface StreamTimes {
  readonly bodies: DeadlineList<ClientStream>;
  /** Of gRPC calls, whose streams may be silent for long. */
  readonly calls: DeadlineLists<ClientStream>;
  readonly leftovers: DeadlineList<ClientStream>;
}

/** One request of a client over HTTP/2, and the way of its response. */
export class ClientStream implements Downstream, StreamUser {
  readonly #session: StreamSession;
  readonly #stream: Http2Stream;
  readonly deadline = new Deadline<ClientStream>(this);
  #exchange: ExchangeBoundary | null = null;
  /** How long the client may send nothing of a request that it has not ended. */
  #silence: DeadlineList<ClientStream>;
  #requestTrailers: Trailers = NO_TRAILERS;
  #requestOver: boolean;
  #isMalformed = false;
  /** What of its body is passed on later in this turn; null before there is any. */
  #batch: BodyBatch | null = null;
  /** Something was passed on at once, and has to leave before anything else is put together. */
  #isUnsent = false;
  /** Null where the body may be as slow as it likes. */
  #rate: BodyRate | null = null;
  /** What is still to come of the body, where that was told; otherwise negative. */
  #lacking = -1;

  /** Put together, and not sent. */
  #head: Fields | null = null;
  #content: EarlyContent | null = null;
  #done = false;
  #trailers: Fields | null = null;
  #tunnelEnd: StreamEnd | null = null;
  /** The client has ended its side of a tunnel that was not there yet. */
  #endedEarly = false;

  constructor(session: StreamSession, stream: Http2Stream, ended: boolean) {
    this.#session = session;
    this.#silence = session.clients.bodies;
    this.#stream = stream;
    this.#requestOver = ended;
    stream.user = this;
  }

  /** The head is there. */
  begin(decoded: Decoded): void {
    try {
      this.#begin(decoded);
    } catch (fault) {
      this.onFault(fault);
    }
  }

  #begin(decoded: Decoded): void {
    const { engine } = this.#session;
    const text = decoded.kind === 'fields' ? http1Request(decoded.fields, !this.#requestOver) : null;
    const head = engine.spareHead;
    head.reset();
    // A head that stops short is as little one as a malformed one.
    const progress = text === null ? 'more' : head.read(text.bytes, 0, text.length);
    const exchange = new ExchangeBoundary(engine, this, progress === 'done' ? head : null);
    this.#exchange = exchange;
    this.#isMalformed = progress !== 'done';
    if (decoded.kind === 'too-large') return exchange.refuse('head-too-large', 'head-too-large');
    if (text === null || progress === 'more') return exchange.refuse('bad-message');
    if (progress !== 'done') return exchange.refuse(messageFault(progress), progress);
    if (head.hasUpgrade) {
      // Its content is for the tunnel, if it comes to one.
      this.#stream.pause();
      this.#requestOver = true;
    } else if (!this.#requestOver) {
      this.#lacking = head.contentLength;
      const { bodyMinRate, bodyIdleTimeoutMs } = engine.context.limits;
      this.#rate = new BodyRate(bodyMinRate, bodyIdleTimeoutMs);
      this.deadline.arm(this.#silence);
    }
    exchange.begin(head, text.bytes, 0);
  }

  // ── As the stream sees it ────────────────────────────────────────────────────────────────────────────────────

  onContent(bytes: Buffer, from: number, to: number): void {
    if (this.#tunnelEnd) return this.#exchange?.onClientTunnelBytes(bytes, from, to);
    if (this.#lacking >= 0 && (this.#lacking -= to - from) < 0)
      return this.#stream.reset(ErrorCode.protocolError);
    this.deadline.arm(this.#silence);
    if (this.#rate?.came(to - from, this.#session.engine.deadlines.now) === false) return this.bodyTimedOut();
    this.#batch ??= new BodyBatch(this.#session.batches, (all, length) => this.#passOn(all, length));
    if (this.#batch.add(bytes, from, to)) return;
    this.#isUnsent = true;
    this.#exchange?.onRequestContent(bytes, from, to);
  }

  #passOn(bytes: Buffer, length: number): void {
    try {
      this.#exchange?.onRequestContent(bytes, 0, length);
      if (!this.#requestOver) this.#exchange?.onRequestFlush();
    } catch (fault) {
      this.onFault(fault);
    }
  }

  onFlush(): void {
    if (this.#tunnelEnd || (!this.#isUnsent && this.#batch?.isEmpty === false)) return;
    this.#isUnsent = false;
    this.#exchange?.onRequestFlush();
  }

  onFields(head: Decoded, ended: boolean): void {
    const { headBytes, fieldCount } = this.#session.engine.context.limits;
    const trailers =
      ended && head.kind === 'fields'
        ? readTrailers(head.fields, new FieldBlock(fieldCount), headBytes)
        : null;
    // The upstream may get them later.
    if (trailers) this.#requestTrailers = keepTrailers(trailers);
    else this.#stream.reset(ErrorCode.protocolError);
  }

  onEnd(): void {
    if (this.#tunnelEnd) return this.#exchange?.onClientTunnelEnd();
    if (this.#requestOver) {
      this.#endedEarly = true;
      return;
    }
    // RFC 9113 8.1.1: the length that was told is the length that comes.
    if (this.#lacking > 0) return this.#stream.reset(ErrorCode.protocolError);
    this.#requestOver = true;
    // The end leaves in the same write.
    this.#batch?.flush();
    this.deadline.clear();
    this.#exchange?.onRequestDone(this.#requestTrailers);
    this.#batch?.close();
  }

  onDrain(): void {
    if (this.#tunnelEnd || !this.memory.unsent.isFull) this.#exchange?.onClientDrain();
  }

  onClosed(fault: ErrorCode | null): void {
    const exchange = this.#exchange;
    this.#batch?.close();
    this.deadline.clear();
    this.#session.over(this, !this.#isMalformed && (exchange === null ? isHarmless(fault) : fault === null));
    if (fault === null) return;
    this.#exchange = null;
    exchange?.onClientGone();
  }

  /** Also before there is an exchange, and after it. */
  onFault(fault: unknown): void {
    const exchange = this.#exchange;
    if (exchange) return exchange.onFault(fault);
    this.#session.engine.context.onFault(fault);
    this.destroy();
  }

  bodyTimedOut(): void {
    this.#exchange?.onClientStalled();
  }

  /** Too much of what the client does not take waits on its connection, of this stream or of others. */
  onConnectionFull(): void {
    this.#exchange?.onClientFull();
  }

  onConnectionRoom(): void {
    if (this.#stream.isWritable()) this.#exchange?.onClientDrain();
  }

  abortForMemory(): void {
    this.#exchange?.abortForMemory();
  }

  /** The time to drain is over. */
  abortForDrain(): void {
    this.#exchange?.abortForDrain();
  }

  // ── As the exchange sees it ──────────────────────────────────────────────────────────────────────────────────

  get connectionInfo(): ConnectionInfo {
    return this.#session.connectionInfo;
  }

  get memory(): ConnectionMemory {
    return this.#session.memory;
  }

  get isHttp2(): boolean {
    return true;
  }

  /** Never asked: a request without a host is refused here. */
  get ownAuthority(): string {
    return '';
  }

  get mayPersist(): boolean {
    return true;
  }

  /** RFC 9113 8.1: the stream is reset once its response is complete, and no other notices. */
  get mayDiscardBody(): boolean {
    return true;
  }

  pause(): void {
    this.#stream.pause();
    this.#rate?.pause();
    this.deadline.clear();
  }

  resume(): void {
    if (this.#requestOver) return;
    this.#stream.resume();
    this.deadline.arm(this.#silence);
  }

  isCall(silenceMs: number): void {
    const calls = this.#session.clients.calls.of(silenceMs);
    if (this.deadline.isArmedIn(this.#silence)) this.deadline.arm(calls);
    this.#silence = calls;
    this.#rate = null;
  }

  get #date(): string {
    return dateOf(this.#session.engine.context.now());
  }

  askForBody(): void {
    this.#stream.fields([':status', '100'], false);
  }

  interim(head: ResponseHead, bytes: Buffer, base: number): void {
    this.#stream.fields(responseFields(head, bytes, base, ''), false);
  }

  head(
    head: ResponseHead,
    bytes: Buffer,
    base: number,
    _framing: unknown,
    _word: unknown,
    edit: HeadEdit | null,
  ): void {
    this.#head = responseFields(head, bytes, base, head.hasDate ? '' : this.#date, edit);
  }

  content(bytes: Buffer, from: number, to: number): void {
    // Behind a head that may still be taken back it waits; and these bytes are gone when the call returns.
    if (this.#head) (this.#content ??= new EarlyContent()).add(bytes, from, to);
    else this.#stream.write(bytes, from, to, false);
  }

  done(trailers: Trailers): void {
    this.#done = true;
    this.#trailers = trailerFields(trailers);
  }

  respond({ status, fields, body }: LocalResponse, _word: unknown, isHead: boolean): void {
    this.#head = [':status', String(status)];
    for (const [name, value] of fields) this.#head.push(name.toLowerCase(), value);
    this.#head.push('date', this.#date);
    this.#dropContent();
    if (!isHead && body !== '') this.content(Buffer.from(body, 'latin1'), 0, body.length);
    this.#done = true;
  }

  send(): boolean {
    const stream = this.#stream;
    if (this.#head) {
      const head = this.#head;
      const content = this.#content;
      this.#head = this.#content = null;
      const ends = this.#done && !this.#trailers;
      stream.fields(head, ends && content === null);
      if (content !== null) {
        stream.write(content.bytes, 0, content.length, ends);
        content.giveBack();
      }
    }
    if (!this.#done) return stream.isWritable() && !this.memory.unsent.isFull;
    stream.end(this.#trailers);
    return true;
  }

  #dropContent(): void {
    this.#content?.giveBack();
    this.#content = null;
  }

  onBackpressure(): void {
    this.deadline.arm(this.#session.clients.bodies);
  }

  onDrained(): void {
    // Now it may be the rest of the request that is waited for.
    if (this.#requestOver || this.#stream.isPaused) this.deadline.clear();
    else this.deadline.arm(this.#silence);
  }

  switchToTunnel(): { readonly end: TunnelEnd; readonly early: Buffer } {
    this.#tunnelEnd = new StreamEnd(this.#stream);
    this.#stream.resume();
    if (this.#endedEarly) process.nextTick(() => this.onEnd());
    return { end: this.#tunnelEnd, early: NOTHING };
  }

  exchangeOver(): void {
    this.#exchange = null;
    this.#dropContent();
    this.#batch?.close();
    this.deadline.clear();
    this.#stream.abandon();
    // A client that takes nothing keeps what was written for it, for a while.
    if (this.#stream.hasQueue) this.deadline.arm(this.#session.clients.leftovers);
  }

  abort(): void {
    this.destroy();
  }

  destroy(): void {
    this.#exchange = null;
    this.#dropContent();
    this.#batch?.close();
    if (!this.#tunnelEnd?.saidFarewell) this.#stream.reset(ErrorCode.internalError);
  }
}

/** How a stream may end whose response is complete: what else there is breaks a rule. */
function isHarmless(fault: ErrorCode | null): boolean {
  return fault === null || fault === ErrorCode.noError || fault === ErrorCode.cancel;
}

const NOTHING = Buffer.alloc(0);
