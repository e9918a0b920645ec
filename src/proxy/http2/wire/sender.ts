import { HpackEncoder, sizeBound } from '../hpack/encoder.ts';
import {
  FIRST_WINDOW,
  FRAME_BYTES,
  FrameType,
  FrameFlag,
  HEADER_BYTES,
  LARGEST_WINDOW,
  writeHeader,
} from './frame.ts';
import type { Outbox } from './outbox.ts';
import type { Http2Stream } from './stream.ts';

/** Content is put into the outbox up to this; the heads of responses are not held back. */
export const OUTBOX_BYTES = 192 * 1024;
/** From here on streams are asked to wait, so that what one more read brings does not have to be kept elsewhere. */
const CROWDED_BYTES = 96 * 1024;
/** What a stream that goes on may bring at once. */
const READ_BYTES = 64 * 1024;

/** What the streams of a connection send, within the windows that the peer opens (RFC 9113 5.2). */
export class Sender {
  readonly #outbox: Outbox;
  readonly #encoder = new HpackEncoder();
  #window = FIRST_WINDOW;
  /** Streams that have something to send and a window of their own for it, or could go on. */
  readonly #waiting = new Set<Http2Stream>();
  /** Each DATA frame may bring two WINDOW_UPDATE frames, of its stream and of the connection. */
  #updatesExpected = 0;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setTableBytes(bytes: number): void {
    this.#encoder.setTableBytes(bytes);
  }

  /** Bytes of content that may be sent now. */
  get sendable(): number {
    return Math.min(this.#window, OUTBOX_BYTES - this.#outbox.length);
  }

  /** There is still room, but little, or others wait for it. */
  get isCrowded(): boolean {
    return this.#waiting.size > 0 || this.#outbox.length >= CROWDED_BYTES;
  }

  fields(stream: number, fields: readonly string[], ended: boolean): void {
    const outbox = this.#outbox;
    const bytes = outbox.reserve(HEADER_BYTES + sizeBound(fields));
    const { at } = outbox;
    const end = this.#encoder.encode(fields, bytes, at + HEADER_BYTES);
    const length = end - at - HEADER_BYTES;
    const flags = ended ? FrameFlag.endStream : 0;
    if (length <= FRAME_BYTES) {
      writeHeader(bytes, at, length, FrameType.headers, flags | FrameFlag.endHeaders, stream);
      return outbox.commit(HEADER_BYTES + length);
    }
    const block = Buffer.from(bytes.subarray(at + HEADER_BYTES, end));
    outbox.frame(FrameType.headers, flags, stream, block, 0, FRAME_BYTES);
    for (let from = FRAME_BYTES; from < length; from += FRAME_BYTES) {
      const to = Math.min(length, from + FRAME_BYTES);
      outbox.frame(FrameType.continuation, to === length ? FrameFlag.endHeaders : 0, stream, block, from, to);
    }
  }

  /** Within `sendable`. */
  content(stream: number, bytes: Buffer, from: number, to: number, ended: boolean): void {
    this.#window -= to - from;
    this.#updatesExpected += 2;
    this.#outbox.frame(FrameType.data, ended ? FrameFlag.endStream : 0, stream, bytes, from, to);
  }

  /** The stream goes on as soon as there is room. */
  wait(stream: Http2Stream): void {
    this.#waiting.add(stream);
  }

  forget(stream: Http2Stream): void {
    this.#waiting.delete(stream);
  }

  /** There may be room again: what waits is sent, and at the end of the turn others go on. */
  pump(): void {
    this.#sendQueues();
    if (this.#waiting.size > 0) this.#outbox.schedule();
  }

  /** The end of a turn: as many streams of which nothing waits go on as there is room for a read of each. */
  turn(): void {
    this.#sendQueues();
    let length = this.#outbox.length;
    for (const stream of this.#waiting) {
      if (length >= CROWDED_BYTES) break;
      if (stream.hasQueue) continue;
      this.#waiting.delete(stream);
      length += READ_BYTES;
      stream.goOn();
    }
    // Those who go on may have nothing to send.
    if (this.#waiting.size > 0 && length > this.#outbox.length) this.#outbox.schedule();
  }

  /** Gives every stream that something waits of its turn, a frame at a time. */
  #sendQueues(): void {
    for (const stream of this.#waiting) {
      if (this.sendable <= 0) return;
      if (!stream.hasQueue) continue;
      this.#waiting.delete(stream);
      stream.pump();
      if (!stream.isClosed && (!stream.hasQueue || stream.window > 0)) this.#waiting.add(stream);
    }
  }

  /** The window of the connection grew by so much; false when it must not. */
  widen(by: number): boolean {
    this.#window += by;
    return this.#window <= LARGEST_WINDOW;
  }

  /** Whether there was a reason for a WINDOW_UPDATE. */
  isExpected(): boolean {
    if (this.#updatesExpected === 0) return false;
    this.#updatesExpected--;
    return true;
  }
}
