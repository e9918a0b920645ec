import { MOST_ENCRYPTED } from './tcp-internals.ts';

interface Piece {
  bytes: Buffer;
  /** Called once the memory is free, with the last piece of a write. */
  readonly done: (() => void) | null;
}

/** What one write over TLS takes. */
export interface TakenWrite {
  readonly pieces: Buffer[];
  readonly length: number;
  /** To be called when it was asked for. */
  readonly done: (() => void)[];
}

/** What waits on a connection until TLS takes a write again. */
export class QueuedWrites {
  #pieces: Piece[] = [];

  get isEmpty(): boolean {
    return this.#pieces.length === 0;
  }

  add(pieces: readonly Buffer[], done: () => void): void {
    const last = pieces.length - 1;
    for (const [index, bytes] of pieces.entries())
      this.#pieces.push({ bytes, done: index === last ? done : null });
  }

  /** Takes out as much as one write may have. */
  take(): TakenWrite {
    const pieces: Buffer[] = [];
    const done: (() => void)[] = [];
    let length = 0;
    let whole = 0;
    for (const each of this.#pieces) {
      const room = MOST_ENCRYPTED - length;
      if (room === 0) break;
      const part = each.bytes.subarray(0, room);
      pieces.push(part);
      length += part.length;
      if (part.length < each.bytes.length) {
        each.bytes = each.bytes.subarray(part.length);
        break;
      }
      if (each.done) done.push(each.done);
      whole++;
    }
    this.#pieces.splice(0, whole);
    return { pieces, length, done };
  }

  /** Gives each write its end, and how many bytes they had. */
  drop(): number {
    const dropped = this.#pieces;
    this.#pieces = [];
    let length = 0;
    for (const { bytes, done } of dropped) {
      length += bytes.length;
      done?.();
    }
    return length;
  }
}
