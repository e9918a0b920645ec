import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { EndpointState } from '../../balance/endpoint-pool.ts';
import { Deadline, type DeadlineList, type DeadlineLists } from '../../deadlines.ts';
import type { Limits } from '../../limits.ts';
import type { ByteSocket, SocketUser } from '../../sockets/byte-socket.ts';
import type { Sockets } from '../../sockets/sockets.ts';
import { failedConnect } from '../connect-failure.ts';
import type { ReaderFault } from '../../native-record.ts';
import type { FieldBlock } from '../../http1/field-block.ts';
import type { ResponseHead } from '../http1/response-head-parser.ts';
import type { UpstreamFailure } from '../upstream-user.ts';
import type { UpstreamTls } from '../tls-terms.ts';
import { Http2Connection } from '../../http2/wire/connection.ts';
import type { ConnectionUser } from '../../http2/wire/connection-user.ts';
import { ErrorCode, FIRST_WINDOW } from '../../http2/wire/frame.ts';
import type { ByteCount } from '../../connection-memory.ts';
import type { Http2Stream } from '../../http2/wire/stream.ts';

/** Of one connection to an upstream, unless the upstream wants fewer; then there is another connection. */
export const MOST_STREAMS = 100;
/** One client that reads slowly must not keep the others from reading: room for all streams at once. */
const CONNECTION_WINDOW = MOST_STREAMS * FIRST_WINDOW;

const HIGH_WATER_MARK = 64 * 1024;

/**
 * What an HTTP/2 connection to an upstream is at.
 *
 *     connecting ──▶ open ──▶ retired ──▶ closed
 *
 * `open` from the upstream's SETTINGS on. `retired` takes no more streams: after GOAWAY, when the endpoint left, and
 * when stream numbers are used up; it closes when the streams it has are over. A failure leads from everywhere to closed.
 */
type Phase = 'connecting' | 'open' | 'retired' | 'closed';

/** A stream, as its session sees it. */
export interface SessionStream {
  readonly session: UpstreamSession;
  /** How long it may wait for a connection. */
  readonly connectMs: number;
  moveTo(session: UpstreamSession): void;
  connected(): void;
  fail(failure: UpstreamFailure, fault?: ReaderFault): void;
}

/** Where a session comes from. */
export interface SessionOwner {
  readonly limits: Limits;
  readonly head: ResponseHead;
  readonly trailers: FieldBlock;
  readonly sockets: Sockets;
  readonly connecting: DeadlineLists<UpstreamSession>;
  readonly idling: DeadlineList<UpstreamSession>;
  /** Something threw on a connection that is none of one exchange. */
  onFault(fault: unknown): void;
  /** The session has no room for a stream that waits for it. */
  moveOn(stream: SessionStream): void;
  /** The upstream said how many streams it allows on a connection. */
  learn(session: UpstreamSession, allowed: number): void;
  /** A session takes no more streams. */
  forget(session: UpstreamSession): void;
}

/** One HTTP/2 connection to an upstream (RFC 9113 3.3: with prior knowledge, or by ALPN over TLS). */
export class UpstreamSession implements ConnectionUser, SocketUser {
  readonly sessions: SessionOwner;
  readonly state: EndpointState;
  readonly tls: UpstreamTls | null;
  readonly deadline = new Deadline<UpstreamSession>(this);
  readonly #socket: ByteSocket;
  #connection: Http2Connection | null = null;
  /** What was agreed on by ALPN; without TLS it is known before. */
  #alpn: () => string | false | null = () => 'h2';
  /** There is a connection, and the upstream has not sent its settings yet. */
  #shaking = false;
  readonly #streams = new Set<SessionStream>();
  #phase: Phase = 'connecting';
  #connectMs = 0;
  /** Streams that the upstream allows at one time; before it has said so, what it said on another connection. */
  #allowed: number;
  /** A stream was begun on it. */
  hasServed = false;

  constructor(sessions: SessionOwner, state: EndpointState, tls: UpstreamTls | null, allowed: number) {
    this.sessions = sessions;
    this.state = state;
    this.tls = tls;
    this.#allowed = allowed;
    this.#socket = this.#connect();
  }

