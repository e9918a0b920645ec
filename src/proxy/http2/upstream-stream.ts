import { type ClientHttp2Stream, type OutgoingHttpHeaders, constants } from 'node:http2';
import { isGrpc } from '../grpc.ts';
import { Deadline } from '../relay/deadlines.ts';
import { ResponseHead } from '../relay/response-head.ts';
import type { Trailers, UpstreamSide } from '../relay/sides.ts';
import type { Loss, UpstreamUser } from '../relay/upstream-connection.ts';
import { type Fields, NO_TRAILERS, readTrailers, trailerFields } from './fields.ts';
import { responseText } from './text.ts';
import type { UpstreamSession } from './upstream-session.ts';

const {
  NGHTTP2_CANCEL,
  NGHTTP2_FLAG_END_STREAM,
  NGHTTP2_NO_ERROR,
  NGHTTP2_REFUSED_STREAM,
  NGHTTP2_PROTOCOL_ERROR,
} = constants;
/** 1xx responses to one request; more are an attempt to keep it for ever. */
const MOST_INTERIMS = 32;

/** One request to a pod over HTTP/2, and the way of its response. */
export class UpstreamStream implements UpstreamSide {
  readonly #session: UpstreamSession;
  #user: UpstreamUser | null;
  #stream: ClientHttp2Stream | null = null;
  readonly deadline = new Deadline<UpstreamStream>(this);
  readonly reused: boolean;
  #responded = false;
  /** It answers as gRPC does. */
  #isCall = false;
  #received = 0;
  #length = -1;
  #interims = 0;
  #responseTrailers: Trailers = NO_TRAILERS;

  /** Put together, and not sent. */
  #head: Fields | null = null;
  #bodyFollows = false;
  #content: Buffer[] = [];
  #done = false;
  #trailers: OutgoingHttpHeaders | null = null;

  constructor(session: UpstreamSession, user: UpstreamUser) {
    this.#session = session;
    this.#user = user;
    this.reused = session.hasServed;
    session.add(this);
  }

  get connection(): null {
    return null;
  }

  get isConnected(): boolean {
    return this.#session.isOpen;
  }

  connected(): void {
    this.#user?.onConnected();
  }

  // ── The request ──────────────────────────────────────────────────────────────────────────────────────────────

  head(text: string, bodyFollows: boolean): void {
    this.#head = requestFields(text, this.#session.scheme);
    this.#bodyFollows = bodyFollows;
  }

  content(bytes: Buffer, from: number, to: number): void {
    // The bytes are gone when the call returns, and a window may keep them waiting.
    this.#content.push(Buffer.from(bytes.subarray(from, to)));
  }

  done(trailers: Trailers): void {
    this.#done = true;
    this.#trailers = trailerFields(trailers);
  }

