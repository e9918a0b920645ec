import type { HeadEdit } from '../../../http/head-edit.ts';
import type { ConnectionInfo } from '../../../http/connection-info.ts';
import type { LocalResponse } from '../../../http/local-response.ts';
import { authorityOfSocket } from '../../../http/connection-info.ts';
import type { ByteSocket, SocketUser } from '../../sockets/byte-socket.ts';
import { BodyRate } from '../../body-rate.ts';
import { BodyReader } from '../../http1/body-reader.ts';
import { composeLocalResponse, composeChunkedEnd, composeHead } from './client-head.ts';
import type { ClientFraming, ConnectionOption } from '../../http1/framing.ts';
import { Deadline } from '../../deadlines.ts';
import { ExchangeBoundary } from '../../exchange-boundary.ts';
import { ConnectionMemory } from '../../connection-memory.ts';
import { PendingBytes } from '../../pending-bytes.ts';
import type { EngineState, TimedClient } from '../../engine-state.ts';
import { RequestHead, messageFault } from './request-head.ts';
import type { ResponseHead } from '../../upstream/http1/response-head-parser.ts';
import type { Downstream } from '../downstream.ts';
import type { TunnelEnd } from '../../tunnel-end.ts';
import type { Trailers } from '../../http1/field-block.ts';
import { SocketEnd } from '../../socket-end.ts';
import { MOST_LINGER_MS, isDiscardable } from '../../unread-body.ts';

/**
 * What a connection of a client is at.
 *
 *     ┌──▶ head ──▶ body ──▶ waiting ──┐      the next request
 *     │     │         └──▶ discarding ─┤
 *     └─────┼──────────────────────────┘
 *           └──▶ tunnel ──▶ lingering ──▶ closed
 *
 * A response that says `Connection: close` leads from each to lingering, a failure to closed.
 */
type Phase =
  /** Between requests, or within a head. */
  | 'head'
  | 'body'
  /** The response is complete and the request is not: its rest is thrown away, and the next request follows. */
  | 'discarding'
  /** The request is all there, its response is not. */
  | 'waiting'
  | 'tunnel'
  /** Our last byte is on its way: what comes is read and thrown away, so that no reset overtakes it. */
  | 'lingering'
  | 'closed';

/** One connection of a client: finds the requests in its bytes and gives them to exchanges, one after the other. */
export class ClientConnection implements Downstream, SocketUser {
  readonly #engine: EngineState;
  readonly socket: ByteSocket;
  readonly connectionInfo: ConnectionInfo;
  readonly memory: ConnectionMemory;
  readonly deadline = new Deadline<TimedClient>(this);
  phase: Phase = 'head';
  #exchange: ExchangeBoundary | null = null;
  readonly #body: BodyReader;
  readonly #rate: BodyRate;
  /** Its own while a head is coming in pieces; the pieces are in `#held`. */
  #head: RequestHead | null = null;
  /** The beginning of a head, or what was sent before its turn came. */
  readonly #held: PendingBytes;
  #advancing = false;
  #ended = false;
  /** With its last request. */
  #saidClose = false;
  /** Requests begun. */
  #requests = 0;
  /** When our last byte was given to the socket, on the clock of the deadlines. */
  #lingersSince = 0;

  constructor(engine: EngineState, socket: ByteSocket, connectionInfo: ConnectionInfo) {
    this.#engine = engine;
    this.memory = new ConnectionMemory(engine.memory, Number.POSITIVE_INFINITY, NEVER, NEVER);
    this.#held = new PendingBytes(this.memory);
    this.socket = socket;
    this.#body = new BodyReader(engine.context.limits);
    const { bodyMinRate, bodyIdleTimeoutMs } = engine.context.limits;
    this.#rate = new BodyRate(bodyMinRate, bodyIdleTimeoutMs);
    this.connectionInfo = connectionInfo;
    socket.user = this;
    this.deadline.arm(engine.heads);
    socket.resume();
  }

  onConnect(): void {}

  onSocketClose(): void {
    this.destroy();
  }

  onWriteFailed(): boolean {
    return false;
  }

  /** Past the boundary of an exchange a fault ends this connection, and no other. */
  onSocketFault(fault: unknown): void {
    this.#engine.context.onFault(fault);
    this.destroy();
  }

