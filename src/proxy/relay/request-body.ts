import type { BodyReader } from './body-reader.ts';
import { composeChunkedEnd } from './client-head.ts';
import type { Framing } from './framing.ts';
import { HeldBytes } from './held-bytes.ts';
import type { Slab } from './slab.ts';

type State =
  /** A small body is read to its end before a pod connection is taken: a slow client costs no pod anything. */
  | 'gathering'
  /** All of it is here, and can be sent as often as it takes. */
  | 'whole'
  /** It goes to the pod as it comes; until there is a connection, the client waits. */
  | 'streaming'
  /** It was passed on and let go: it cannot be sent again. */
  | 'sent';

/** The body of a request on its way to a pod: as far as it is here, and in a framing of our own. */
export class RequestBody {
  state: State = 'whole';
  /** Part of it was passed on and let go. */
  #consumed = false;
  #chunked = false;
  #length = 0;
  readonly #held = new HeldBytes();
  /** Has the trailer section of a chunked body, once that is over. */
  #reader: BodyReader | null = null;

  /** `gatherBytes`: how much may be gathered; 0 when the client waits for an answer before it sends any. */
  begin(framing: Framing, gatherBytes: number): void {
    if (framing.kind === 'none') return;
    this.#chunked = framing.kind === 'chunked';
    this.#length = framing.kind === 'length' ? framing.length : 0;
    this.state = !this.#chunked && this.#length <= gatherBytes ? 'gathering' : 'streaming';
  }

  /** Every byte of the request has come, wherever it is now. */
  get isOver(): boolean {
    return this.state === 'whole' || this.state === 'sent';
  }

  /** Nothing of it was passed on yet. */
  get isUntouched(): boolean {
    return this.state === 'streaming' && !this.#consumed;
  }

  /** Keeps content until there is a connection to send it on. */
  hold(bytes: Buffer, from: number, to: number): void {
    this.#held.add(bytes, from, to, this.state === 'gathering' ? this.#length : 0);
  }

  /** Puts what is held together behind the head; a body that goes on after that is not kept. Gives its size. */
  composeHeld(slab: Slab): number {
    const held = this.#held;
    const { length } = held;
    if (length > 0) this.composeContent(slab, held.bytes, 0, length);
    if (this.state === 'whole') {
      if (this.#reader) composeChunkedEnd(slab, this.#reader);
    } else {
      this.#consumed ||= length > 0;
      held.clear();
    }
    return length;
  }

  /** Puts content together that goes on at once. */
  composeContent(slab: Slab, bytes: Buffer, from: number, to: number): void {
    if (this.state === 'streaming') this.#consumed = true;
    if (this.#chunked) slab.chunk(bytes, from, to);
    else slab.copy(bytes, from, to);
  }

  /** The last of it has come. With `slab`, the end goes on at once. */
  end(reader: BodyReader, slab: Slab | null): void {
    if (this.#chunked) this.#reader = reader;
    this.state = this.state === 'streaming' && slab ? 'sent' : 'whole';
    if (this.#chunked && slab) composeChunkedEnd(slab, reader);
  }
}
