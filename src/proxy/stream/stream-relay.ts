import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { contained } from '../contained.ts';
import { Deadline, type DeadlineList } from '../deadlines.ts';
import {
  type EndpointState,
  attemptEnded,
  attemptStarted,
  connectFailed,
  connectSucceeded,
} from '../balance/endpoint-state.ts';
import type { ByteSocket, SocketUser } from '../sockets/byte-socket.ts';
import type { Sockets } from '../sockets/sockets.ts';
import type { UpstreamTls } from '../upstream/tls-terms.ts';
import { failedConnect } from '../upstream/connect-failure.ts';
import type { StreamAccount } from './stream-counters.ts';
import { type StreamHops, isLoop } from './stream-hops.ts';
import type { StreamHolder } from './stream-places.ts';
import type { StreamOutcome } from './stream-record.ts';
import type { WriteBuffer } from '../write-buffer.ts';

/** Where a connection is relayed to, and what it may cost there. */
export interface StreamUpstreams {
  /** The endpoint for the next attempt, which is none of `tried` while there is another; null when there is none. */
  choose(tried: readonly EndpointState[]): EndpointState | null;
  /** Milliseconds since the epoch. */
  now(): number;
  readonly attempts: number;
  /** Of one attempt to connect. */
  readonly connecting: DeadlineList<StreamRelay>;
  /** Without a byte from either side. */
  readonly idling: DeadlineList<StreamRelay>;
  /** The same after one side has ended. */
  readonly halfClosed: DeadlineList<StreamRelay>;
  readonly sockets: Sockets;
  readonly output: WriteBuffer;
  readonly highWaterMark: number;
  /** Sent before what the client sends: a PROXY header; null for none. */
  readonly preface: Buffer | null;
  /** How TLS is spoken to endpoints; null for clear text. */
  readonly tls: UpstreamTls | null;
  readonly account: StreamAccount;
  /** Of the backend. */
  readonly namespace: string;
  /** How often its bytes have been through this Portico before, and where that is noted of the connection to an endpoint. */
  hopsBehind(): number;
  readonly hops: StreamHops;
  /** The relay is over; called once. */
  onClose(relay: StreamRelay): void;
  /** No file descriptor was left for a connection to an endpoint. */
  onOutOfDescriptors(): void;
  onFault(fault: unknown): void;
}

type SideName = 'client' | 'upstream';

/** A connection of a relay. */
interface Side {
  readonly socket: ByteSocket;
  /** It sends no more. */
  hasEnded: boolean;
  isClosed: boolean;
}

/**
 * One TCP connection of a client, relayed byte by byte to an endpoint: a half that ends is ended on the other side too,
 * a reset is passed on as one, and neither side is read faster than the other takes it.
 *
 *     connecting ──▶ relaying ──▶ closed      an attempt that fails before a byte was relayed is followed by the next
 */
export class StreamRelay implements StreamHolder {
  readonly #upstreams: StreamUpstreams;
  readonly #sides: { readonly client: Side; upstream: Side | null };
  readonly #deadline = new Deadline<StreamRelay>(this);
  readonly #tried: EndpointState[] = [];
  /** The endpoint that there is a connection to, or an attempt at one. */
  #endpoint: EndpointState | null = null;
  #state: 'connecting' | 'relaying' | 'closed' = 'connecting';
  #waits: DeadlineList<StreamRelay>;
  isAnswered = false;
  readonly begunAt = performance.now();
  #attempts = 0;
  #hopsBehind = 0;
  #forgetHops: (() => void) | null = null;

  /** Takes the connection over; nothing happens before `begin`. */
  constructor(client: ByteSocket, upstreams: StreamUpstreams) {
    this.#upstreams = upstreams;
    this.#waits = upstreams.idling;
    this.#sides = { client: sideOf(client), upstream: null };
    client.user = this.#userOf('client');
    this.#deadline.arm(upstreams.idling);
  }