  /** Whether another request may follow the one that is being answered. */
  get mayPersist(): boolean {
    return (
      !this.#engine.draining &&
      !this.#engine.closingListeners.has(this.connectionInfo.listener) &&
      !this.#ended &&
      this.#requests < this.#engine.context.limits.requestsPerConnection
    );
  }

  get mayDiscardBody(): boolean {
    return isDiscardable(this.#body.rest);
  }

  /** No request is being answered, and nothing of another one is there. */
  get isIdle(): boolean {
    return this.phase === 'discarding' || (this.phase === 'head' && this.#held.length === 0);
  }

  get queuedBytes(): number {
    return this.socket.writableLength;
  }

  get quietSince(): number {
    return this.deadline.since;
  }

  /** The next response will say it. */
  announceDrain(): void {}

  /** Stops reading until `resume`: who should take the bytes does not keep up. */
  pause(): void {
    this.socket.pause();
    this.#rate.pause();
    this.deadline.clear();
  }

  resume(): void {
    if (this.phase === 'closed') return;
    this.socket.resume();
    if (this.phase === 'body') this.deadline.arm(this.#engine.bodies);
  }

  get isHttp2(): boolean {
    return false;
  }

  get ownAuthority(): string {
    return authorityOfSocket(this.socket, this.connectionInfo);
  }

  /** gRPC is HTTP/2: over HTTP/1.1 nothing is exempted. */
  isCall(): void {}

  askForBody(): void {
    this.#engine.output.text('HTTP/1.1 100 Continue\r\n\r\n');
    this.send();
  }

  interim(head: ResponseHead, bytes: Buffer, base: number): void {
    composeHead(this.#engine.output, head, bytes, base, 'none', '', this.#engine.context.now());
  }

  head(
    head: ResponseHead,
    bytes: Buffer,
    base: number,
    framing: ClientFraming,
    word: ConnectionOption,
    edit: HeadEdit | null,
  ): void {
    const { output, context } = this.#engine;
    composeHead(output, head, bytes, base, framing, word, context.now(), edit);
  }

  content(bytes: Buffer, from: number, to: number, framing: ClientFraming): void {
    if (framing === 'chunked') this.#engine.output.chunk(bytes, from, to);
    else this.#engine.output.copy(bytes, from, to);
  }

  done(trailers: Trailers, framing: ClientFraming): void {
    if (framing === 'chunked') composeChunkedEnd(this.#engine.output, trailers);
  }

  respond(answer: LocalResponse, word: ConnectionOption, isHead: boolean): void {
    composeLocalResponse(this.#engine.output, answer, word, isHead, this.#engine.context.now());
  }

  /** Writes what is in the slab. */
  send(): boolean {
    const isWritable = this.#engine.output.send(this.socket);
    this.memory.setQueued(this.socket.writableLength);
    return isWritable;
  }

  onBackpressure(): void {
    this.deadline.arm(this.#engine.bodies);
  }

  onDrained(): void {
    this.deadline.clear();
  }

  /** The exchange is over and its response written. */
  exchangeOver(persists: boolean): void {
    this.#exchange = null;
    if (this.phase === 'closed') return;
    if (persists && this.phase === 'body') return this.#discard();
    if (!persists || this.phase !== 'waiting') return this.#endsAtOnce ? this.destroy() : this.#linger();
    this.#awaitRequest();
    if (!this.#advancing && this.#held.length > 0) this.#goOn();
  }

  /** The client has said that it sends no more, and the kernel has our last byte: no reset can overtake it. */
  get #endsAtOnce(): boolean {
    const { isSecure, writableLength } = this.socket;
    return (
      this.#saidClose &&
      this.phase === 'waiting' &&
      this.#held.length === 0 &&
      writableLength === 0 &&
      !isSecure
    );
  }

  #awaitRequest(): void {
    this.phase = 'head';
    this.deadline.arm(this.#engine.keepAlives);
  }

  #discard(): void {
    this.phase = 'discarding';
    this.deadline.arm(this.#engine.discards);
    this.socket.resume();
  }

  switchToTunnel(): { readonly end: TunnelEnd; readonly early: Buffer } {
    this.phase = 'tunnel';
    const early = Buffer.from(this.#held.bytes.subarray(0, this.#held.length));
    this.#held.clear();
    this.deadline.clear();
    this.socket.resume();
    const end = new SocketEnd(
      this.socket,
      this.#engine.output,
      (bytes) => this.#farewell(bytes),
      this.memory,
    );
    return { end, early };
  }

  headTimedOut(): void {
    new ExchangeBoundary(this.#engine, this, null).refuse('request-timed-out');
  }

  bodyTimedOut(): void {
    if (this.phase === 'lingering') this.destroy();
    else this.#exchange?.onClientStalled();
  }

  /** Ends an idle connection: nothing was asked, nothing is lost. */
  close(): void {
    this.#linger();
  }

  destroy(): void {
    if (this.phase === 'closed') return;
    this.phase = 'closed';
    this.deadline.clear();
    this.#engine.clients.delete(this);
    this.socket.destroy();
    this.#exchange?.onClientGone();
    this.#exchange = null;
    this.memory.close();
  }

  evict(): void {
    this.destroy();
  }

  shed(): void {
    this.#exchange?.abortForMemory();
    this.destroy();
  }

  /** The time to drain is over. A WebSocket is told, and stays for a moment to take note of it. */
  abortForDrain(): void {
    const hasTunnel = this.#exchange?.hasTunnel === true;
    this.#exchange?.abortForDrain();
    if (!hasTunnel) this.destroy();
  }

  /** The last bytes of a tunnel. */
  #farewell(bytes: Buffer): void {
    if (bytes.length > 0) this.socket.write(bytes, NEVER);
    this.#linger();
  }

  /**
   * Ends it within a response. One that lasts until the close needs a reset, or the client would take what it got
   * for all there is; the others say how much is missing, and what is under way still arrives.
   */
  abort(reset: boolean): void {
    if (this.phase === 'closed' || this.phase === 'lingering') return;
    if (reset) this.socket.reset();
    this.destroy();
  }

  #linger(): void {
    if (this.phase === 'closed' || this.phase === 'lingering') return;
    this.phase = 'lingering';
    this.#lingersSince = this.#engine.deadlines.now;
    this.#held.clear();
    this.deadline.arm(this.socket.writableLength > 0 ? this.#engine.bodies : this.#engine.lingers);
    // When the client has ended its side too, the socket closes by itself.
    this.socket.end();
    this.socket.resume();
  }

  /** The kernel has our last byte. */
  onSocketFinish(): void {
    if (this.phase === 'lingering') this.deadline.arm(this.#engine.lingers);
  }

  /** A reset while the client still sends would take our last bytes from it, so the wait goes on, within bounds. */
  #stillSends(): void {
    const { deadlines, lingers } = this.#engine;
    if (this.socket.isFinished && deadlines.now - this.#lingersSince < MOST_LINGER_MS)
      this.deadline.arm(lingers);
  }

  onBytes(bytes: Buffer, length: number): void {
    switch (this.phase) {
      case 'head':
        if (this.#head || this.#held.length > 0) {
          this.#held.add(bytes, 0, length);
          return this.#goOn();
        }
        return this.#advance(bytes, 0, length);
      case 'body':
      case 'discarding':
        return this.#advance(bytes, 0, length);
      case 'waiting':
        return this.#hold(bytes, 0, length);
      case 'tunnel':
        return this.#exchange?.onClientTunnelBytes(bytes, 0, length);
      case 'lingering':
        return this.#stillSends();
      case 'closed':
        return;
      default:
        this.phase satisfies never;
    }
  }

  /** Reads on in what was held: it moves out first, since what comes after it may be held again. */
  #goOn(): void {
    this.socket.resume();
    if (this.#head) return this.#advance(this.#held.bytes, 0, this.#held.length);
    const bytes = this.#held.bytes;
    const end = this.#held.length;
    this.#held.clear();
    this.#advance(bytes, 0, end);
  }

  /** Takes requests from the bytes, one after the other, as far as their turn has come. */
  #advance(bytes: Buffer, from: number, end: number): void {
    let at = from;
    this.#advancing = true;
    while (at < end) {
      if (this.phase === 'head') {
        // A client that sends requests and reads no responses must not fill our memory with them.
        if (this.socket.needsDrain) {
          if (!this.#head) this.#held.add(bytes, at, end);
          this.socket.pause();
          break;
        }
        const read = this.#readHead(bytes, at, end);
        if (read < 0) break;
        at += read;
      } else if (this.phase === 'body' || this.phase === 'discarding') {
        at = this.#readBody(bytes, at, end);
      } else {
        if (this.phase === 'waiting') this.#hold(bytes, at, end);
        break;
      }
    }
    this.#advancing = false;
  }

  /** Its length once it is all there, and the exchange begun; otherwise -1. */
  #readHead(bytes: Buffer, at: number, end: number): number {
    const engine = this.#engine;
    const head = this.#head ?? engine.spareHead;
    if (!this.#head) head.reset();
    const progress = head.read(bytes, at, end);
    if (progress === 'more') {
      this.#headGoesOn(head, bytes, at, end);
      return -1;
    }
    this.deadline.clear();
    this.#requests++;
    if (this.#head) {
      this.#head = null;
      this.#held.clear();
    }
    if (progress === 'version-not-supported' && this.#isHttp2(bytes, at, end)) return -1;
    const exchange = new ExchangeBoundary(engine, this, head);
    if (progress !== 'done') {
      exchange.refuse(messageFault(progress), progress);
      return -1;
    }
    const { length } = head;
    this.#exchange = exchange;
    const { framing } = head;
    this.#saidClose = head.minor === 1 ? head.connection.close : !head.connection.keepAlive;
    this.#body.start(framing);
    this.#rate.pause();
    this.phase = framing.kind === 'none' ? 'waiting' : 'body';
    exchange.begin(head, bytes, at);
    return length;
  }

  /** HTTP/2 with prior knowledge (RFC 9113 3.3), where that is served: from here on it is another's connection. */
  #isHttp2(bytes: Buffer, at: number, end: number): boolean {
    const { acceptHttp2, clients } = this.#engine;
    if (this.#requests > 1 || !this.#engine.takesHttp2(this.connectionInfo)) return false;
    if (bytes.toString('latin1', at, at + HTTP2_LINE.length) !== HTTP2_LINE) return false;
    const { socket } = this;
    const begun = Buffer.from(bytes.subarray(at, end));
    this.phase = 'closed';
    this.#held.clear();
    this.memory.close();
    clients.delete(this);
    socket.pause();
    socket.unshift(begun);
    acceptHttp2(socket, this.connectionInfo);
    return true;
  }

  /** Keeps the pieces and the reading of a head until the rest comes. */
  #headGoesOn(head: RequestHead, bytes: Buffer, at: number, end: number): void {
    if (this.#head) return;
    this.#head = head;
    this.#engine.spareHead = new RequestHead(this.#engine.context.limits);
    this.#held.add(bytes, at, end);
    if (this.#requests > 0) this.deadline.arm(this.#engine.heads);
  }

  #readBody(bytes: Buffer, from: number, end: number): number {
    const exchange = this.#exchange;
    const body = this.#body;
    let at = from;
    let content = 0;
    for (;;) {
      const progress = body.read(bytes, at, end);
      at = body.next;
      switch (progress) {
        case 'content':
          content += body.to - body.from;
          exchange?.onRequestContent(bytes, body.from, body.to);
          // It may have been refused, and lingers now.
          if (this.#exchange !== exchange) return end;
          break;
        case 'more':
          if (!exchange) return end;
          this.deadline.arm(this.#engine.bodies);
          if (!this.#rate.came(content, this.#engine.deadlines.now)) exchange.onClientStalled();
          else exchange.onRequestFlush();
          return end;
        case 'done':
          if (!exchange) {
            this.#awaitRequest();
            return at;
          }
          this.deadline.clear();
          this.phase = 'waiting';
          exchange.onRequestDone(body);
          return at;
        default:
          exchange?.refuse('bad-framing', progress);
          return end;
      }
    }
  }

  /** What came before its turn. */
  #hold(bytes: Buffer, from: number, end: number): void {
    this.#held.add(bytes, from, end);
    if (this.#held.length >= this.#engine.context.limits.bufferBytes) this.socket.pause();
  }

  onSocketDrain(): void {
    this.memory.setQueued(0);
    if (this.phase === 'head' && this.#held.length > 0) this.#goOn();
    else this.#exchange?.onClientDrain();
  }

  /** The client will send no more. Who asked and does not wait for the answer is gone. */
  onSocketEnd(): void {
    this.#ended = true;
    if (this.phase === 'tunnel') this.#exchange?.onClientTunnelEnd();
    else if (this.phase === 'head' || this.phase === 'discarding') this.#linger();
    else if (this.phase !== 'lingering') this.destroy();
  }
}

const NEVER = (): void => {};

/** How a connection begins that is not HTTP/1.1 (RFC 9113 3.4). */
const HTTP2_LINE = 'PRI * HTTP/2.0\r\n';
