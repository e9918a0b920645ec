import type { ConnectionInfo } from '../../../http/connection-info.ts';
import type { ByteSocket, SocketUser } from '../../sockets/byte-socket.ts';
import { ConnectionMemory } from '../../connection-memory.ts';
import { Deadline, type DeadlineList } from '../../deadlines.ts';
import type { Client } from '../../client.ts';
import type { EngineState } from '../../engine-state.ts';
import { FloodGuard } from './flood-guard.ts';
import { ClientStream, type StreamSession, type StreamTimes } from './client-stream.ts';
import type { Decoded } from '../../http2/hpack/decoder.ts';
import { Http2Connection } from '../../http2/wire/connection.ts';
import type { ConnectionUser } from '../../http2/wire/connection-user.ts';
import { ErrorCode } from '../../http2/wire/frame.ts';
import { CLIENT_STREAM_WINDOW } from '../../http2/wire/receive-window.ts';
import type { Http2Stream } from '../../http2/wire/stream.ts';
import type { OpenBatches } from './body-batch.ts';

/** Of all streams of a connection together: bytes of request bodies that come before it is known who takes them. */
const CONNECTION_WINDOW = 16 * CLIENT_STREAM_WINDOW;
/** Half of it: one upload whose Pod takes nothing leaves room for others. */
const MOST_STREAM_WINDOW = 8 * CLIENT_STREAM_WINDOW;

/** The time limits that connections share, and their streams. */
export interface SessionTimes extends StreamTimes {
  readonly engine: EngineState;
  readonly prefaces: DeadlineList<ClientSession>;
  readonly heads: DeadlineList<ClientSession>;
  readonly idles: DeadlineList<ClientSession>;
  /** For all that was written before it. */
  readonly farewells: DeadlineList<ClientSession>;
  /** After our last frame. */
  readonly lingers: DeadlineList<ClientSession>;
}

/** One connection of a client that speaks HTTP/2: gives each stream to an exchange, and bounds what they cost. */
export class ClientSession implements Client, ConnectionUser, StreamSession, SocketUser {
  readonly clients: SessionTimes;
  readonly engine: EngineState;
  readonly connectionInfo: ConnectionInfo;
  readonly memory: ConnectionMemory;
  readonly deadline = new Deadline<ClientSession>(this);
  /** For the rest of a frame or field section, from its first octet on. */
  readonly #rest = new Deadline<ClientSession>(this);
  #unfinished = 0;
  readonly #socket: ByteSocket;
  readonly #connection: Http2Connection;
  readonly #streams = new Set<ClientStream>();
  readonly batches: OpenBatches = { count: 0 };
  #begun = 0;
  /** As the client was told. */
  readonly #allowedStreams: number;
  #isToldToClose = false;
  /** The client knows that it should go, and what it sent before it knew is here. */
  #mayClose = false;
  readonly #floodGuard: FloodGuard;

  constructor(clients: SessionTimes, socket: ByteSocket, connectionInfo: ConnectionInfo) {
    const { limits } = clients.engine.context;
    this.clients = clients;
    this.engine = clients.engine;
    this.#floodGuard = new FloodGuard(this.engine.deadlines.now);
    this.connectionInfo = connectionInfo;
    this.#socket = socket;
    const { headBytes, fieldCount, streamsPerConnection: streams, connectionHeldBytes } = limits;
    this.#allowedStreams = streams;
    const memory = new ConnectionMemory(
      this.engine.memory,
      connectionHeldBytes / 2,
      () => this.#streams.forEach((stream) => stream.onConnectionFull()),
      () => this.#streams.forEach((stream) => stream.onConnectionRoom()),
    );
    this.memory = memory;
    const settings = {
      role: 'server',
      window: CONNECTION_WINDOW,
      streamWindow: CLIENT_STREAM_WINDOW,
      mostStreamWindow: MOST_STREAM_WINDOW,
      streams,
      memory,
      headBytes,
      fieldCount,
    } as const;
    this.#connection = new Http2Connection(socket, settings, this);
    socket.user = this;
    socket.resume();
    this.deadline.arm(clients.prefaces);
  }

  // ── As the socket sees it ────────────────────────────────────────────────────────────────────────────────────

  onConnect(): void {}

  onBytes(bytes: Buffer, length: number): void {
    this.#connection.read(bytes, length);
    this.#awaitRest();
  }

  /** A client that will not even acknowledge is gone. */
  onSocketEnd(): void {
    this.destroy();
  }

