import type { ByteSocket } from '../../sockets/byte-socket.ts';
import type { ByteCount } from '../../connection-memory.ts';
import { HpackDecoder } from '../hpack/decoder.ts';
import type { ConnectionSettings, ConnectionUser } from './connection-user.ts';
import {
  ErrorCode,
  FIRST_WINDOW,
  FrameType,
  FrameFlag,
  LARGEST_STREAM,
  PREFACE,
  Setting,
  readUint31,
  readUint32,
} from './frame.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { HeaderBlock, fragmentOf } from './header-block.ts';
import { Outbox } from './outbox.ts';
import { PROBE, ReceiveWindow } from './receive-window.ts';
import { OUTBOX_BYTES, Sender } from './sender.ts';
import { type Settings, firstSettings, readSettings, settingsPayload } from './http2-settings.ts';
import { CREDIT_FROM, Http2Stream } from './stream.ts';

/** Streams that we have reset, whose frames may still be on their way (RFC 9113 5.4.2). */
const MOST_REMEMBERED = 1_024;

/** One connection of HTTP/2, of either side: frames in, frames out, and the windows of all its streams. */
export class Http2Connection implements FrameSink {
  readonly #socket: ByteSocket;
  readonly #user: ConnectionUser;
  readonly #settings: ConnectionSettings;
  readonly outbox: Outbox;
  readonly sender: Sender;
  readonly receiveWindow: ReceiveWindow;
  readonly #reader: FrameReader;
  readonly #decoder: HpackDecoder;
  /** What the peer wants of us. */
  readonly remote: Settings = firstSettings();
  #settled = false;
  readonly #streams = new Map<number, Http2Stream>();
  #lastRemote = 0;
  #nextLocal = 1;
  readonly #reset = new Set<number>();
  #receiveWindow: number;
  #consumed = 0;
  #block: HeaderBlock | null = null;
  /** Frames so far, where those of a field section are one. */
  #finished = 0;
  /** Of the DATA frame that is coming; null when its content goes nowhere. */
  #dataStream: Http2Stream | null = null;
  #dataEnds = false;
  #dataUnread = 0;
  /** Has content that was not flushed. */
  #touched: Http2Stream | null = null;
  #phase: 'open' | 'closing' | 'over' = 'open';

  constructor(socket: ByteSocket, settings: ConnectionSettings, user: ConnectionUser) {
    this.#socket = socket;
    this.#settings = settings;
    this.#user = user;
    this.outbox = new Outbox(socket, () => this.#turn());
    this.sender = new Sender(this.outbox);
    this.receiveWindow = new ReceiveWindow(settings.streamWindow, settings.mostStreamWindow);
    this.#reader = new FrameReader(this, settings.role === 'server', settings.memory);
    this.#decoder = new HpackDecoder(4_096, settings);
    this.#receiveWindow = settings.window;
    this.#begin();
  }

  #begin(): void {
    const { role, streams, headBytes, window, streamWindow } = this.#settings;
    const { outbox } = this;
    if (role === 'client') {
      PREFACE.copy(outbox.reserve(PREFACE.length), outbox.at);
      outbox.commit(PREFACE.length);
    }
    const own =
      role === 'client'
        ? ([[Setting.enablePush, 0]] as const)
        : ([
            [Setting.maxConcurrentStreams, streams],
            [Setting.enableConnectProtocol, 1],
          ] as const);
    const ownWindow =
      streamWindow === FIRST_WINDOW ? [] : ([[Setting.initialWindowSize, streamWindow]] as const);
    const payload = settingsPayload([...own, ...ownWindow, [Setting.maxHeaderListSize, headBytes]]);
    outbox.frame(FrameType.settings, 0, 0, payload, 0, payload.length);
    outbox.numbers(FrameType.windowUpdate, 0, window - FIRST_WINDOW);
  }

  get isOpen(): boolean {
    return this.#phase === 'open';
  }

  /** Of a frame or field section of which a part is there, a number of its own; 0 when there is none. */
  get unfinished(): number {
    return this.#reader.isMidway || this.#block ? this.#finished + 1 : 0;
  }

