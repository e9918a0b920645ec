import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { EndpointState } from '../../balance/endpoint-pool.ts';
import type { Leniency } from '../../http1/leniency.ts';
import type { Limits } from '../../limits.ts';
import type { WriteBuffer } from '../../write-buffer.ts';
import { BodyReader } from '../../http1/body-reader.ts';
import type { UpstreamTls } from '../tls-terms.ts';
import { composeChunkedEnd } from '../../downstream/http1/client-head.ts';
import { Deadline, type DeadlineList } from '../../deadlines.ts';
import { PendingBytes } from '../../pending-bytes.ts';
import type { ByteSocket, SocketUser } from '../../sockets/byte-socket.ts';
import type { Sockets } from '../../sockets/sockets.ts';
import { failedConnect } from '../connect-failure.ts';
import type { ReaderFault } from '../../native-record.ts';
import { ResponseHead } from './response-head-parser.ts';
import type { TimedUpstream } from '../../route-deadlines.ts';
import type { TunnelEnd } from '../../tunnel-end.ts';
import type { Upstream } from '../upstream.ts';
import type { Trailers } from '../../http1/field-block.ts';
import { SocketEnd } from '../../socket-end.ts';
import type { UpstreamFailure, UpstreamUser } from '../upstream-user.ts';

/** 1xx responses to one request; more are an attempt to keep it for ever. */
const MOST_INTERIMS = 32;

/**
 * What an HTTP/1.1 connection to an upstream is at; `#reading` says how far into the response a busy one is.
 *
 *     connecting ──▶ busy ◀──▶ idle           an exchange has it, or it waits for the next one
 *                     │         │
 *                     ▼         └──▶ closed   the next one did not come in time
 *                   tunnel ──▶ lingering ──▶ closed
 *
 * `lingering`: our last bytes are on their way. A failure, or an exchange that cannot leave it in order, leads from each of
 * them to closed.
 */
type Phase = 'connecting' | 'idle' | 'busy' | 'tunnel' | 'lingering' | 'closed';

/** Where a connection comes from, and goes back to. */
export interface ConnectionOwner {
  readonly limits: Limits;
  readonly leniency: Leniency;
  readonly output: WriteBuffer;
  readonly sockets: Sockets;
  readonly highWaterMark: number;
  lingering: number;
  /** Something threw on a connection that serves no exchange. */
  onFault(fault: unknown): void;
  /** Keeps a connection that has served; false when it must be closed instead. */
  put(connection: UpstreamConnection, lastHead: ResponseHead): boolean;
  forget(connection: UpstreamConnection): void;
}

/** One connection to an upstream, and what is read on it. */
export class UpstreamConnection implements Upstream, TimedUpstream, SocketUser {
  readonly #pool: ConnectionOwner;
  readonly endpointKey: string;
  readonly poolKey: string;
  readonly socket: ByteSocket;
  readonly deadline = new Deadline<TimedUpstream>(this);
  phase: Phase = 'connecting';
  #user: UpstreamUser | null;
  /** It has served an exchange before the one it serves now. */
  reused = false;
  /** Its endpoint left the table: it serves what it serves, and nothing after. */
  retired = false;
  /** On the monotonic clock: from then on the upstream may close it at any moment. */
  idleUntil = 0;
  #reading: 'nothing' | 'head' | 'body' = 'nothing';
  #interims = 0;
  /** There is a connection, and TLS is not agreed on yet. */
  #shaking = false;
  /** Something of the request of the exchange was sent. */
  #asked = false;
  /** The upstream has closed: what it sent before may be incomplete, although its end looks like any other. */
  #writeFailed = false;
  readonly #head: ResponseHead;
  readonly #body: BodyReader;
  readonly #partial = new PendingBytes();

  constructor(
    pool: ConnectionOwner,
    state: EndpointState,
    tls: UpstreamTls | null,
    poolKey: string,
    user: UpstreamUser,
  ) {
    this.#pool = pool;
    this.#user = user;
    this.endpointKey = state.key;
    this.poolKey = poolKey;
    this.#head = new ResponseHead(pool.limits, pool.leniency);
    this.#body = new BodyReader(pool.limits, pool.leniency);
    this.socket = this.#connect(state, tls);
  }

