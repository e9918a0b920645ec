import type { RequestContent } from '../http/request-content.ts';
import { ContentCopy, type CopyMemory } from './content-copy.ts';
import type { Framing } from './http1/framing.ts';
import type { ByteCount } from './connection-memory.ts';
import { PendingBytes } from './pending-bytes.ts';
import type { RequestSink } from './upstream/upstream.ts';
import type { Trailers } from './http1/field-block.ts';

type State =
  /** A small body is read to its end before a connection is taken: a slow client costs an upstream nothing. */
  | 'gathering'
  /** All of it is here, and can be sent as often as it takes. */
  | 'whole'
  /** It goes to the upstream as it comes; until there is a connection, the client waits. */
  | 'streaming'
  /** It was passed on and let go: it cannot be sent again. */
  | 'sent';

/** The body of a request on its way to an upstream: as far as it is here, and in a framing of our own. */
export class ForwardedBody implements RequestContent {
  state: State = 'whole';
  /** Part of it was passed on and let go. */
  #consumed = false;
  /** How much of what is passed on may be kept to be passed on once more. */
  #keepBytes = 0;
  #chunked = false;
  #length = 0;
  /** Bytes of it that have come. */
  received = 0;
  /** There is one at all, even if it turns out to be empty. */
  exists = false;
  readonly #held: PendingBytes;
  /** Once all of it is here. */
  #trailers: Trailers | null = null;
  readonly #copyMemory: CopyMemory;
  /** For other servers than the upstream; null for none, as nearly always. */
  #copies: ContentCopy[] | null = null;
  /** Who waits for all of it. */
  #awaiting: (() => void)[] | null = null;

  /** `memory` is told what is held of it, but for its copies. */
  constructor(memory: ByteCount, copyMemory: CopyMemory) {
    this.#held = new PendingBytes(memory);
    this.#copyMemory = copyMemory;
  }

  /** The exchange is over: nothing of it is sent again. */
  drop(): void {
    this.#held.clear();
    if (this.#copies !== null) for (const copy of this.#copies) copy.lose('client-gone');
  }

  /** To be asked for before anything was sent. */
  copy(namespace: string): ContentCopy {
    const length = this.#chunked ? null : this.#length;
    const copy = new ContentCopy(this.#copyMemory, namespace, length);
    copy.add(this.#held.bytes, 0, this.#held.length);
    if (this.state === 'whole') copy.end();
    else (this.#copies ??= []).push(copy);
    return copy;
  }

  whole(namespace: string): Promise<ContentCopy | null> {
    const { promise, resolve } = Promise.withResolvers<ContentCopy | null>();
    const give = (): void => {
      const copy = new ContentCopy(this.#copyMemory, namespace, this.#held.length);
      copy.add(this.#held.bytes, 0, this.#held.length);
      copy.end();
      resolve(copy.isWhole ? copy : null);
    };
    if (this.state === 'whole') give();
    else (this.#awaiting ??= []).push(give);
    return promise;
  }

  /** No more comes of this read. */
  flushCopies(): void {
    if (this.#copies !== null) for (const copy of this.#copies) copy.flush();
  }

  #addToCopies(bytes: Buffer, from: number, to: number): void {
    if (this.#copies !== null) for (const copy of this.#copies) copy.add(bytes, from, to);
  }

  /**
   * `gatherBytes`: how much may be gathered; 0 when the client waits for an answer before it sends any.
   * `keepBytes`: how much is kept after it was passed on, for upstreams that may say they did nothing with it.
   * `gathersAll`: it is gathered although its length is not known; who says so bounds it.
   */
  begin(framing: Framing, gatherBytes: number, keepBytes: number, gathersAll: boolean): void {
    if (framing.kind === 'none') return;
    this.exists = true;
    this.#keepBytes = keepBytes;
    this.#chunked = framing.kind === 'chunked';
    this.#length = framing.kind === 'length' ? framing.length : 0;
    const isSmall = this.#chunked ? gathersAll : this.#length <= gatherBytes;
    this.state = isSmall ? 'gathering' : 'streaming';
  }

  /** Every byte of the request has come, wherever it is now. */
  get isOver(): boolean {
    return this.state === 'whole' || this.state === 'sent';
  }

  /** Nothing of it was passed on and let go yet. */
  get isUntouched(): boolean {
    return this.state === 'streaming' && !this.#consumed;
  }

  /** Keeps content until there is a connection to send it on. */
  hold(bytes: Buffer, from: number, to: number): void {
    this.#addToCopies(bytes, from, to);
    this.#held.add(bytes, from, to, this.state === 'gathering' ? this.#length : 0);
  }

  /** Puts what is held together behind the head. Gives its size. */
  composeHeld(sink: RequestSink): number {
    const held = this.#held;
    const { length } = held;
    if (length > 0) sink.content(held.bytes, 0, length, this.#chunked);
    if (this.state === 'whole') {
      if (this.#trailers) sink.done(this.#trailers, this.#chunked);
    } else if (length > this.#keepBytes) this.#letGo();
    return length;
  }

  #letGo(): void {
    this.#consumed = true;
    this.#keepBytes = 0;
    this.#held.clear();
  }

  /** Puts content together that goes on at once. */
  composeContent(sink: RequestSink, bytes: Buffer, from: number, to: number): void {
    this.#addToCopies(bytes, from, to);
    if (this.state === 'streaming') {
      if (this.#held.length + to - from <= this.#keepBytes) this.#held.add(bytes, from, to);
      else this.#letGo();
    }
    sink.content(bytes, from, to, this.#chunked);
  }

  /** The last of it has come. With `sink`, the end goes on at once. */
  end(trailers: Trailers, sink: RequestSink | null): void {
    this.#trailers = trailers;
    this.state = this.#consumed ? 'sent' : 'whole';
    sink?.done(trailers, this.#chunked);
    if (this.#copies !== null) for (const copy of this.#copies) copy.end();
    if (this.#awaiting !== null) for (const give of this.#awaiting) give();
  }
}