  send(): boolean {
    if (this.#head && !this.#open(this.#head)) return true;
    const stream = this.#stream;
    if (!stream || stream.destroyed || !this.#bodyFollows) return true;
    const content = this.#content;
    if (content.length > 0) this.#content = [];
    const last = this.#done ? content.pop() : undefined;
    for (const bytes of content) stream.write(bytes);
    if (!this.#done) return !stream.writableNeedDrain;
    stream.end(last);
    return true;
  }

  #open(head: Fields): boolean {
    this.#head = null;
    const waitForTrailers = this.#bodyFollows && (!this.#done || this.#trailers !== null);
    let stream: ClientHttp2Stream;
    try {
      stream = this.#session.request(head, { endStream: !this.#bodyFollows, waitForTrailers });
    } catch {
      // The connection has just ended; nothing of the request left.
      process.nextTick(() => this.lost('unprocessed'));
      return false;
    }
    this.#stream = stream;
    stream.on('error', () => undefined);
    stream.on('close', () => this.#closed());
    stream.on('drain', () => this.#user?.onDrain());
    if (waitForTrailers) stream.on('wantTrailers', () => this.#sendTrailers(stream));
    stream.on('headers', (_headers: unknown, _flags: unknown, fields: string[]) => this.#interim(fields));
    stream.on('response', (_headers: unknown, flags: number, fields: string[]) =>
      this.#response(fields, (flags & NGHTTP2_FLAG_END_STREAM) !== 0),
    );
    stream.on('trailers', (_headers: unknown, _flags: unknown, fields: string[]) => {
      const trailers = readTrailers(fields, this.#session.sessions.limits);
      if (trailers) this.#responseTrailers = trailers;
      else this.#fail('cut');
    });
    stream.on('data', (bytes: Buffer) => {
      this.#received += bytes.length;
      this.#user?.onContent(bytes, 0, bytes.length);
      this.#user?.onFlush();
    });
    stream.on('end', () => this.#ended());
    return true;
  }

  #sendTrailers(stream: ClientHttp2Stream): void {
    try {
      stream.sendTrailers(this.#trailers ?? {});
    } catch {
      // What node:http2 will not send costs this stream, and no more.
      stream.close(NGHTTP2_CANCEL);
    }
  }

  get isPaused(): boolean {
    return this.#stream?.isPaused() ?? false;
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  owes(): void {
    const { awaiting, calls } = this.#session.sessions;
    this.deadline.arm(this.#isCall ? calls : awaiting);
  }

  owesNothing(): void {
    this.deadline.clear();
  }

  release(): void {
    this.#user = null;
    this.deadline.clear();
    this.#session.delete(this);
    const stream = this.#stream;
    if (stream && !stream.closed) stream.close(NGHTTP2_CANCEL);
  }

  // ── The response ─────────────────────────────────────────────────────────────────────────────────────────────

  #interim(fields: readonly string[]): void {
    const user = this.#user;
    if (!user) return;
    if (++this.#interims > MOST_INTERIMS) return this.#fail('nonsense');
    const read = this.#readHead(fields, user);
    if (!read) return this.#fail('nonsense');
    user.onInterim(read.head, read.bytes, 0);
    user.onFlush();
  }

  #response(fields: readonly string[], isAll: boolean): void {
    const user = this.#user;
    if (!user) return;
    const read = this.#readHead(fields, user);
    if (!read) return this.#fail('nonsense');
    this.#responded = true;
    this.#length = read.head.framing.kind === 'length' ? read.head.framing.length : -1;
    user.onHead(read.head, read.bytes, 0);
    // A response without a body goes on as one piece with its end, as it came (gRPC's "Trailers-Only").
    if (!isAll) user.onFlush();
  }

  #readHead(fields: readonly string[], user: UpstreamUser): { head: ResponseHead; bytes: Buffer } | null {
    const text = responseText(fields);
    if (text === null) return null;
    this.#isCall = isGrpc(text);
    const bytes = Buffer.from(text, 'latin1');
    const head = new ResponseHead(this.#session.sessions.limits);
    return head.read(bytes, 0, bytes.length, user) === 'done' ? { head, bytes } : null;
  }

  #ended(): void {
    const stream = this.#stream;
    // Also the end of a stream that was reset; that one is told by its close.
    if (!this.#user || !this.#responded || !stream || stream.rstCode !== NGHTTP2_NO_ERROR) return;
    if (this.#length >= 0 && this.#received !== this.#length) return this.#fail('cut');
    this.#user.onDone(this.#responseTrailers, true);
  }

  // ── The ways it can go wrong ─────────────────────────────────────────────────────────────────────────────────

  timedOut(): void {
    // It may be the connection that is dead: others are not sent on it.
    this.#session.retire();
    this.#fail('timed-out');
  }

  /** There is no connection, or none any more. */
  lost(loss: Loss): void {
    const user = this.#user;
    this.release();
    user?.onLost(loss);
  }

  #fail(loss: Loss): void {
    this.lost(loss);
  }

  #closed(): void {
    if (!this.#user) return;
    if (this.#responded) return this.lost('cut');
    switch (this.#stream?.rstCode) {
      case NGHTTP2_REFUSED_STREAM:
        return this.lost('unprocessed');
      case NGHTTP2_PROTOCOL_ERROR:
        return this.lost('nonsense');
      default:
        return this.lost('reset');
    }
  }
}

/** The head that goes to pods, as fields of a stream: its lines were all read or written by us. */
function requestFields(text: string, scheme: string): Fields {
  const lines = text.split('\r\n');
  const [method = '', path = ''] = (lines[0] ?? '').split(' ');
  const out: Fields = [':method', method, ':scheme', scheme, ':authority', '', ':path', path];
  for (let i = 1; i < lines.length - 2; i++) {
    const line = lines[i] ?? '';
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    if (name === 'connection' || name === 'upgrade' || name === 'transfer-encoding') continue;
    const value = trimBlanks(line, colon + 1);
    if (name === 'host') out[5] = value;
    else out.push(name, value);
  }
  // Whatever the client can do with trailers, we can take them; a gRPC server asks for no less.
  out.push('te', 'trailers');
  return out;
}

/** Not trim(): to JavaScript more bytes are blank than to HTTP. */
function trimBlanks(line: string, from: number): string {
  let end = line.length;
  while (from < end && (line.charCodeAt(from) === 0x20 || line.charCodeAt(from) === 0x09)) from++;
  while (end > from && (line.charCodeAt(end - 1) === 0x20 || line.charCodeAt(end - 1) === 0x09)) end--;
  return line.slice(from, end);
}