  /** What only Node can do, handshakes of TLS and several addresses of one name, is done by sockets of Node. */
  #connect(state: EndpointState, tls: UpstreamTls | null): ByteSocket {
    const { sockets, highWaterMark } = this.#pool;
    const { address, port } = state.endpoint;
    if (!tls && !state.name) return sockets.connect(address, port, highWaterMark, this);
    const where = { host: address, port, noDelay: true, allowHalfOpen: true, highWaterMark };
    const options = { ...where, ...state.name?.connectOptions };
    const socket = tls
      ? connectTls({ ...options, ...tls.options, ALPNProtocols: ['http/1.1'] })
      : connectTcp(options);
    if (tls) socket.once('connect', () => (this.#shaking = true));
    state.name?.watch(socket);
    return sockets.making(socket, highWaterMark, this);
  }

  onSocketFault(fault: unknown): void {
    // Past the boundary of the exchange a fault ends this connection, and what it serves.
    const user = this.#user;
    this.destroy();
    if (user) user.onFault(fault);
    else this.#pool.onFault(fault);
  }

  onWriteFailed(): boolean {
    this.#writeFailed = true;
    return true;
  }

  onSocketDrain(): void {
    this.#user?.onDrain();
  }

  onSocketFinish(): void {}

  /** Takes an idle connection for an exchange. */
  begin(user: UpstreamUser): void {
    this.#user = user;
    this.reused = true;
    this.#expect();
  }

  get isCall(): boolean {
    return false;
  }

  get isConnected(): boolean {
    return this.phase !== 'connecting';
  }

  head(text: string): void {
    this.#pool.output.text(text);
  }

  content(bytes: Buffer, from: number, to: number, chunked: boolean): void {
    if (chunked) this.#pool.output.chunk(bytes, from, to);
    else this.#pool.output.copy(bytes, from, to);
  }

  done(trailers: Trailers, chunked: boolean): void {
    if (chunked) composeChunkedEnd(this.#pool.output, trailers);
  }

  send(): boolean {
    const isWritable = this.#pool.output.send(this.socket);
    if (!this.#writeFailed) this.#asked = true;
    return isWritable;
  }

  get queuedBytes(): number {
    return this.socket.writableLength;
  }

  readLittle(): void {
    this.socket.mayReadMuch = false;
  }

  get isPaused(): boolean {
    return this.socket.isPaused;
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  startTimer(list: DeadlineList<TimedUpstream>): void {
    this.deadline.arm(list);
  }

  stopTimer(): void {
    this.deadline.clear();
  }

  /** The exchange is done with it. */
  release(reusable: boolean): void {
    this.#user = null;
    this.deadline.clear();
    if (this.phase === 'closed' || this.phase === 'lingering') return;
    if (!reusable || this.retired || this.socket.writableLength > 0 || !this.#pool.put(this, this.#head)) {
      return this.destroy();
    }
    // The client may have been slow to the end. An idle connection is read to see when it ends.
    this.socket.resume();
  }

  tunnelEnd(): TunnelEnd {
    return new SocketEnd(this.socket, this.#pool.output, (bytes) => this.#farewell(bytes));
  }

  /** The last bytes of a tunnel: it closes by itself when the upstream has ended too, at the latest with the pool. */
  #farewell(bytes: Buffer): void {
    if (this.phase === 'closed') return;
    this.phase = 'lingering';
    this.#pool.lingering++;
    if (bytes.length > 0) this.socket.write(bytes, NOT_AWAITED);
    this.socket.end();
    this.socket.resume();
  }

  destroy(): void {
    if (this.phase === 'closed') return;
    if (this.phase === 'lingering') this.#pool.lingering--;
    this.phase = 'closed';
    this.#user = null;
    this.deadline.clear();
    this.#pool.forget(this);
    this.socket.destroy();
  }

  /** The upstream was silent for too long, or nobody needed the connection. */
  timedOut(): void {
    this.#fail('timed-out');
  }

  /** Its endpoint left the table: what was sent on it is finished, and nothing else begins. */
  retire(): void {
    this.retired = true;
    if (this.phase === 'connecting') this.#fail('endpoint-gone');
    else if (this.phase === 'idle') this.destroy();
  }

  onConnect(): void {
    if (this.phase !== 'connecting') return;
    this.#expect();
    this.socket.resume();
    this.#user?.onConnected();
  }

  #expect(): void {
    this.phase = 'busy';
    this.#reading = 'nothing';
    this.#interims = 0;
    this.#asked = false;
    this.#head.reset();
    this.socket.mayReadMuch = true;
  }

  onBytes(bytes: Buffer, length: number): void {
    switch (this.phase) {
      case 'busy':
        return this.#read(bytes, length);
      case 'tunnel':
        return this.#user?.onTunnelBytes(bytes, 0, length);
      case 'idle':
        // Nobody asked: whatever it is, it must not become the answer to the next request.
        return this.destroy();
      case 'connecting':
      case 'lingering':
      case 'closed':
        return;
      default:
        this.phase satisfies never;
    }
  }

  #read(bytes: Buffer, length: number): void {
    const user = this.#user;
    if (!user) return;
    // Said to an idle connection, a 408 for one, and no answer to what the upstream never got.
    if (this.reused && !this.#asked) return this.#fail('reset');
    let at = 0;
    let end = length;
    if (this.#reading !== 'body') {
      if (this.#partial.length > 0) {
        this.#partial.add(bytes, 0, length);
        bytes = this.#partial.bytes;
        end = this.#partial.length;
      }
      for (;;) {
        if (at === end) return this.#headGoesOn(bytes, at, end);
        this.#reading = 'head';
        const head = this.#head;
        const progress = head.read(bytes, at, end, user);
        if (progress === 'more') return this.#headGoesOn(bytes, at, end);
        if (progress !== 'done') return this.#fail('protocol-error', progress);
        const base = at;
        at += head.length;
        if (head.status === 101) {
          this.phase = 'tunnel';
          this.deadline.clear();
          user.onSwitch(head, bytes, base, at, end);
          this.#partial.clear();
          return;
        }
        if (head.status >= 200) {
          this.#reading = 'body';
          this.#body.start(head.framing);
          user.onHead(head, bytes, base);
          // It may have been answered otherwise.
          if (this.#user !== user) return;
          break;
        }
        if (++this.#interims > MOST_INTERIMS) return this.#fail('protocol-error', 'too-many-interims');
        user.onInterim(head, bytes, base);
        if (this.#user !== user) return;
        head.reset();
      }
    }
    this.#readBody(bytes, at, end);
    // Only now: what was read of the body was in it too.
    if (this.#partial.length > 0) this.#partial.clear();
  }

  /** Keeps what there is of a head until more comes. */
  #headGoesOn(bytes: Buffer, at: number, end: number): void {
    const held = this.#partial;
    if (held.length === 0) {
      held.count = this.#user?.memory ?? null;
      held.add(bytes, at, end);
    } else if (at > 0) {
      const rest = Buffer.from(bytes.subarray(at, end));
      held.clear();
      held.add(rest, 0, rest.length);
    }
    this.#user?.onFlush();
  }

  /** Its user may go within each of these calls, and nothing is for it then. */
  #readBody(bytes: Buffer, from: number, end: number): void {
    let at = from;
    const body = this.#body;
    for (;;) {
      const progress = body.read(bytes, at, end);
      at = body.next;
      switch (progress) {
        case 'content':
          this.#user?.onContent(bytes, body.from, body.to);
          break;
        case 'more':
          return this.#user?.onFlush();
        case 'done':
          // Bytes after the end answer nothing that was asked: the connection is not used again.
          return this.#user?.onDone(body, at === end && this.#head.persists && !this.#writeFailed);
        default:
          return this.#fail('protocol-error', progress);
      }
    }
  }

  /** The upstream will send no more. */
  onSocketEnd(): void {
    if (this.#writeFailed) return this.onSocketClose(null);
    if (this.phase === 'tunnel') return this.#user?.onTunnelEnd();
    if (this.phase === 'busy' && this.#reading === 'body' && this.#body.end()) {
      return this.#user?.onDone(this.#body, false);
    }
    this.onSocketClose(null);
  }

  onSocketClose(error: NodeJS.ErrnoException | null): void {
    if (this.phase === 'closed') return;
    if (this.phase === 'connecting') {
      if (this.#shaking) return this.#fail('handshake-failed');
      const { kind, detail } = failedConnect(error ?? undefined);
      return this.#fail(kind, detail);
    }
    this.#fail(this.#reading === 'nothing' ? 'reset' : 'incomplete-response');
  }

  #fail(failure: UpstreamFailure, fault: ReaderFault = ''): void {
    const user = this.#user;
    this.destroy();
    user?.onUpstreamFailure(failure, fault);
  }
}

const NOT_AWAITED = (): void => {};
