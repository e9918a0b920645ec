import type { ByteCount } from '../../connection-memory.ts';
import { PendingBytes } from '../../pending-bytes.ts';
import type { Decoded } from '../hpack/decoder.ts';
import type { Outbox } from './outbox.ts';
import { ErrorCode, FIRST_WINDOW, FRAME_BYTES, FrameType, LARGEST_WINDOW } from './frame.ts';
import type { ReceiveWindow } from './receive-window.ts';

/** Whose stream it is. Bytes it is shown are gone when the call returns. */
export interface StreamUser {
  /** A field section after the one that began the stream; `ended` when nothing follows it. */
  onFields(head: Decoded, ended: boolean): void;
  onContent(bytes: Buffer, from: number, to: number): void;
  /** No more of this read. */
  onFlush(): void;
  /** The peer has sent all of its side. */
  onEnd(): void;
  /** What `write` could not send at once has left. */
  onDrain(): void;
  /** Both sides are over; `fault` says that it was before their time. Nothing comes after it. */
  onClosed(fault: ErrorCode | null): void;
  /** One of these threw. The connection goes on: what it does next is for other streams. */
  onFault(fault: unknown): void;
}

/**
 * Half of a window that nobody has changed, and as little for connections: where streams hold most of their window, more
 * will not be taken before the peer is told of new room.
 */
export const CREDIT_FROM = FIRST_WINDOW >>> 1;

/** The states of RFC 9113 5.1. Nothing is pushed, so none is reserved. */
export type StreamState = 'idle' | 'open' | 'half-closed (local)' | 'half-closed (remote)' | 'closed';

/** The connection, as its streams see it. */
export interface StreamCarrier {
  readonly outbox: Outbox;
  readonly sender: {
    /** Bytes of content that may be sent now. */
    readonly sendable: number;
    /** There is still room, but little. */
    readonly isCrowded: boolean;
    fields(stream: number, fields: readonly string[], ended: boolean): void;
    content(stream: number, bytes: Buffer, from: number, to: number, ended: boolean): void;
    wait(stream: Http2Stream): void;
  };
  /** For what the peer sends on each stream. */
  readonly receiveWindow: ReceiveWindow;
  /** The peer was told of new room on a stream. */
  onCredit(): void;
  sendReset(stream: number, code: ErrorCode): void;
  /** So much of what the peer sent is taken. */
  consumed(length: number): void;
  forget(stream: Http2Stream): void;
}

/**
 * One stream of a connection (RFC 9113 5): its windows, and what waits for them.
 *
 *                            idle
 *                             │ HEADERS, ours or the peer's
 *                             ▼
 *             ┌───────────── open ─────────────┐
 *             │ our END_STREAM                 │ the peer's END_STREAM
 *             ▼                                ▼
 *     half-closed (local)            half-closed (remote)
 *             │ the peer's END_STREAM          │ our END_STREAM
 *             └───────────► closed ◄───────────┘
 *
 * RST_STREAM of either side, or the end of the connection, leads from everywhere to closed. Flags say the same and cost
 * less where frames are read; `state` is made of them. What came before the stream was closed may still be held for its
 * user, who is told with `onClosed` once it has all.
 */
export class Http2Stream {
  readonly id: number;
  readonly #connection: StreamCarrier;
  #user: StreamUser | null = null;
  /** What the peer lets us send of content; a change of its settings can make it negative. */
  window: number;
  /** For what the peer sends: how large it is, and what is left of it. */
  #windowSize: number;
  #receiveWindow: number;
  /** Taken, and not told the peer yet. */
  #consumed = 0;
  /** No HEADERS yet. */
  isIdle = true;
  /** The peer has sent its END_STREAM. */
  remoteEnded = false;
  /** Ours is in the outbox. */
  #localEnded = false;
  #isClosed = false;
  /** What is still to come is not wanted. */
  #abandoned = false;

  /** What waits for a window, in one piece like what is held, and how far it has left. */
  readonly #queue: PendingBytes;
  #left = 0;
  #endQueued = false;
  #trailers: readonly string[] | null = null;

  /** What came while nobody took it: in one piece, so that many small frames take no more than few large ones. */
  readonly #held: PendingBytes;
  #isPaused = false;
  #endHeld = false;
  #fieldsHeld: Decoded | null = null;

  /** `received` is told what is held of what the peer sent, `unsent` what waits for its windows. */
  constructor(
    connection: StreamCarrier,
    id: number,
    window: number,
    received: ByteCount | null,
    unsent: ByteCount | null,
  ) {
    this.#held = new PendingBytes(received);
    this.#queue = new PendingBytes(unsent);
    this.#windowSize = this.#receiveWindow = connection.receiveWindow.first;
    this.#connection = connection;
    this.id = id;
    this.window = window;
  }