  /** Begins to connect, unless it is over already. */
  begin(): void {
    if (this.#state === 'closed') return;
    const { hopsBehind, attempts } = this.#upstreams;
    this.#hopsBehind = hopsBehind();
    if (isLoop(this.#hopsBehind)) return this.#abort('loop-detected');
    // Each round of a loop would multiply what the next one tries again.
    this.#attempts = this.#hopsBehind > 1 ? 1 : attempts;
    this.#tryNext();
  }

  get namespace(): string {
    return this.#upstreams.namespace;
  }

  get silentSince(): number {
    return this.#deadline.since;
  }

  evict(): void {
    this.#abort('evicted');
  }

  /** The attempt took too long, or no byte came for too long. */
  expire(): void {
    if (this.#state === 'relaying') return this.#abort('idle');
    this.#sides.upstream?.socket.destroy();
    this.#attemptFailed(undefined);
  }

  /** Ends both connections, with a reset where something may be under way. */
  destroy(end: StreamOutcome): void {
    this.#abort(end);
  }

  /** Whatever throws ends this connection, and no other. */
  #userOf(name: SideName): SocketUser {
    const { onFault } = this.#upstreams;
    const abort = contained(() => this.#abort('fault'), onFault);
    return {
      onConnect: () => this.#relay(),
      onBytes: (bytes, length) => this.#pass(name, bytes, length),
      onSocketEnd: () => this.#ended(name),
      onSocketDrain: () => this.#other(name)?.socket.resume(),
      onSocketFinish: () => undefined,
      onSocketClose: (error) => this.#closed(name, error ?? undefined),
      onWriteFailed: () => false,
      onSocketFault: (fault) => {
        onFault(fault);
        abort();
      },
    };
  }

  #other(name: SideName): Side | null {
    return name === 'client' ? this.#sides.upstream : this.#sides.client;
  }

  // ── Until there is a connection to an endpoint ───────────────────────────────────────────────────────────────

  #tryNext(): void {
    const { choose } = this.#upstreams;
    const state = this.#tried.length < this.#attempts ? choose(this.#tried) : null;
    // An endpoint that was tried is chosen again only when no other is left.
    if (state === null || this.#tried.includes(state))
      return this.#abort(this.#tried.length === 0 ? 'no-endpoint' : 'connect-failed');
    this.#tried.push(state);
    this.#upstreams.account.tried(state.key);
    attemptStarted(state);
    this.#endpoint = state;
    const side = sideOf(this.#connect(state));
    this.#sides.upstream = side;
    this.#deadline.arm(this.#upstreams.connecting);
    // The system has chosen our port by then; of a name it is not known when.
    if (!state.name) process.nextTick(() => this.#noteHops(side));
  }

  #noteHops({ socket, isClosed }: Side): void {
    if (isClosed || this.#state === 'closed' || this.#sides.upstream?.socket !== socket) return;
    const port = socket.localPort;
    if (port > 0)
      this.#forgetHops ??= this.#upstreams.hops.note(socket.localAddress, port, this.#hopsBehind + 1);
  }

  #connect(state: EndpointState): ByteSocket {
    const { sockets, highWaterMark, tls } = this.#upstreams;
    const { address, port } = state.endpoint;
    const user = this.#userOf('upstream');
    if (!tls && !state.name) return sockets.connect(address, port, highWaterMark, user);
    const where = { host: address, port, noDelay: true, allowHalfOpen: true, highWaterMark };
    const options = { ...where, ...state.name?.connectOptions };
    const socket = tls ? connectTls({ ...options, ...tls.options }) : connectTcp(options);
    state.name?.watch(socket);
    return sockets.making(socket, highWaterMark, user);
  }

  #attemptFailed(failure: NodeJS.ErrnoException | undefined): void {
    const state = this.#endpoint;
    this.#attemptOver();
    if (failedConnect(failure).kind === 'out-of-descriptors') {
      this.#upstreams.onOutOfDescriptors();
      return this.#abort('out-of-descriptors');
    }
    if (state) connectFailed(state, this.#upstreams.now());
    this.#tryNext();
  }

  #attemptOver(): void {
    if (this.#endpoint) attemptEnded(this.#endpoint);
    this.#endpoint = null;
    this.#forgetHops?.();
    this.#forgetHops = null;
  }

  // ── From then on ─────────────────────────────────────────────────────────────────────────────────────────────

  #relay(): void {
    const { client, upstream } = this.#sides;
    if (this.#state !== 'connecting' || !upstream) return;
    if (this.#endpoint) connectSucceeded(this.#endpoint);
    this.#state = 'relaying';
    this.#noteHops(upstream);
    this.#deadline.arm(this.#waits);
    const { preface } = this.#upstreams;
    if (preface) upstream.socket.write(preface, NOT_AWAITED);
    client.socket.resume();
    upstream.socket.resume();
  }

  #pass(from: SideName, bytes: Buffer, length: number): void {
    const to = this.#other(from)?.socket;
    if (this.#state !== 'relaying' || !to) return;
    const { account, output } = this.#upstreams;
    if (from === 'client') account.received(length);
    else {
      account.sent(length);
      this.isAnswered = true;
    }
    this.#deadline.arm(this.#waits);
    output.copy(bytes, 0, length);
    if (!output.send(to)) this.#sides[from]?.socket.pause();
  }

  #ended(name: SideName): void {
    const side = this.#sides[name];
    if (this.#state !== 'relaying' || !side) return;
    side.hasEnded = true;
    this.#waits = this.#upstreams.halfClosed;
    this.#deadline.arm(this.#waits);
    this.#other(name)?.socket.end();
  }

  #closed(name: SideName, error: NodeJS.ErrnoException | undefined): void {
    const side = this.#sides[name];
    if (this.#state === 'closed' || !side) return;
    side.isClosed = true;
    if (name === 'upstream' && this.#state === 'connecting') return this.#attemptFailed(error);
    // A side that closed in order has ended both ways: what is on its way to the other one still goes there.
    if (error || !side.hasEnded) this.#abort(name === 'client' ? 'client-reset' : 'upstream-reset');
    else if (this.#other(name)?.isClosed) this.#close('closed');
  }

  #abort(end: StreamOutcome): void {
    if (this.#state === 'closed') return;
    for (const side of [this.#sides.client, this.#sides.upstream])
      if (side && !side.isClosed) side.socket.reset();
    this.#close(end);
  }

  #close(end: StreamOutcome): void {
    this.#state = 'closed';
    this.#deadline.clear();
    this.#attemptOver();
    this.#upstreams.onClose(this);
    this.#upstreams.account.end(end);
  }
}

function sideOf(socket: ByteSocket): Side {
  return { socket, hasEnded: false, isClosed: false };
}

const NOT_AWAITED = (): void => {};
