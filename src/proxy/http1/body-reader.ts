import { CR, HTAB, LF, SEMICOLON, SP, endOfValue, hexDigit } from './bytes.ts';
import { FieldBlock, type FieldFault } from './field-block.ts';
import type { Framing } from './framing.ts';
import { type Leniency, STRICT } from './leniency.ts';

/** Why a body cannot be read on. */
export type BodyFault = FieldFault | 'bad-chunk-size' | 'chunk-extension-too-long' | 'bad-chunk-end';

/** What came next: bytes of content in `from`…`to`, nothing before more bytes are there, the end, or a fault. */
export type BodyProgress = 'content' | 'more' | 'done' | BodyFault;

const HEX_DIGITS = 13;
/** Of one chunk, blanks around its size included. */
const EXTENSION_BYTES = 256;
/** Of all chunks of a request together: nobody needs them, and they are read and thrown away. */
const EXTENSIONS_BYTES = 16 * 1024;

type State =
  | 'content'
  | 'until-close'
  | 'chunk-size'
  | 'chunk-size-blanks'
  | 'chunk-extension'
  | 'chunk-size-lf'
  | 'chunk-content'
  | 'chunk-cr'
  | 'chunk-lf'
  | 'trailers'
  | 'done';

/**
 * Finds the content in the bytes of a body, as its framing says (RFC 9112 6–7). What is given out is content only:
 * chunk sizes, extensions and the trailer section stay here, so the next hop reads a framing of our own making.
 */
export class BodyReader {
  readonly #maxTrailerBytes: number;
  readonly #fieldCount: number;
  readonly #leniency: Leniency;
  #state: State = 'done';
  /** Bytes left of the content or of the chunk. */
  #left = 0;
  #digits = 0;
  #extension = 0;
  #extensions = 0;
  #trailerBytes: Buffer | null = null;
  #trailerEnd = 0;
  /** The trailer section, in `trailerBytes`; null when it is empty or not there yet. */
  trailers: FieldBlock | null = null;

  /** The content found last. */
  from = 0;
  to = 0;
  /** Where to read on. */
  next = 0;

  constructor(
    limits: { readonly headBytes: number; readonly fieldCount: number },
    leniency: Leniency = STRICT,
  ) {
    this.#leniency = leniency;
    this.#maxTrailerBytes = limits.headBytes;
    this.#fieldCount = limits.fieldCount;
  }

  start(framing: Framing): void {
    this.trailers = null;
    this.#trailerBytes = null;
    this.#trailerEnd = 0;
    switch (framing.kind) {
      case 'none':
        this.#state = 'done';
        break;
      case 'length':
        this.#left = framing.length;
        this.#state = 'content';
        break;
      case 'chunked':
        this.#extensions = 0;
        this.#startChunk();
        break;
      case 'until-close':
        this.#state = 'until-close';
        break;
      default:
        framing satisfies never;
    }
  }

  get done(): boolean {
    return this.#state === 'done';
  }