  set user(user: StreamUser) {
    this.#user = user;
  }

  /** For people and tests: the flags are what decides. */
  get state(): StreamState {
    if (this.#isClosed || (this.#localEnded && this.remoteEnded)) return 'closed';
    if (this.#localEnded) return 'half-closed (local)';
    if (this.remoteEnded) return 'half-closed (remote)';
    return this.isIdle ? 'idle' : 'open';
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Something that `write` was given does not fit into the windows. */
  get hasQueue(): boolean {
    return this.#queue.length > 0;
  }

  /** False when the writer should wait for `onDrain`. */
  isWritable(): boolean {
    if (this.hasQueue) return false;
    const { sender } = this.#connection;
    if (this.#isClosed || !sender.isCrowded) return true;
    sender.wait(this);
    return false;
  }

  // ── What we send ─────────────────────────────────────────────────────────────────────────────────────────────

  /** A head, or trailers where `ended`; none while content is blocked, but by `end`. */
  fields(fields: readonly string[], ended: boolean): void {
    if (this.#isClosed || this.#localEnded) return;
    this.isIdle = false;
    this.#connection.sender.fields(this.id, fields, ended);
    if (ended) this.#ourEnd();
  }

  /** Sends as much as the windows allow, and keeps the rest; `last` when it is the end of our side too. */
  write(bytes: Buffer, from: number, to: number, last: boolean): void {
    if (this.#isClosed || this.#localEnded || from === to) return last ? this.end(null) : undefined;
    const at = this.hasQueue ? from : this.#fill(bytes, from, to, last);
    if (this.#localEnded || at === to) return;
    this.#queue.add(bytes, at, to);
    this.#endQueued = last;
    if (this.window > 0) this.#connection.sender.wait(this);
  }

  /** The end of our side, after all that was written. */
  end(trailers: readonly string[] | null): void {
    if (this.#isClosed || this.#localEnded) return;
    this.#trailers = trailers;
    this.#endQueued = true;
    if (!this.hasQueue) this.#sendEnd();
  }

  /** Sends what waits, as far as one frame and the windows allow. */
  pump(): void {
    const { bytes, length } = this.#queue;
    const to = Math.min(length, this.#left + FRAME_BYTES);
    const last = this.#endQueued && !this.#trailers && to === length;
    this.#left = this.#fill(bytes, this.#left, to, last);
    if (this.#left < length) return;
    this.#queue.clear();
    this.#left = 0;
    if (this.#endQueued && !this.#localEnded) this.#sendEnd();
  }

  /** Nothing waits, and there is room for more. */
  goOn(): void {
    try {
      this.#user?.onDrain();
    } catch (fault) {
      this.#user?.onFault(fault);
    }
  }

  /** Gives how far it came. */
  #fill(bytes: Buffer, from: number, to: number, last: boolean): number {
    const { sender } = this.#connection;
    let at = from;
    while (at < to) {
      const length = Math.min(to - at, FRAME_BYTES, this.window, sender.sendable);
      if (length <= 0) return at;
      const ends = last && at + length === to;
      sender.content(this.id, bytes, at, at + length, ends);
      this.window -= length;
      at += length;
      if (ends) this.#ourEnd();
    }
    return at;
  }

  #sendEnd(): void {
    if (this.#trailers) this.#connection.sender.fields(this.id, this.#trailers, true);
    else this.#connection.sender.content(this.id, NOTHING, 0, 0, true);
    this.#ourEnd();
  }

  #ourEnd(): void {
    this.#localEnded = true;
    if (this.remoteEnded && this.#held.length === 0 && !this.#endHeld) this.closed(null);
    // RFC 9113 8.1: the answer is complete, and the rest of the request makes no difference.
    else if (this.#abandoned && !this.remoteEnded) this.reset(ErrorCode.noError);
  }

  /** The window grew by so much; false when it must not. */
  widen(by: number): boolean {
    this.window += by;
    if (this.window > LARGEST_WINDOW) return false;
    if (this.window > 0 && this.hasQueue) this.#connection.sender.wait(this);
    return true;
  }

  // ── What the peer sends ──────────────────────────────────────────────────────────────────────────────────────

  /** A DATA frame of this size begins; false when it does not fit. */
  takes(length: number): boolean {
    this.#receiveWindow -= length;
    return this.#receiveWindow >= 0;
  }

  content(bytes: Buffer, from: number, to: number): void {
    const waits = this.#isPaused || this.#held.length > 0;
    if (waits && !this.#abandoned) this.#held.add(bytes, from, to);
    else this.#give(bytes, from, to);
  }

  #give(bytes: Buffer, from: number, to: number): void {
    this.consumed(to - from);
    if (this.#abandoned) return;
    try {
      this.#user?.onContent(bytes, from, to);
    } catch (fault) {
      this.#user?.onFault(fault);
    }
  }

  flush(): void {
    if (this.#held.length > 0 || this.#abandoned || this.#isClosed) return;
    try {
      this.#user?.onFlush();
    } catch (fault) {
      this.#user?.onFault(fault);
    }
  }

  receiveFields(head: Decoded, ended: boolean): void {
    if (ended) this.remoteEnded = true;
    // RFC 9113 8.1: behind content there are only trailers.
    else if (this.#held.length > 0) return this.reset(ErrorCode.protocolError);
    if (this.#held.length > 0) this.#fieldsHeld = head;
    else if (!this.#abandoned) this.#tellFields(head, ended);
    if (ended) this.receiveEnd();
  }

  /** What its user makes of it concerns no other stream of the connection, whatever goes wrong there; so everywhere here. */
  #tellFields(head: Decoded, ended: boolean): void {
    try {
      this.#user?.onFields(head, ended);
    } catch (fault) {
      this.#user?.onFault(fault);
    }
  }

  #tellEnd(): void {
    try {
      this.#user?.onEnd();
    } catch (fault) {
      this.#user?.onFault(fault);
    }
  }

  receiveEnd(): void {
    this.remoteEnded = true;
    if (this.#isClosed) return;
    if (this.#held.length > 0) {
      this.#endHeld = true;
      return;
    }
    // First: the user that is told of the end must see a stream that is over.
    const isOver = this.#localEnded;
    if (isOver) this.#detach();
    if (!this.#abandoned) this.#tellEnd();
    if (isOver) this.#tellClosed(null);
  }

  /** Room for what the peer sends next. */
  consumed(length: number): void {
    this.#connection.consumed(length);
    this.#consumed += length;
    if (this.#consumed < Math.max(CREDIT_FROM, this.#windowSize >>> 2) || this.remoteEnded || this.#isClosed)
      return;
    const growth = Math.max(0, this.#connection.receiveWindow.size - this.#windowSize);
    const credit = this.#consumed + growth;
    this.#connection.outbox.numbers(FrameType.windowUpdate, this.id, credit);
    this.#windowSize += growth;
    this.#receiveWindow += credit;
    this.#consumed = 0;
    this.#connection.onCredit();
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** What comes is held, as much as the window lets it be. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#held.length > 0) process.nextTick(() => this.#deliver());
  }

  #deliver(): void {
    const { bytes, length } = this.#held;
    if (length === 0 || this.#isPaused) return;
    this.#held.clear();
    this.#give(bytes, 0, length);
    if (this.#isClosed) return;
    if (!this.#endHeld) return this.flush();
    const fields = this.#fieldsHeld;
    this.#fieldsHeld = null;
    if (fields) this.#tellFields(fields, true);
    this.#endHeld = false;
    this.receiveEnd();
  }

  /** Nothing more of what the peer sends is wanted; it is told so once our side is over. */
  abandon(): void {
    this.#abandoned = true;
    this.#isPaused = false;
    this.consumed(this.#held.length);
    this.#held.clear();
    this.#endHeld = false;
    if (this.#isClosed || !this.#localEnded) return;
    if (this.remoteEnded) this.closed(null);
    else this.reset(ErrorCode.noError);
  }

  // ── The end ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Ends it for both sides, and tells the peer. */
  reset(code: ErrorCode): void {
    if (this.#isClosed) return;
    this.#connection.sendReset(this.id, code);
    this.closed(code);
  }

  /** The peer has reset it, or the connection is gone. */
  closed(fault: ErrorCode | null): void {
    if (this.#isClosed) return;
    this.#detach();
    this.#tellClosed(fault);
  }

  #tellClosed(fault: ErrorCode | null): void {
    try {
      this.#user?.onClosed(fault);
    } catch (thrown) {
      this.#user?.onFault(thrown);
    }
  }

  /** The connection is gone. What has come as a whole is given out all the same. */
  lost(fault: ErrorCode): void {
    if (!(this.#endHeld && this.#localEnded)) this.closed(fault);
  }

  #detach(): void {
    this.#isClosed = true;
    // Nobody will take these any more, and others need the room.
    this.#connection.consumed(this.#held.length);
    this.#held.clear();
    this.#queue.clear();
    this.#connection.forget(this);
  }
}

const NOTHING = Buffer.alloc(0);
