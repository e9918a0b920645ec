import type { ExchangeRecord } from '../exchange-record.ts';

/** Spans of one thread, as the elements of a list in JSON. */
export interface SentSpans {
  /** UTF-8, with commas between them. */
  readonly bytes: Uint8Array;
  readonly count: number;
}

export interface SpanBatchOptions {
  /** The spans of an exchange that is over, as text. */
  readonly spansOf: (exchange: ExchangeRecord) => readonly string[];
  /** Gives spans away; `taken` is to be called when they have arrived. */
  readonly send: (spans: SentSpans) => void;
  readonly onFault: (fault: unknown) => void;
}

/**
 * Few requests are recorded: one after the other they would find that code out of every cache, which takes five times as long.
 * More at once would have to be kept past the next collection of garbage, and become old.
 */
const EXCHANGES_AT_ONCE = 4;
/** Spans are sent on when so many of them are there, or bytes, or after this time. */
const BATCH_SPANS = 256;
const BATCH_BYTES = 256 * 1024;
const FLUSH_MS = 1_000;
/** Spans that are sent and not taken yet; beyond, they are dropped: the control thread is behind. */
const MAX_UNTAKEN = 8_192;
const BYTES_PER_CHARACTER = 3;
const COMMA = 0x2c;

/**
 * Gathers the exchanges of a data-plane thread that are recorded, writes their spans when there are several, and gives
 * these away. They are kept as bytes: as text, joined from many pieces, they would be the most that the heap holds.
 */
export class SpanBatch {
  readonly #options: SpanBatchOptions;
  /** Their spans are not written yet. */
  #exchanges: ExchangeRecord[] = [];
  /** Only once there was a span. */
  #bytes: Buffer | null = null;
  #length = 0;
  #count = 0;
  #untaken = 0;
  #timer: NodeJS.Timeout | null = null;
  dropped = 0;

  constructor(options: SpanBatchOptions) {
    this.#options = options;
  }

  /** Takes an exchange that is over. */
  add(exchange: ExchangeRecord): void {
    this.#exchanges.push(exchange);
    if (this.#exchanges.length >= EXCHANGES_AT_ONCE) this.#write();
    this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS).unref();
  }

  /** Gives away what there is. */
  flush(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#write();
    this.#send();
  }

  /** The control thread has so many of them. */
  taken(count: number): void {
    this.#untaken -= count;
  }

  #write(): void {
    const exchanges = this.#exchanges;
    this.#exchanges = [];
    for (const exchange of exchanges) {
      try {
        for (const span of this.#options.spansOf(exchange)) this.#append(span);
      } catch (fault) {
        // It is the exchange of another that is handled now, or none.
        this.#options.onFault(fault);
      }
    }
  }

  #append(span: string): void {
    const room = span.length * BYTES_PER_CHARACTER + 1;
    if (this.#untaken + this.#count >= MAX_UNTAKEN || room > BATCH_BYTES) {
      this.dropped++;
      return;
    }
    if (this.#length + room > BATCH_BYTES) this.#send();
    const bytes = (this.#bytes ??= Buffer.allocUnsafeSlow(BATCH_BYTES));
    if (this.#count > 0) bytes[this.#length++] = COMMA;
    this.#length += bytes.write(span, this.#length, 'utf8');
    this.#count++;
    if (this.#count >= BATCH_SPANS) this.#send();
  }

  #send(): void {
    if (this.#count === 0 || this.#bytes === null) return;
    this.#untaken += this.#count;
    const bytes = Uint8Array.prototype.slice.call(this.#bytes, 0, this.#length);
    this.#options.send({ bytes, count: this.#count });
    this.#length = 0;
    this.#count = 0;
  }
}
