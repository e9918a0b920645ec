import type { EngineContext } from './engine.ts';
import { UpstreamSessions } from './upstream/http2/upstream-sessions.ts';
import type { ConnectionInfo } from '../http/connection-info.ts';
import type { ByteSocket } from './sockets/byte-socket.ts';
import { NodeSockets, type Sockets } from './sockets/sockets.ts';
import type { Client } from './client.ts';
import { ClosingListeners } from './closing-listeners.ts';
import { CopyMemory } from './content-copy.ts';
import { ConnectedClients } from './connected-clients.ts';
import { type DeadlineList, Deadlines } from './deadlines.ts';
import { DescriptorWatch } from './descriptors.ts';
import { HeldMemory } from './held-memory.ts';
import { HeadFields } from './downstream/http1/head-fields.ts';
import { EncoderRoom } from './content-encoder.ts';
import { RequestHead } from './downstream/http1/request-head.ts';
import { RouteDeadlines, type TimedExchange } from './route-deadlines.ts';
import { WriteBuffer } from './write-buffer.ts';
import { DISCARD_MS, LINGER_MS } from './unread-body.ts';
import { UpstreamPool } from './upstream/upstream-pool.ts';

const COARSEST_SWEEP_MS = 500;
const MOST_USED_HEADS = 256;

/** What is asked of an HTTP/1.1 client whose time is over. */
export interface TimedClient extends Client {
  headTimedOut(): void;
  bodyTimedOut(): void;
}

/** What the connections and exchanges of one engine share. */
export class EngineState {
  readonly context: EngineContext;
  readonly sockets: Sockets;
  readonly output = new WriteBuffer();
  readonly encoders = new EncoderRoom();
  readonly copyMemory = new CopyMemory();
  /** Of the head that is being read. */
  readonly headFields = new HeadFields();
  readonly pool: UpstreamPool;
  /** The same for upstreams that speak HTTP/2. */
  readonly sessions: UpstreamSessions;
  readonly clients: ConnectedClients;
  readonly memory: HeldMemory;
  /** Takes a connection over that begins as HTTP/2 does, its first bytes unread. */
  acceptHttp2: (socket: ByteSocket, connectionInfo: ConnectionInfo) => void = (socket) => socket.destroy();
  readonly closingListeners: ClosingListeners;
  readonly deadlines: Deadlines;
  readonly descriptors: DescriptorWatch;
  readonly heads: DeadlineList<TimedClient>;
  readonly keepAlives: DeadlineList<TimedClient>;
  readonly bodies: DeadlineList<TimedClient>;
  readonly discards: DeadlineList<TimedClient>;
  readonly lingers: DeadlineList<TimedClient>;
  readonly continues: DeadlineList<TimedExchange>;
  /** For what is awaited of Pods. */
  readonly routeDeadlines: RouteDeadlines;
  /** Of every client whose head comes in one piece, as nearly all do. The others take it and leave a new one. */
  spareHead: RequestHead;
  draining = false;
  inFlight = 0;
  openTunnels = 0;

  /** Heads that were kept, for others to be read into: each takes kilobytes. */
  readonly #usedHeads: RequestHead[] = [];

  /** The head, to be kept beyond this read. */
  keepHead(head: RequestHead): RequestHead {
    if (head === this.spareHead)
      this.spareHead = this.#usedHeads.pop() ?? new RequestHead(this.context.limits);
    return head;
  }

  /** A head that was kept is needed no more. */
  returnHead(head: RequestHead): void {
    if (this.#usedHeads.length < MOST_USED_HEADS) this.#usedHeads.push(head);
  }

  constructor(context: EngineContext) {
    const { limits } = context;
    this.context = context;
    this.sockets = context.sockets ?? new NodeSockets();
    this.spareHead = new RequestHead(limits);
    this.clients = new ConnectedClients(limits.connections);
    this.closingListeners = new ClosingListeners(this.clients);
    this.memory = new HeldMemory(limits.heldBytes, this.clients);
    this.descriptors = new DescriptorWatch(() => this.outOfDescriptors());
    // Every connection has a deadline.
    this.deadlines = new Deadlines(COARSEST_SWEEP_MS, context.onFault, {
      onSweep: (now) => this.descriptors.look(now),
      onRest: () => this.descriptors.rest(),
      onWake: () => this.descriptors.wake(),
    });
    this.heads = this.deadlines.list(limits.clientHeadTimeoutMs, (client: TimedClient) =>
      client.headTimedOut(),
    );
    this.keepAlives = this.deadlines.list(limits.keepAliveIdleTimeoutMs, (client: TimedClient) =>
      client.close(),
    );
    this.bodies = this.deadlines.list(limits.bodyIdleTimeoutMs, (client: TimedClient) =>
      client.bodyTimedOut(),
    );
    this.discards = this.deadlines.list(DISCARD_MS, (client: TimedClient) => client.destroy());
    this.lingers = this.deadlines.list(LINGER_MS, (client: TimedClient) => client.destroy());
    for (const idle of [this.keepAlives, this.heads, this.lingers, this.discards])
      this.clients.evictFrom(idle);
    this.continues = this.deadlines.list(limits.continueTimeoutMs, (exchange: TimedExchange) =>
      exchange.onContinueTimeout(),
    );
    this.routeDeadlines = new RouteDeadlines(limits, this.deadlines);
    const leniency = { blanks: true, bareLf: context.bareLfInResponses ?? false };
    this.pool = new UpstreamPool(limits, leniency, this.deadlines, this.output, this.sockets);
    this.sessions = new UpstreamSessions(limits, this.deadlines, this.sockets);
  }

  /** Takes limits that are others than before. Connections keep what they were told or allowed already. */
  limitsChanged(): void {
    const { limits } = this.context;
    this.clients.change(limits.connections);
    this.heads.change(limits.clientHeadTimeoutMs);
    this.keepAlives.change(limits.keepAliveIdleTimeoutMs);
    this.bodies.change(limits.bodyIdleTimeoutMs);
  }

  /** Whether a client may begin a connection without TLS as HTTP/2 does (RFC 9113 3.3). */
  takesHttp2({ tls, portKey }: ConnectionInfo): boolean {
    const { context } = this;
    return context.h2c === true || (!tls && portKey !== undefined && !!context.gatewayPort?.(portKey));
  }

  /**
   * No file descriptor is left: closes some idle connections, of clients and to Pods, and keeps as many free for a
   * while. Gives whether there were any.
   */
  outOfDescriptors(): boolean {
    this.clients.counters.descriptorFailures++;
    this.context.onOutOfDescriptors?.();
    const closed = this.pool.closeOldestIdle();
    return this.clients.closeIdle(this.deadlines.now) || closed;
  }
}
