import { isGrpc } from '../../grpc.ts';
import { Deadline, type DeadlineList } from '../../deadlines.ts';
import type { Framing } from '../../http1/framing.ts';
import { PendingBytes } from '../../pending-bytes.ts';
import type { TimedUpstream } from '../../route-deadlines.ts';
import type { TunnelEnd } from '../../tunnel-end.ts';
import type { Upstream } from '../upstream.ts';
import type { Trailers } from '../../http1/field-block.ts';
import type { ReaderFault } from '../../native-record.ts';
import type { UpstreamFailure, UpstreamUser } from '../upstream-user.ts';
import {
  type Fields,
  NO_TRAILERS,
  connectFields,
  readTrailers,
  requestFields,
  trailerFields,
} from '../../http2/fields.ts';
import type { Decoded } from '../../http2/hpack/decoder.ts';
import { StreamEnd } from '../../http2/stream-end.ts';
import { http1Response, http1Switch } from '../../http2/text.ts';
import type { SessionStream, UpstreamSession } from './upstream-session.ts';
import { ErrorCode } from '../../http2/wire/frame.ts';
import type { Http2Stream, StreamUser } from '../../http2/wire/stream.ts';

/** 1xx responses to one request; more are an attempt to keep it for ever. */
const MOST_INTERIMS = 32;

/** One request to an upstream over HTTP/2, and the way of its response. */
export class UpstreamStream implements Upstream, SessionStream, StreamUser, TimedUpstream {
  #session: UpstreamSession;
  #user: UpstreamUser | null;
  #stream: Http2Stream | null = null;
  readonly deadline = new Deadline<TimedUpstream>(this);
  readonly connectMs: number;
  readonly reused: boolean;
  #responded = false;
  isCall = false;
  /** What is still to come of the body, where that was told; otherwise negative. */
  #lacking = -1;
  #interims = 0;
  #responseTrailers: Trailers = NO_TRAILERS;

  /** Put together, and not sent. */
  #head: Fields | null = null;
  #bodyFollows = false;
  #content: PendingBytes | null = null;
  #done = false;
  #trailers: Fields | null = null;
  /** Of the upgrade that is asked for as an extended CONNECT. */
  #webSocketKey: string | null = null;
  #tunnelEnd: StreamEnd | null = null;

  constructor(session: UpstreamSession, connectMs: number, user: UpstreamUser) {
    this.#session = session;
    this.connectMs = connectMs;
    this.#user = user;
    this.reused = session.hasServed;
    session.add(this);
  }

  get session(): UpstreamSession {
    return this.#session;
  }

  /** It waits for another connection than before. */
  moveTo(session: UpstreamSession): void {
    this.#session.delete(this);
    this.#session = session;
    session.add(this);
    if (session.isOpen) this.connected();
  }

  get isConnected(): boolean {
    return this.#session.isOpen;
  }

  connected(): void {
    this.#user?.onConnected();
  }

  // ── The request ──────────────────────────────────────────────────────────────────────────────────────────────

  head(text: string, bodyFollows: boolean): void {
    const { scheme, offersTunnels } = this.#session;
    const connect = offersTunnels && this.#user?.asksUpgrade ? connectFields(text, scheme) : null;
    this.#webSocketKey = connect ? connect.key : null;
    this.#head = connect ? connect.fields : requestFields(text, scheme);
    this.#bodyFollows = bodyFollows || connect !== null;
  }

