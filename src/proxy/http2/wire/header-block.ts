import type { ByteCount } from '../../connection-memory.ts';
import { PendingBytes } from '../../pending-bytes.ts';
import { ErrorCode, FrameFlag, readUint32 } from './frame.ts';

/** More pieces than this of one field section carry next to nothing each. */
const MOST_CONTINUATIONS = 64;

/** Where the field block fragment of a HEADERS frame is; a code when its padding or priority does not fit. */
export function fragmentOf(
  flags: number,
  bytes: Buffer,
  from: number,
  to: number,
): { readonly from: number; readonly to: number; readonly dependsOn: number } | ErrorCode {
  let padding = 0;
  let dependsOn = -1;
  if ((flags & FrameFlag.padded) !== 0) {
    if (to - from < 1) return ErrorCode.frameSizeError;
    padding = bytes[from++] ?? 0;
  }
  if ((flags & FrameFlag.priority) !== 0) {
    if (to - from < 5) return ErrorCode.frameSizeError;
    dependsOn = readUint32(bytes, from) & 0x7fff_ffff;
    from += 5;
  }
  if (padding > to - from) return ErrorCode.protocolError;
  return { from, to: to - padding, dependsOn };
}

/** A field section that comes in more than one frame (RFC 9113 4.3). Nothing else may come in between. */
export class HeaderBlock {
  readonly stream: number;
  readonly ended: boolean;
  /** It is thrown away once it is decoded, with this code for its stream. */
  readonly fault: ErrorCode | null;
  readonly #bytes: PendingBytes;
  readonly #mostBytes: number;
  #continuations = 0;

  constructor(
    stream: number,
    ended: boolean,
    fault: ErrorCode | null,
    mostBytes: number,
    memory: ByteCount | null,
  ) {
    this.#bytes = new PendingBytes(memory);
    this.stream = stream;
    this.ended = ended;
    this.fault = fault;
    this.#mostBytes = mostBytes;
  }

  /** False when it is too much to wait for the rest. */
  add(bytes: Buffer, from: number, to: number): boolean {
    this.#bytes.add(bytes, from, to);
    return this.#bytes.length <= this.#mostBytes && this.#continuations++ <= MOST_CONTINUATIONS;
  }

  /** It is decoded. */
  drop(): void {
    this.#bytes.clear();
  }

  get bytes(): Buffer {
    return this.#bytes.bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }
}
