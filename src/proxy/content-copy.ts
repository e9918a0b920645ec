import type { ContentReader, CopiedContent } from '../http/request-content.ts';

const PIECE_BYTES = 32 * 1024;
/** What is kept after it was given, to be given once more. */
const KEPT_BYTES = 64 * 1024;
/** Of one copy, beyond what its server has taken. */
const MOST_BYTES = 1024 * 1024;

/** What the copies of a thread hold together. A quarter of it is the most for one namespace. */
export class CopyMemory {
  readonly #total: number;
  readonly #byNamespace = new Map<string, number>();
  #bytes = 0;

  constructor(total = 32 * 1024 * 1024) {
    this.#total = total;
  }

  /** Whether there is room for so many bytes more. */
  take(namespace: string, bytes: number): boolean {
    const own = (this.#byNamespace.get(namespace) ?? 0) + bytes;
    if (own > this.#total / 4 || this.#bytes + bytes > this.#total) return false;
    this.#byNamespace.set(namespace, own);
    this.#bytes += bytes;
    return true;
  }

  release(namespace: string, bytes: number): void {
    const own = (this.#byNamespace.get(namespace) ?? 0) - bytes;
    if (own > 0) this.#byNamespace.set(namespace, own);
    else this.#byNamespace.delete(namespace);
    this.#bytes -= bytes;
  }
}

interface Piece {
  readonly bytes: Buffer;
  from: number;
  to: number;
}

/**
 * The body of a request on its way to a second server. The engine adds what comes, a subrequest takes it out. It never holds
 * up the engine: beyond its limit it is lost.
 */
export class ContentCopy implements CopiedContent {
  readonly length: number | null;
  readonly uncountedBytes = 0;
  readonly #memory: CopyMemory;
  readonly #namespace: string;
  readonly #pieces: Piece[] = [];
  /** The first piece that was not given whole. */
  #at = 0;
  #reader: ContentReader | null = null;
  #state: 'coming' | 'whole' | 'over' = 'coming';
  #received = 0;
  #taken = 0;
  waiting = 0;

  constructor(memory: CopyMemory, namespace: string, length: number | null) {
    this.#memory = memory;
    this.#namespace = namespace;
    this.length = length;
  }

  get isWhole(): boolean {
    return this.#state === 'whole';
  }

  read(reader: ContentReader): void {
    this.#reader = reader;
  }

  /** These bytes have come; the reader hears of them with `flush`. */
  add(bytes: Buffer, from: number, to: number): void {
    if (this.#state !== 'coming') return;
    if (this.waiting + to - from > MOST_BYTES) return this.lose('behind');
    this.#received += to - from;
    this.waiting += to - from;
    for (let at = from; at < to;) {
      const piece = this.#pieceWithRoom();
      if (piece === null) return this.lose('behind');
      const copied = bytes.copy(piece.bytes, piece.to, at, to);
      piece.to += copied;
      at += copied;
    }
  }

  flush(): void {
    if (this.#state !== 'over') this.#reader?.onCopied();
  }

  /** The body is over. */
  end(): void {
    if (this.#state !== 'coming') return;
    this.#state = 'whole';
    this.#reader?.onCopied();
  }

  /** The rest of the body will not come. */
  lose(reason: 'behind' | 'client-gone'): void {
    if (this.#state !== 'coming') return;
    const reader = this.#reader;
    this.drop();
    reader?.onCopyLost(reason);
  }

  next(): Buffer | null {
    const piece = this.#pieces[this.#at];
    if (piece === undefined || piece.from === piece.to) return null;
    const content = piece.bytes.subarray(piece.from, piece.to);
    this.waiting -= content.length;
    piece.from = piece.to;
    const isKept = this.#received <= KEPT_BYTES;
    if (piece.to === piece.bytes.length && isKept) this.#at++;
    if (!isKept) this.#letGo();
    return content;
  }

  rewind(): boolean {
    if (this.#state === 'over' || this.#received > KEPT_BYTES) return false;
    this.#at = 0;
    for (const piece of this.#pieces) piece.from = 0;
    this.waiting = this.#received;
    return true;
  }

  drop(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#reader = null;
    this.#pieces.length = 0;
    this.waiting = 0;
    this.#memory.release(this.#namespace, this.#taken);
    this.#taken = 0;
  }

  /** What was given, and is too much to be given once more. */
  #letGo(): void {
    const given = this.#pieces.findIndex(({ from, to, bytes }) => from < to || to < bytes.length);
    for (const { bytes } of this.#pieces.splice(0, given < 0 ? this.#pieces.length : given)) {
      this.#memory.release(this.#namespace, bytes.length);
      this.#taken -= bytes.length;
    }
    this.#at = 0;
  }

  #pieceWithRoom(): Piece | null {
    const last = this.#pieces.at(-1);
    if (last !== undefined && last.to < last.bytes.length) return last;
    const size = Math.min(PIECE_BYTES, Math.max(1, this.length ?? PIECE_BYTES));
    if (!this.#memory.take(this.#namespace, size)) return null;
    this.#taken += size;
    const piece = { bytes: Buffer.allocUnsafe(size), from: 0, to: 0 };
    this.#pieces.push(piece);
    return piece;
  }
}