  /** Bytes that are still to come; `Infinity` where the framing does not say. */
  get rest(): number {
    if (this.#state === 'done') return 0;
    return this.#state === 'content' ? this.#left : Infinity;
  }

  get trailerBytes(): Buffer | null {
    return this.trailers ? this.#trailerBytes : null;
  }

  /** The connection has ended. Whether the body ended with it, rather than in its middle. */
  end(): boolean {
    if (this.#state === 'until-close') this.#state = 'done';
    return this.#state === 'done';
  }

  /** Reads on from `at`. Call again from `next` after `content`. */
  read(bytes: Buffer, at: number, end: number): BodyProgress {
    for (;;) {
      switch (this.#state) {
        case 'done':
          this.next = at;
          return 'done';
        case 'content':
        case 'chunk-content':
          if (at === end) return this.#more(at);
          this.from = at;
          this.to = this.next = Math.min(end, at + this.#left);
          this.#left -= this.to - at;
          if (this.#left === 0) this.#state = this.#state === 'content' ? 'done' : 'chunk-cr';
          return 'content';
        case 'until-close':
          if (at === end) return this.#more(at);
          this.from = at;
          this.to = this.next = end;
          return 'content';
        case 'chunk-size': {
          if (at === end) return this.#more(at);
          const byte = bytes[at] ?? 0;
          const digit = hexDigit(byte);
          if (digit >= 0) {
            if (++this.#digits > HEX_DIGITS) return 'bad-chunk-size';
            this.#left = this.#left * 16 + digit;
          } else if (byte === SP || byte === HTAB) {
            // In a request they are how one reader is made to see another size.
            if (!this.#leniency.blanks || ++this.#extension > EXTENSION_BYTES) return 'bad-chunk-size';
            if (this.#digits > 0) this.#state = 'chunk-size-blanks';
          } else if (this.#digits === 0) return 'bad-chunk-size';
          else if (byte === CR) this.#state = 'chunk-size-lf';
          else if (byte === SEMICOLON) this.#state = 'chunk-extension';
          else return 'bad-chunk-size';
          at++;
          break;
        }
        case 'chunk-size-blanks': {
          if (at === end) return this.#more(at);
          const byte = bytes[at++];
          if (byte === CR) this.#state = 'chunk-size-lf';
          else if (byte === SEMICOLON) this.#state = 'chunk-extension';
          else if ((byte !== SP && byte !== HTAB) || ++this.#extension > EXTENSION_BYTES)
            return 'bad-chunk-size';
          break;
        }
        case 'chunk-extension': {
          const stop = endOfValue(bytes, at, end);
          this.#extension += stop - at;
          if (this.#extension > EXTENSION_BYTES) return 'chunk-extension-too-long';
          at = stop;
          if (at === end) return this.#more(at);
          if (bytes[at++] !== CR) return 'bad-chunk-size';
          this.#extensions += this.#extension;
          if (this.#extensions > EXTENSIONS_BYTES && this.#leniency === STRICT)
            return 'chunk-extension-too-long';
          this.#state = 'chunk-size-lf';
          break;
        }
        case 'chunk-size-lf':
          if (at === end) return this.#more(at);
          if (bytes[at++] !== LF) return 'bad-chunk-size';
          this.#state = this.#left > 0 ? 'chunk-content' : 'trailers';
          break;
        case 'chunk-cr':
          if (at === end) return this.#more(at);
          if (bytes[at++] !== CR) return 'bad-chunk-end';
          this.#state = 'chunk-lf';
          break;
        case 'chunk-lf':
          if (at === end) return this.#more(at);
          if (bytes[at++] !== LF) return 'bad-chunk-end';
          this.#startChunk();
          break;
        case 'trailers':
          return this.#readTrailers(bytes, at, end);
        default:
          return this.#state satisfies never;
      }
    }
  }

  #more(at: number): BodyProgress {
    this.next = at;
    return 'more';
  }

  #startChunk(): void {
    this.#state = 'chunk-size';
    this.#left = 0;
    this.#digits = 0;
    this.#extension = 0;
  }

  /** The field lines after the last chunk, gathered in bytes of our own: they are rare, and may come in pieces. */
  #readTrailers(bytes: Buffer, at: number, end: number): BodyProgress {
    if (at === end) return this.#more(at);
    // The usual end: no trailer at all, in one piece.
    if (this.#trailerEnd === 0 && end - at >= 2 && bytes[at] === CR && bytes[at + 1] === LF) {
      this.#state = 'done';
      this.next = at + 2;
      return 'done';
    }
    const before = this.#trailerEnd;
    const taken = Math.min(end - at, this.#maxTrailerBytes - before);
    if (!this.#trailerBytes || this.#trailerBytes.length < before + taken) {
      const grown = Buffer.allocUnsafe(Math.max(512, 2 * (before + taken)));
      this.#trailerBytes?.copy(grown, 0, 0, before);
      this.#trailerBytes = grown;
    }
    bytes.copy(this.#trailerBytes, before, at, at + taken);
    this.#trailerEnd = before + taken;
    this.trailers ??= new FieldBlock(this.#fieldCount, { ...this.#leniency, bareLf: false });
    const progress = this.trailers.read(this.#trailerBytes, 0, this.#trailerEnd, this.#maxTrailerBytes);
    if (progress === 'done') {
      this.#state = 'done';
      this.next = at + this.trailers.next - before;
      if (this.trailers.count === 0) this.trailers = null;
      return 'done';
    }
    return progress === 'more' ? this.#more(end) : progress;
  }
}
