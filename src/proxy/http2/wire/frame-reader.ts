import type { ByteCount } from '../../connection-memory.ts';
import { PendingBytes } from '../../pending-bytes.ts';
import { ErrorCode, FRAME_BYTES, FrameType, FrameFlag, HEADER_BYTES, PREFACE, readUint31 } from './frame.ts';

/** Who is told of the frames. Bytes it is shown are gone when the call returns. */
export interface FrameSink {
  /** Any frame but DATA, whole. */
  onFrame(type: number, flags: number, stream: number, bytes: Buffer, from: number, to: number): void;
  /** A DATA frame begins; `length` counts its padding, as windows do, and `content` does not. */
  onData(stream: number, length: number, content: number, flags: number): void;
  onDataContent(bytes: Buffer, from: number, to: number): void;
  /** The frame that began is all there. */
  onDataDone(): void;
  /** What comes can not be read as frames. */
  onFault(code: ErrorCode): void;
}

/** Finds frames in the bytes of one connection. DATA passes in pieces as it comes; nothing of it is kept. */
export class FrameReader {
  readonly #sink: FrameSink;
  /** The beginning of a frame, or of the preface. */
  readonly #held: PendingBytes;
  #prefaceAwaited: boolean;
  #inData = false;
  #content = 0;
  #padding = 0;
  #stopped = false;

  /** `prefaced` where the peer begins with a preface, as clients do (RFC 9113 3.4). */
  constructor(sink: FrameSink, prefaced: boolean, memory: ByteCount | null) {
    this.#held = new PendingBytes(memory);
    this.#sink = sink;
    this.#prefaceAwaited = prefaced;
  }

  /** What comes from now on means nothing. */
  stop(): void {
    this.#stopped = true;
    this.#held.clear();
  }

  /** Part of a frame other than DATA is there. */
  get isMidway(): boolean {
    return this.#held.length > 0;
  }

  read(bytes: Buffer, end: number): void {
    let at = this.#held.length > 0 ? this.#goOn(bytes, 0, end) : 0;
    while (at < end && !this.#stopped) {
      if (this.#inData) {
        at = this.#readData(bytes, at, end);
        continue;
      }
      if (end - at < this.#wanted(bytes, at, end - at)) return this.#held.add(bytes, at, end);
      at = this.#take(bytes, at);
    }
  }

  /** Adds to what is held just what it lacks, so that the rest is read where it is. */
  #goOn(bytes: Buffer, from: number, end: number): number {
    const held = this.#held;
    let at = from;
    for (;;) {
      const lacking = this.#wanted(held.bytes, 0, held.length) - held.length;
      if (lacking <= 0) break;
      if (at === end) return at;
      const to = Math.min(end, at + lacking);
      held.add(bytes, at, to);
      at = to;
    }
    const whole = held.bytes;
    held.clear();
    if (!this.#stopped) this.#take(whole, 0);
    return at;
  }

  /** How many bytes there must be to go on, as far as that can be known. */
  #wanted(bytes: Buffer, at: number, available: number): number {
    if (this.#prefaceAwaited) return PREFACE.length;
    if (available < HEADER_BYTES) return HEADER_BYTES;
    const length = lengthOf(bytes, at);
    // Then it is not read.
    if (length > FRAME_BYTES) return HEADER_BYTES;
    if (bytes[at + 3] !== FrameType.data) return HEADER_BYTES + length;
    return HEADER_BYTES + (length > 0 && isPadded(bytes, at) ? 1 : 0);
  }

  /** What `#wanted` asked for is there. Gives where it ends. */
  #take(bytes: Buffer, at: number): number {
    const sink = this.#sink;
    if (this.#prefaceAwaited) {
      this.#prefaceAwaited = false;
      if (bytes.compare(PREFACE, 0, PREFACE.length, at, at + PREFACE.length) !== 0)
        sink.onFault(ErrorCode.protocolError);
      return at + PREFACE.length;
    }
    const length = lengthOf(bytes, at);
    const type = bytes[at + 3] ?? 0;
    const flags = bytes[at + 4] ?? 0;
    const stream = readUint31(bytes, at + 5);
    const from = at + HEADER_BYTES;
    if (length > FRAME_BYTES) {
      sink.onFault(ErrorCode.frameSizeError);
      return from;
    }
    if (type !== FrameType.data) {
      sink.onFrame(type, flags, stream, bytes, from, from + length);
      return from + length;
    }
    let content = length;
    this.#padding = 0;
    if ((flags & FrameFlag.padded) !== 0) {
      content--;
      this.#padding = content < 0 ? 1 : (bytes[from] ?? 0);
      // RFC 9113 6.1
      if (this.#padding > content) {
        sink.onFault(content < 0 ? ErrorCode.frameSizeError : ErrorCode.protocolError);
        return from;
      }
      content -= this.#padding;
    }
    this.#content = content;
    this.#inData = true;
    sink.onData(stream, length, content, flags);
    if (this.#content + this.#padding === 0) this.#dataDone();
    return from + ((flags & FrameFlag.padded) === 0 ? 0 : 1);
  }

  #readData(bytes: Buffer, from: number, end: number): number {
    const to = Math.min(end, from + this.#content);
    if (to > from) {
      this.#content -= to - from;
      this.#sink.onDataContent(bytes, from, to);
    }
    const skipped = Math.min(end - to, this.#padding);
    if (this.#content === 0) this.#padding -= skipped;
    if (this.#content + this.#padding === 0 && !this.#stopped) this.#dataDone();
    return to + skipped;
  }

  #dataDone(): void {
    this.#inData = false;
    this.#sink.onDataDone();
  }
}

function lengthOf(bytes: Buffer, at: number): number {
  return ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
}

function isPadded(bytes: Buffer, at: number): boolean {
  return ((bytes[at + 4] ?? 0) & FrameFlag.padded) !== 0;
}