  /** What only Node can do, handshakes of TLS and several addresses of one name, is done by sockets of Node. */
  #connect(): ByteSocket {
    const { tls, state } = this;
    const { sockets } = this.sessions;
    const { address, port } = state.endpoint;
    if (!tls && !state.name) return sockets.connect(address, port, HIGH_WATER_MARK, this);
    const where = { host: address, port, noDelay: true, allowHalfOpen: true };
    const options = { ...where, ...state.name?.connectOptions };
    if (!tls) {
      const socket = connectTcp(options);
      state.name?.watch(socket);
      return sockets.making(socket, HIGH_WATER_MARK, this);
    }
    const socket = connectTls({ ...options, ...tls.options, ALPNProtocols: ['h2'] });
    socket.once('connect', () => (this.#shaking = true));
    state.name?.watch(socket);
    this.#alpn = () => socket.alpnProtocol;
    return sockets.making(socket, HIGH_WATER_MARK, this);
  }

  onConnect(): void {
    this.#shaking = true;
    // An upstream that does not choose h2 would be spoken to in a language it does not know.
    if (this.#alpn() === 'h2') this.#begin();
    else this.destroy();
  }

  onBytes(bytes: Buffer, length: number): void {
    this.#connection?.read(bytes, length);
  }

  onSocketEnd(): void {
    this.destroy();
  }

  onSocketDrain(): void {
    this.#connection?.onDrain();
  }

  onSocketFinish(): void {}

  onSocketClose(error: NodeJS.ErrnoException | null): void {
    this.destroy(error ?? undefined);
  }

  onWriteFailed(): boolean {
    return false;
  }

  /** Past the boundaries of the exchanges a fault ends this connection, and what it serves. */
  onSocketFault(fault: unknown): void {
    this.sessions.onFault(fault);
    this.destroy();
  }

  get scheme(): 'http' | 'https' {
    return this.tls ? 'https' : 'http';
  }

  /** RFC 8441 3 */
  get offersTunnels(): boolean {
    return this.#connection?.remote.connectProtocol ?? false;
  }

  get isOpen(): boolean {
    return this.#phase === 'open' || this.#phase === 'retired';
  }

  get hasRoom(): boolean {
    if (this.#phase !== 'connecting' && this.#phase !== 'open') return false;
    return this.#streams.size < this.#allowed;
  }

  add(stream: SessionStream): void {
    this.#streams.add(stream);
    // The connection is given up when those that wait longest for it have.
    if (this.#phase === 'connecting' && stream.connectMs > this.#connectMs) {
      this.#connectMs = stream.connectMs;
      this.deadline.arm(this.sessions.connecting.of(stream.connectMs));
    }
    if (this.#phase === 'open') this.deadline.clear();
  }

  /** A stream is over, or never was. */
  delete(stream: SessionStream): void {
    if (!this.#streams.delete(stream) || this.#streams.size > 0) return;
    if (this.#phase === 'open') this.deadline.arm(this.sessions.idling);
  }

  /** Null when the connection takes no more streams. */
  begin(memory: ByteCount | null): Http2Stream | null {
    this.hasServed = true;
    const stream = this.#connection?.open(memory) ?? null;
    // Its numbers are used up (RFC 9113 5.1.1).
    if (!stream) this.retire();
    return stream;
  }

  connectTimedOut(): void {
    this.#fail('connect-timed-out');
  }

  /** Takes no more streams, and closes when those it has are over. */
  retire(): void {
    this.#leave();
    this.#connection?.close();
  }

  /** Its endpoint left the table. Streams that wait for the connection have sent nothing: they go elsewhere. */
  endpointGone(): void {
    if (this.#phase === 'connecting') this.#fail('endpoint-gone');
    else this.retire();
  }

  destroy(error?: Error): void {
    if (this.#phase !== 'connecting') return this.#fail('reset');
    if (this.#shaking) return this.#fail('handshake-failed');
    const { kind, detail } = failedConnect(error);
    this.#fail(kind, detail);
  }

  #begin(): void {
    if (this.#phase !== 'connecting' || this.#connection) return;
    const { headBytes, fieldCount } = this.sessions.limits;
    const settings = {
      role: 'client',
      window: CONNECTION_WINDOW,
      streamWindow: FIRST_WINDOW,
      mostStreamWindow: FIRST_WINDOW,
      streams: 0,
      memory: null,
      headBytes,
      fieldCount,
    } as const;
    this.#connection = new Http2Connection(this.#socket, settings, this);
    this.#socket.resume();
  }

  // ── As the connection sees it ────────────────────────────────────────────────────────────────────────────────

  onRequest(): void {}

  onSettings(): void {
    const allowed = Math.min(MOST_STREAMS, this.#connection?.remote.maxConcurrentStreams ?? 0);
    this.#allowed = allowed;
    this.sessions.learn(this, allowed);
    if (this.#phase !== 'connecting') return;
    if (allowed === 0) return this.destroy();
    this.#phase = 'open';
    this.deadline.clear();
    let room = allowed;
    for (const stream of [...this.#streams]) {
      if (room-- > 0) stream.connected();
      else this.sessions.moveOn(stream);
    }
    if (this.#streams.size === 0) this.deadline.arm(this.sessions.idling);
  }

  onGoaway(): void {
    this.retire();
  }

  /** Pods are asked nothing by PINGs. */
  onPong(): void {}

  /** An upstream is given all the room that it wants. */
  onCheapFrame(): void {}

  onOver(): void {
    if (this.#phase === 'closed') return;
    // What it said were no settings.
    if (this.#phase === 'connecting') return this.destroy();
    this.#phase = 'closed';
    this.deadline.clear();
    this.sessions.forget(this);
    this.#socket.end();
    // An upstream that keeps its side open is not waited for.
    setImmediate(() => this.#socket.destroy());
  }

  #leave(): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'retired';
    this.deadline.clear();
    this.sessions.forget(this);
  }

  #fail(failure: UpstreamFailure, fault: ReaderFault = ''): void {
    if (this.#phase === 'closed') return;
    const connecting = this.#phase === 'connecting';
    this.#phase = 'closed';
    this.deadline.clear();
    this.sessions.forget(this);
    this.#connection?.lost(ErrorCode.cancel);
    this.#socket.destroy();
    // Streams that were begun are told by their own close, which knows more.
    if (connecting) for (const stream of [...this.#streams]) stream.fail(failure, fault);
  }
}