  onSocketDrain(): void {
    this.#connection.onDrain();
  }

  onSocketFinish(): void {
    this.deadline.arm(this.clients.lingers);
  }

  onSocketClose(): void {
    this.destroy();
  }

  onWriteFailed(): boolean {
    return false;
  }

  /** Past the boundaries of the exchanges: a fault ends this connection, and no other. */
  onSocketFault(fault: unknown): void {
    this.engine.context.onFault(fault);
    this.destroy();
  }

  #awaitRest(): void {
    const { unfinished } = this.#connection;
    if (unfinished === this.#unfinished) return;
    this.#unfinished = unfinished;
    if (unfinished === 0) this.#rest.clear();
    else this.#rest.arm(this.clients.heads);
  }

  headTimedOut(): void {
    this.#connection.fail(ErrorCode.enhanceYourCalm);
  }

  /** Its streams finish in any case: closing loses nothing. */
  get isIdle(): boolean {
    return true;
  }

  get queuedBytes(): number {
    return this.#connection.outbox.length;
  }

  get quietSince(): number {
    return this.deadline.since;
  }

  // ── As the connection sees it ────────────────────────────────────────────────────────────────────────────────

  onRequest(stream: Http2Stream, head: Decoded, ended: boolean): void {
    // Heads may be a thousand times larger than what was sent of them (RFC 7541): their sum is bounded too.
    if (this.memory.heads > this.engine.context.limits.connectionHeldBytes) {
      stream.reset(ErrorCode.refusedStream);
      return this.onCheapFrame('refused');
    }
    this.deadline.clear();
    const begun = new ClientStream(this, stream, ended);
    this.#streams.add(begun);
    begun.begin(head);
    const { requestsPerConnection } = this.engine.context.limits;
    this.#begun++;
    // RFC 9113 6.8: said in good time, so that what is on its way by then is served as well.
    if (this.#begun >= requestsPerConnection && !this.#isToldToClose) {
      this.#isToldToClose = true;
      this.#connection.announceClose();
    } else if (this.#begun >= requestsPerConnection + this.#allowedStreams) this.close();
  }

  onSettings(): void {
    if (this.#streams.size === 0) this.deadline.arm(this.clients.idles);
  }

  onPong(): void {
    this.#mayClose = this.#begun >= this.engine.context.limits.requestsPerConnection;
    if (this.#mayClose && this.#streams.size === 0) this.close();
  }

  /** A client that goes away takes no pushes, of which there are none. */
  onGoaway(): void {}

  /** A client that sends too many frames that only cost work is told so and closed. */
  onCheapFrame(by: Parameters<FloodGuard['count']>[0]): void {
    if (this.#floodGuard.count(by, this.engine.deadlines.now))
      this.#connection.fail(ErrorCode.enhanceYourCalm);
  }

  /** What is still to come is read and thrown away, so that no reset overtakes our last frames. */
  onOver(): void {
    this.#socket.end();
    this.#socket.resume();
    this.deadline.arm(this.clients.farewells);
  }

  /** A stream is closed; `answered` unless that was before its response was there. */
  over(stream: ClientStream, answered: boolean): void {
    if (!this.#streams.delete(stream)) return;
    if (this.#streams.size === 0 && this.#connection.isOpen) {
      if (this.#mayClose) this.close();
      else this.deadline.arm(this.clients.idles);
    }
    this.onCheapFrame(answered ? 'answered' : 'resets');
  }

  // ── As the engine sees it ────────────────────────────────────────────────────────────────────────────────────

  /** Tells the client to send its next requests elsewhere; those under way are served. */
  announceDrain(): void {
    this.#connection.announceClose();
  }

  close(): void {
    this.#connection.close();
  }

  destroy(): void {
    this.engine.clients.delete(this);
    this.#connection.lost(ErrorCode.cancel);
    this.deadline.clear();
    this.#rest.clear();
    this.memory.close();
    this.#socket.destroy();
  }

  /** Its GOAWAY is the kernel's when the call returns, unless the client has read nothing for long. */
  evict(): void {
    this.close();
    this.destroy();
  }

  shed(): void {
    for (const stream of this.#streams) stream.abortForMemory();
    this.#connection.fail(ErrorCode.enhanceYourCalm);
    this.destroy();
  }

  /** The time to drain is over. */
  abortForDrain(): void {
    for (const stream of this.#streams) stream.abortForDrain();
    this.#connection.fail(ErrorCode.noError);
  }
}
