/** Spans of one thread, as the elements of a list in JSON. */
export interface SentSpans {
  /** UTF-8, with commas between them. */
  readonly bytes: Uint8Array;
  readonly count: number;
}

/** Spans are sent on when so many of them are there, or bytes, or after this time. */
const BATCH_SPANS = 128;
const BATCH_BYTES = 256 * 1024;
const FLUSH_MS = 1_000;
/** Spans that are sent and not taken yet; beyond, they are dropped: the control thread is behind. */
const MAX_UNTAKEN = 8_192;
const BYTES_PER_CHARACTER = 3;
const COMMA = 0x2c;

/**
 * Gathers the spans of a data-plane thread and hands them to `send`, which gives them away; `taken` is told when they have
 * arrived. They are kept as bytes: as text, joined from many pieces, they would be the most that the heap holds.
 */
export class SpanBatch {
  readonly #send: (spans: SentSpans) => void;
  /** Only once there was a span. */
  #bytes: Buffer | null = null;
  #length = 0;
  #count = 0;
  #untaken = 0;
  #timer: NodeJS.Timeout | null = null;
  dropped = 0;

  constructor(send: (spans: SentSpans) => void) {
    this.#send = send;
  }

  add(span: string): void {
    const room = span.length * BYTES_PER_CHARACTER + 1;
    if (this.#untaken + this.#count >= MAX_UNTAKEN || room > BATCH_BYTES) {
      this.dropped++;
      return;
    }
    if (this.#length + room > BATCH_BYTES) this.flush();
    const bytes = (this.#bytes ??= Buffer.allocUnsafeSlow(BATCH_BYTES));
    if (this.#count > 0) bytes[this.#length++] = COMMA;
    this.#length += bytes.write(span, this.#length, 'utf8');
    this.#count++;
    if (this.#count >= BATCH_SPANS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS).unref();
  }

  flush(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#count === 0 || this.#bytes === null) return;
    this.#untaken += this.#count;
    this.#send({ bytes: Uint8Array.prototype.slice.call(this.#bytes, 0, this.#length), count: this.#count });
    this.#length = 0;
    this.#count = 0;
  }

  /** The control thread has so many of them. */
  taken(count: number): void {
    this.#untaken -= count;
  }
}