  content(bytes: Buffer, from: number, to: number): void {
    // Before its head it waits; and these bytes are gone when the call returns.
    if (this.#stream) this.#stream.write(bytes, from, to, false);
    else (this.#content ??= new PendingBytes()).add(bytes, from, to);
  }

  done(trailers: Trailers): void {
    this.#done = true;
    this.#trailers = trailerFields(trailers);
  }

  send(): boolean {
    if (this.#head && !this.#open(this.#head)) return true;
    const stream = this.#stream;
    if (!stream || !this.#bodyFollows) return true;
    if (!this.#done) return stream.isWritable();
    stream.end(this.#trailers);
    return true;
  }

  #open(head: Fields): boolean {
    this.#head = null;
    const { memory } = this.#user ?? {};
    const stream = this.#session.begin(memory ?? null);
    if (!stream) {
      // The connection has just ended; nothing of the request left.
      process.nextTick(() => this.fail('unprocessed'));
      return false;
    }
    this.#stream = stream;
    stream.user = this;
    stream.fields(head, !this.#bodyFollows);
    const content = this.#content;
    if (content === null) return true;
    this.#content = null;
    stream.write(content.bytes, 0, content.length, this.#done && !this.#trailers);
    return true;
  }

  get queuedBytes(): number {
    return 0;
  }

  /** It is a frame at most. */
  readLittle(): void {}

  get isPaused(): boolean {
    return this.#stream?.isPaused ?? false;
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  startTimer(list: DeadlineList<TimedUpstream>): void {
    this.deadline.arm(list);
  }

  stopTimer(): void {
    this.deadline.clear();
  }

  release(): void {
    this.#leave(ErrorCode.cancel);
  }

  #leave(code: ErrorCode): void {
    this.#user = null;
    this.deadline.clear();
    this.#session.delete(this);
    if (!this.#tunnelEnd?.saidFarewell) this.#stream?.reset(code);
  }

  tunnelEnd(): TunnelEnd {
    if (!this.#stream) throw new TypeError('there is no tunnel before the request');
    return (this.#tunnelEnd = new StreamEnd(this.#stream));
  }

  // ── The response ─────────────────────────────────────────────────────────────────────────────────────────────

  onFields(decoded: Decoded, ended: boolean): void {
    const user = this.#user;
    if (!user) return;
    // RFC 8441 5: a tunnel is made of DATA.
    if (this.#tunnelEnd) return this.fail('incomplete-response');
    const { sessions } = this.#session;
    if (decoded.kind !== 'fields')
      return this.fail(this.#responded ? 'incomplete-response' : 'protocol-error');
    if (this.#responded) {
      const { limits, trailers: block } = sessions;
      const trailers = ended ? readTrailers(decoded.fields, block, limits.headBytes) : null;
      if (trailers) this.#responseTrailers = trailers;
      else this.fail('incomplete-response');
      return;
    }
    const { fields } = decoded;
    const key = this.#webSocketKey;
    const text = key === null ? http1Response(fields) : http1Switch(fields, key);
    const { head } = sessions;
    head.reset();
    if (text === null || head.read(text.bytes, 0, text.length, user) !== 'done')
      return this.fail('protocol-error');
    const { bytes, length } = text;
    if (head.status === 101) {
      this.deadline.clear();
      return user.onSwitch(head, bytes, 0, length, length);
    }
    if (head.status < 200) {
      if (ended || ++this.#interims > MOST_INTERIMS) return this.fail('protocol-error');
      return user.onInterim(head, bytes, 0);
    }
    this.isCall = isGrpc(fields);
    this.#responded = true;
    this.#lacking = contentOf(head.framing);
    user.onHead(head, bytes, 0);
  }

  onContent(bytes: Buffer, from: number, to: number): void {
    if (this.#tunnelEnd) return this.#user?.onTunnelBytes(bytes, from, to);
    const isTooMuch = this.#lacking >= 0 && (this.#lacking -= to - from) < 0;
    if (!this.#responded) this.fail('protocol-error');
    else if (isTooMuch) this.fail('incomplete-response');
    else this.#user?.onContent(bytes, from, to);
  }

  onFlush(): void {
    if (!this.#tunnelEnd && (this.#responded || this.#interims > 0)) this.#user?.onFlush();
  }

  onEnd(): void {
    if (this.#tunnelEnd) return this.#user?.onTunnelEnd();
    if (!this.#responded) this.fail('protocol-error');
    else if (this.#lacking > 0) this.fail('incomplete-response');
    else this.#user?.onDone(this.#responseTrailers, true);
  }

  onDrain(): void {
    this.#user?.onDrain();
  }

  // ── The ways it can go wrong ─────────────────────────────────────────────────────────────────────────────────

  timedOut(): void {
    // It may be the connection that is dead: others are not sent on it.
    this.#session.retire();
    this.fail('timed-out');
  }

  /** There is no connection, or none any more. */
  fail(failure: UpstreamFailure, fault: ReaderFault = ''): void {
    const user = this.#user;
    // RFC 9113 8.1.1
    this.#leave(failure === 'protocol-error' ? ErrorCode.protocolError : ErrorCode.cancel);
    user?.onUpstreamFailure(failure, fault);
  }

  onFault(fault: unknown): void {
    const user = this.#user;
    this.#leave(ErrorCode.internalError);
    if (user) user.onFault(fault);
    else this.#session.sessions.onFault(fault);
  }

  onClosed(fault: ErrorCode | null): void {
    if (!this.#user || (fault === null && !this.#tunnelEnd)) return;
    this.fail(
      this.#responded || this.#tunnelEnd ? 'incomplete-response' : failureOf(fault ?? ErrorCode.noError),
    );
  }
}

/** Negative when it is not known. Where there can be no body, what comes would be taken for the next response. */
function contentOf(framing: Framing): number {
  return framing.kind === 'length' ? framing.length : framing.kind === 'none' ? 0 : -1;
}

/** What became of a request that the upstream has not begun to answer. */
function failureOf(fault: ErrorCode): UpstreamFailure {
  switch (fault) {
    case ErrorCode.refusedStream:
      return 'unprocessed';
    case ErrorCode.protocolError:
    case ErrorCode.flowControlError:
    case ErrorCode.streamClosed:
    case ErrorCode.frameSizeError:
    case ErrorCode.compressionError:
      return 'protocol-error';
    default:
      return 'reset';
  }
}
