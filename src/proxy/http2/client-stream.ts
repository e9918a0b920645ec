import { type ServerHttp2Stream, constants } from 'node:http2';
import type { Answer } from '../answer.ts';
import { isGrpc } from '../grpc.ts';
import type { Arrival } from '../forwarded.ts';
import { Deadline, type DeadlineList } from '../relay/deadlines.ts';
import { RelayExchange } from '../relay/exchange.ts';
import { messageFault } from '../relay/request-head.ts';
import type { ResponseHead } from '../relay/response-head.ts';
import type { ClientSide, Trailers } from '../relay/sides.ts';
import { STRICT_TRANSPORT_SECURITY } from '../strict-transport.ts';
import type { ClientSession } from './client-session.ts';
import { type Fields, NO_TRAILERS, readTrailers, responseFields, trailerFields } from './fields.ts';
import { requestText } from './text.ts';

const { NGHTTP2_NO_ERROR, NGHTTP2_INTERNAL_ERROR, NGHTTP2_FLAG_END_STREAM, NGHTTP2_PROTOCOL_ERROR } =
  constants;

/** One request of a client over HTTP/2, and the way of its response. */
export class ClientStream implements ClientSide {
  readonly #session: ClientSession;
  readonly #stream: ServerHttp2Stream;
  readonly deadline = new Deadline<ClientStream>(this);
  strictTransport: string | null = null;
  #exchange: RelayExchange | null = null;
  /** How long the client may send nothing of a request that it has not ended. */
  #silence: DeadlineList<ClientStream>;
  #requestTrailers: Trailers = NO_TRAILERS;
  #requestOver: boolean;

  /** Put together, and not sent. */
  #head: Fields | null = null;
  #content: Buffer[] = [];
  #done = false;
  #trailers: Record<string, string[]> | null = null;