  /** Bytes from the socket, gone when the call returns. */
  read(bytes: Buffer, length: number): void {
    this.#reader.read(bytes, length);
    this.#flushTouched();
    // Who sends and does not read must not fill our memory with what we say to it.
    if (this.outbox.length > 2 * OUTBOX_BYTES && this.#phase !== 'over') this.#socket.pause();
  }

  // ── What we send ─────────────────────────────────────────────────────────────────────────────────────────────

  /** A stream of ours, not open before its fields are sent. */
  open(memory: ByteCount | null): Http2Stream | null {
    if (this.#phase !== 'open' || this.#nextLocal > LARGEST_STREAM) return null;
    const stream = new Http2Stream(this, this.#nextLocal, this.remote.initialWindow, memory, memory);
    this.#streams.set(this.#nextLocal, stream);
    this.#nextLocal += 2;
    return stream;
  }

  sendReset(stream: number, code: ErrorCode): void {
    if (this.#phase === 'over') return;
    this.outbox.numbers(FrameType.reset, stream, code);
    if (this.#reset.size === MOST_REMEMBERED) {
      for (const oldest of this.#reset) {
        this.#reset.delete(oldest);
        break;
      }
    }
    this.#reset.add(stream);
  }

  forget(stream: Http2Stream): void {
    this.#streams.delete(stream.id);
    this.sender.forget(stream);
    if (this.#dataStream === stream) this.#dataStream = null;
    if (this.#touched === stream) this.#touched = null;
    if (this.#phase === 'closing' && this.#streams.size === 0) this.#over();
  }

  /** The socket takes more. */
  onDrain(): void {
    if (this.#phase === 'over') return;
    this.sender.pump();
    this.#sent();
  }

  /** What the streams said in this turn was written. */
  #turn(): void {
    if (this.#phase === 'over') return;
    this.sender.turn();
    this.#sent();
  }

  #sent(): void {
    this.#settings.memory?.setQueued(this.outbox.length);
    if (this.#socket.isPaused && this.outbox.length <= OUTBOX_BYTES) this.#socket.resume();
  }

  onCredit(): void {
    if (this.#phase === 'over' || !this.receiveWindow.begins(performance.now())) return;
    this.outbox.numbers(FrameType.ping, 0, 0, PROBE);
  }

  /** The peer may send so much more, over all streams. */
  consumed(length: number): void {
    this.#consumed += length;
    if (this.#consumed < CREDIT_FROM || this.#phase === 'over') return;
    this.outbox.numbers(FrameType.windowUpdate, 0, this.#consumed);
    this.#receiveWindow += this.#consumed;
    this.#consumed = 0;
  }

  /** RFC 9113 6.8: the next requests are better sent elsewhere. Those on their way have come by the time of `onPong`. */
  announceClose(): void {
    if (this.#phase !== 'open') return;
    this.outbox.numbers(FrameType.goaway, 0, LARGEST_STREAM, ErrorCode.noError);
    this.outbox.numbers(FrameType.ping, 0, 0, 0);
  }

  /** Takes no more streams; `onOver` when those there are have ended. */
  close(): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'closing';
    this.outbox.numbers(FrameType.goaway, 0, this.#lastRemote, ErrorCode.noError);
    if (this.#streams.size === 0) this.#over();
  }

  /** Ends it and all its streams; the peer is told why. */
  fail(code: ErrorCode): void {
    if (this.#phase === 'over') return;
    this.outbox.numbers(FrameType.goaway, 0, this.#lastRemote, code);
    this.lost(code);
  }

  /** There is nobody to tell. */
  lost(code: ErrorCode): void {
    if (this.#phase === 'over') return;
    this.#over();
    for (const stream of this.#streams.values()) stream.lost(code);
  }

  #over(): void {
    this.#phase = 'over';
    this.#reader.stop();
    this.outbox.flush();
    this.#user.onOver();
  }

  // ── What comes ───────────────────────────────────────────────────────────────────────────────────────────────

  onFault(code: ErrorCode): void {
    this.fail(code);
  }

  onData(id: number, length: number, content: number, flags: number): void {
    const stream = this.#streams.get(id) ?? null;
    if (this.#touched !== stream) this.#flushTouched();
    if (!this.#settled || id === 0 || this.#block) return this.fail(ErrorCode.protocolError);
    this.receiveWindow.came(length);
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) return this.fail(ErrorCode.flowControlError);
    this.#dataUnread = length;
    this.#dataEnds = (flags & FrameFlag.endStream) !== 0;
    this.#dataStream = null;
    if (content === 0 && !this.#dataEnds) this.#user.onCheapFrame('idleFrames');
    if (!stream) return this.#closedStream(id);
    if (stream.remoteEnded) return stream.reset(ErrorCode.streamClosed);
    if (!stream.takes(length)) return stream.reset(ErrorCode.flowControlError);
    this.#dataStream = stream;
  }

  onDataContent(bytes: Buffer, from: number, to: number): void {
    const stream = this.#dataStream;
    if (!stream) return;
    this.#dataUnread -= to - from;
    this.#touched = stream;
    stream.content(bytes, from, to);
  }

  onDataDone(): void {
    const stream = this.#dataStream;
    // Padding, and what nobody wanted.
    if (this.#dataUnread > 0) {
      if (stream) stream.consumed(this.#dataUnread);
      else this.consumed(this.#dataUnread);
    }
    this.#dataStream = null;
    if (!stream || !this.#dataEnds) return;
    this.#touched = null;
    stream.receiveEnd();
  }

  #flushTouched(): void {
    const stream = this.#touched;
    this.#touched = null;
    stream?.flush();
  }

  /** Something came for a stream that is not there. */
  #closedStream(id: number): void {
    if (this.#isIdle(id)) return this.fail(ErrorCode.protocolError);
    this.#user.onCheapFrame('idleFrames');
    if (this.#settings.role === 'server' && !this.#reset.has(id) && this.#phase === 'open')
      this.fail(ErrorCode.streamClosed);
  }

  /** No HEADERS have opened it. */
  #isIdle(id: number): boolean {
    if (this.#settings.role === 'client') return id % 2 === 0 || id >= this.#nextLocal;
    return id % 2 === 0 || id > this.#lastRemote;
  }

  onFrame(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    this.#flushTouched();
    if (!this.#block) this.#finished++;
    const isFirst = !this.#settled;
    if (isFirst && (type !== FrameType.settings || (flags & FrameFlag.ack) !== 0))
      return this.fail(ErrorCode.protocolError);
    if (this.#block && type !== FrameType.continuation) return this.fail(ErrorCode.protocolError);
    const length = to - from;
    switch (type) {
      case FrameType.headers:
        return this.#onHeaders(flags, id, bytes, from, to);
      case FrameType.continuation:
        return this.#onContinuation(flags, id, bytes, from, to);
      case FrameType.priority:
        if (id === 0) return this.fail(ErrorCode.protocolError);
        this.#user.onCheapFrame('idleFrames');
        if (length !== 5) return this.#streamFault(id, ErrorCode.frameSizeError);
        if (readUint31(bytes, from) === id) this.#streamFault(id, ErrorCode.protocolError);
        return;
      case FrameType.reset: {
        if (length !== 4) return this.fail(ErrorCode.frameSizeError);
        if (id === 0 || this.#isIdle(id)) return this.fail(ErrorCode.protocolError);
        const stream = this.#streams.get(id);
        if (!stream) return this.#user.onCheapFrame('idleFrames');
        return stream.closed(readUint32(bytes, from) as ErrorCode);
      }
      case FrameType.settings:
        return this.#onSettings(flags, id, bytes, from, to);
      case FrameType.ping:
        if (length !== 8) return this.fail(ErrorCode.frameSizeError);
        if (id !== 0) return this.fail(ErrorCode.protocolError);
        if ((flags & FrameFlag.ack) !== 0 && this.#isProbe(bytes, from)) return;
        this.#user.onCheapFrame('pings');
        if ((flags & FrameFlag.ack) !== 0) return this.#user.onPong();
        if (this.#phase !== 'over') this.outbox.frame(FrameType.ping, FrameFlag.ack, 0, bytes, from, to);
        return;
      case FrameType.goaway:
        if (length < 8) return this.fail(ErrorCode.frameSizeError);
        if (id !== 0) return this.fail(ErrorCode.protocolError);
        return this.#onGoaway(readUint31(bytes, from));
      case FrameType.windowUpdate:
        if (length !== 4) return this.fail(ErrorCode.frameSizeError);
        return this.#onWindowUpdate(id, readUint31(bytes, from));
      case FrameType.pushPromise:
        return this.fail(ErrorCode.protocolError);
      default:
        // RFC 9113 4.1: what nobody knows is nothing.
        this.#user.onCheapFrame('idleFrames');
    }
  }

  #isProbe(bytes: Buffer, at: number): boolean {
    return this.receiveWindow.answered(readUint32(bytes, at + 4), performance.now());
  }

  #streamFault(id: number, code: ErrorCode): void {
    const stream = this.#streams.get(id);
    if (stream) stream.reset(code);
    else if (this.#isIdle(id)) this.fail(code);
  }

  #onHeaders(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (id === 0 || id % 2 === 0) return this.fail(ErrorCode.protocolError);
    const fragment = fragmentOf(flags, bytes, from, to);
    if (typeof fragment === 'number') return this.fail(fragment);
    const ended = (flags & FrameFlag.endStream) !== 0;
    const fault = fragment.dependsOn === id ? ErrorCode.protocolError : null;
    if ((flags & FrameFlag.endHeaders) !== 0)
      return this.#decode(id, ended, fault, bytes, fragment.from, fragment.to);
    const mostBytes = 2 * this.#settings.headBytes;
    this.#block = new HeaderBlock(id, ended, fault, mostBytes, this.#settings.memory);
    this.#block.add(bytes, fragment.from, fragment.to);
  }

  #onContinuation(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    const block = this.#block;
    if (!block || block.stream !== id) return this.fail(ErrorCode.protocolError);
    if (!block.add(bytes, from, to)) return this.fail(ErrorCode.enhanceYourCalm);
    if ((flags & FrameFlag.endHeaders) === 0) return;
    this.#block = null;
    this.#decode(id, block.ended, block.fault, block.bytes, 0, block.length);
    block.drop();
  }

  /** A field section is all there. It is decoded whatever becomes of it: the next ones refer to it. */
  #decode(
    id: number,
    ended: boolean,
    fault: ErrorCode | null,
    bytes: Buffer,
    from: number,
    to: number,
  ): void {
    const head = this.#decoder.decode(bytes, from, to);
    if (head.kind === 'malformed') return this.fail(ErrorCode.compressionError);
    const stream = this.#streams.get(id);
    if (stream) {
      if (stream.remoteEnded) return stream.reset(ErrorCode.streamClosed);
      if (fault !== null) return stream.reset(fault);
      // The rest of this read may belong to it.
      if (!ended) this.#touched = stream;
      return stream.receiveFields(head, ended);
    }
    if (this.#settings.role === 'client' || id <= this.#lastRemote) return this.#closedStream(id);
    this.#lastRemote = id;
    if (this.#phase !== 'open') return;
    if (fault !== null) {
      this.sendReset(id, fault);
      return this.#user.onCheapFrame('resets');
    }
    if (this.#streams.size >= this.#settings.streams) {
      this.sendReset(id, ErrorCode.refusedStream);
      return this.#user.onCheapFrame('refused');
    }
    const { memory } = this.#settings;
    const begun = new Http2Stream(this, id, this.remote.initialWindow, memory, memory?.unsent ?? null);
    begun.isIdle = false;
    begun.remoteEnded = ended;
    this.#streams.set(id, begun);
    this.#user.onRequest(begun, head, ended);
  }

  #onSettings(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (id !== 0) return this.fail(ErrorCode.protocolError);
    if ((flags & FrameFlag.ack) !== 0) return to > from ? this.fail(ErrorCode.frameSizeError) : undefined;
    const before = this.remote.initialWindow;
    const sender = this.#settings.role === 'server' ? 'client' : 'server';
    const fault = readSettings(this.remote, sender, bytes, from, to);
    if (fault !== null) return this.fail(fault);
    this.#settled = true;
    this.sender.setTableBytes(this.remote.leastTableBytes);
    this.sender.setTableBytes(this.remote.headerTableBytes);
    const by = this.remote.initialWindow - before;
    if (by !== 0) {
      for (const stream of this.#streams.values()) {
        if (!stream.widen(by)) return this.fail(ErrorCode.flowControlError);
      }
    }
    this.outbox.frame(FrameType.settings, FrameFlag.ack, 0, bytes, 0, 0);
    this.sender.pump();
    this.#user.onCheapFrame('settings');
    if (this.#phase !== 'over') this.#user.onSettings();
  }

  #onGoaway(last: number): void {
    // First of all: what comes back from the streams below must not be begun here again.
    this.#user.onGoaway();
    if (this.#settings.role === 'server') return;
    // RFC 9113 6.8: it has done nothing with these, and will not.
    for (const [id, stream] of this.#streams) if (id > last) stream.closed(ErrorCode.refusedStream);
  }

  #onWindowUpdate(id: number, by: number): void {
    if (!this.sender.isExpected()) this.#user.onCheapFrame('idleFrames');
    if (id === 0) {
      if (by === 0) return this.fail(ErrorCode.protocolError);
      return this.sender.widen(by) ? this.sender.pump() : this.fail(ErrorCode.flowControlError);
    }
    const stream = this.#streams.get(id);
    if (!stream) return this.#isIdle(id) ? this.fail(ErrorCode.protocolError) : undefined;
    if (by === 0) return stream.reset(ErrorCode.protocolError);
    if (!stream.widen(by)) return stream.reset(ErrorCode.flowControlError);
    if (stream.hasQueue) this.sender.pump();
  }
}