  constructor(session: ClientSession, stream: ServerHttp2Stream, flags: number) {
    this.#session = session;
    this.#silence = session.clients.bodies;
    this.#stream = stream;
    this.#requestOver = (flags & NGHTTP2_FLAG_END_STREAM) !== 0;
    // What goes wrong with a stream is told by its close.
    stream.on('error', () => undefined);
    stream.on('close', () => this.#closed());
    stream.on('drain', () => this.#exchange?.onClientDrain());
  }

  /** The head is there. */
  begin(fields: readonly string[]): void {
    const { relay } = this.#session;
    const text = requestText(fields, !this.#requestOver);
    const bytes = Buffer.from(text ?? '', 'latin1');
    const head = relay.spareHead;
    head.reset();
    // A head that stops short is as little one as a malformed one.
    const progress = text === null ? 'more' : head.read(bytes, 0, bytes.length);
    const exchange = new RelayExchange(relay, this, progress === 'done' ? head : null);
    this.#exchange = exchange;
    if (progress !== 'done') {
      return progress === 'more'
        ? exchange.refuse('bad-message')
        : exchange.refuse(messageFault(progress), progress);
    }
    if (text !== null && isGrpc(text)) this.#silence = this.#session.clients.calls;
    if (!this.#requestOver) this.#read();
    exchange.begin(head, bytes, 0);
  }

  #read(): void {
    const stream = this.#stream;
    this.deadline.arm(this.#silence);
    stream.on('data', (bytes: Buffer) => {
      this.deadline.arm(this.#silence);
      this.#exchange?.onRequestContent(bytes, 0, bytes.length);
      this.#exchange?.onRequestFlush();
    });
    stream.on('trailers', (_headers: unknown, _flags: unknown, fields: string[]) => {
      const trailers = readTrailers(fields, this.#session.relay.context.limits);
      if (trailers) this.#requestTrailers = trailers;
      else stream.close(NGHTTP2_PROTOCOL_ERROR);
    });
    stream.on('end', () => {
      // Also the end of a stream that was reset; that one is told by its close.
      if (this.#requestOver || stream.rstCode !== NGHTTP2_NO_ERROR || stream.aborted) return;
      this.#requestOver = true;
      this.deadline.clear();
      this.#exchange?.onRequestDone(this.#requestTrailers);
    });
  }

  #closed(): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    this.deadline.clear();
    this.#session.over(this, exchange === null);
    exchange?.onClientGone();
  }

  bodyTimedOut(): void {
    this.#exchange?.onClientStalled();
  }

  /** The time to drain is over. */
  cutForDrain(): void {
    this.#exchange?.cutForDrain();
  }

  // ── As the exchange sees it ──────────────────────────────────────────────────────────────────────────────────

  get arrival(): Arrival {
    return this.#session.arrival;
  }

  get connection(): null {
    return null;
  }

  get mayPersist(): boolean {
    return true;
  }

  pause(): void {
    this.#stream.pause();
    this.deadline.clear();
  }

  resume(): void {
    if (this.#requestOver) return;
    this.#stream.resume();
    this.deadline.arm(this.#silence);
  }

  interim(head: ResponseHead, bytes: Buffer, base: number): void {
    if (this.#stream.headersSent || this.#stream.destroyed) return;
    const fields = responseFields(head, bytes, base);
    const byName: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
    for (let i = 2; i < fields.length; i += 2) (byName[fields[i] ?? ''] ??= []).push(fields[i + 1] ?? '');
    this.#attempt((stream) => stream.additionalHeaders({ ...byName, ':status': head.status }));
  }

  head(head: ResponseHead, bytes: Buffer, base: number): void {
    this.#head = responseFields(head, bytes, base);
    // What the pod itself says of it counts.
    if (this.strictTransport !== null && !this.#head.includes(STRICT_TRANSPORT_SECURITY)) {
      this.#head.push(STRICT_TRANSPORT_SECURITY, this.strictTransport);
    }
  }

  content(bytes: Buffer, from: number, to: number): void {
    // The bytes are gone when the call returns, and a window may keep them waiting.
    this.#content.push(Buffer.from(bytes.subarray(from, to)));
  }

  done(trailers: Trailers): void {
    this.#done = true;
    this.#trailers = trailerFields(trailers);
  }

  answer({ status, fields, body }: Answer, _word: unknown, isHead: boolean): void {
    this.#head = [':status', String(status)];
    for (const [name, value] of fields) this.#head.push(name, value);
    if (this.strictTransport !== null) this.#head.push(STRICT_TRANSPORT_SECURITY, this.strictTransport);
    this.#content = isHead || body === '' ? [] : [Buffer.from(body, 'latin1')];
    this.#done = true;
  }

  send(): boolean {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return true;
    const head = this.#head;
    const content = this.#content;
    if (head) {
      this.#head = null;
      const endStream = this.#done && content.length === 0 && !this.#trailers;
      // Whether trailers come is not known before the end.
      const waitForTrailers = !endStream && (!this.#done || this.#trailers !== null);
      if (!this.#attempt(() => stream.respond(head, { endStream, waitForTrailers }))) return true;
      if (waitForTrailers) stream.on('wantTrailers', () => this.#sendTrailers());
      if (endStream) return true;
    }
    if (content.length > 0) this.#content = [];
    const last = this.#done ? content.pop() : undefined;
    for (const bytes of content) stream.write(bytes);
    if (!this.#done) return !stream.writableNeedDrain;
    stream.end(last);
    return true;
  }

  /** What node:http2 will not send costs this stream, and no more. */
  #attempt(step: (stream: ServerHttp2Stream) => void): boolean {
    try {
      step(this.#stream);
      return true;
    } catch {
      this.#stream.close(NGHTTP2_INTERNAL_ERROR);
      return false;
    }
  }

  #sendTrailers(): void {
    const stream = this.#stream;
    if (stream.destroyed) return;
    this.#attempt(() => stream.sendTrailers(this.#trailers ?? {}));
    if (!this.#requestOver) setImmediate(() => stream.close(NGHTTP2_NO_ERROR));
  }

  fallsBehind(): void {
    this.deadline.arm(this.#session.clients.bodies);
  }

  keepsUp(): void {
    this.deadline.clear();
  }

  exchangeOver(): void {
    this.#exchange = null;
    this.deadline.clear();
    const stream = this.#stream;
    if (this.#requestOver || stream.destroyed) {
      // A client that takes nothing keeps what was written for it, for a while.
      if (!stream.destroyed && stream.writableLength > 0) this.deadline.arm(this.#session.clients.leftovers);
      return;
    }
    // RFC 9113 8.1: what is still to come of the request is not wanted.
    stream.removeAllListeners('data');
    stream.resume();
    if (!this.#trailers) stream.close(NGHTTP2_NO_ERROR);
  }

  cut(): void {
    this.destroy();
  }

  destroy(): void {
    this.#exchange = null;
    this.#stream.close(NGHTTP2_INTERNAL_ERROR);
  }
}
