import type { EngineContext } from './engine.ts';
import { UpstreamSessions } from './upstream/http2/upstream-sessions.ts';
import type { ConnectionInfo } from '../http/connection-info.ts';
import type { Socket } from 'node:net';
import { ConnectedClients } from './connected-clients.ts';
import type { ClientConnection } from './downstream/http1/client-connection.ts';
import type { ExchangeBoundary } from './exchange-boundary.ts';
import { type DeadlineList, Deadlines } from './deadlines.ts';
import { DescriptorWatch } from './descriptors.ts';
import { type ConnectionMemory, HeldMemory } from './held-memory.ts';
import { RequestHead } from './downstream/http1/request-head.ts';
import { WriteBuffer } from './write-buffer.ts';
import type { Tunnel } from './tunnel.ts';
import { DISCARD_MS, LINGER_MS } from './unread-body.ts';
import { UpstreamPool } from './upstream/upstream-pool.ts';

const COARSEST_SWEEP_MS = 500;

/** A connection of a client, as far as room for it and draining are concerned. */
export interface Client {
  readonly connectionInfo: ConnectionInfo;
  readonly memory: ConnectionMemory;
  /** Written for it, and not taken by the kernel yet. */
  readonly queuedBytes: number;
  /** Closing it now loses nothing that was asked. */
  readonly isIdle: boolean;
  /** On the monotonic clock. */
  readonly quietSince: number;
  /** No more requests are wanted on it, if there is a way to say so. */
  announceDrain(): void;
  close(): void;
  /** Whoever has still something to take note of stays for it, until `destroy`. */
  abortForDrain(): void;
  destroy(): void;
  /** It is idle and gives way to another: it is gone when the call returns. */
  evict(): void;
  /** It holds too much memory: it is closed, and what is under way on it cut. */
  shed(): void;
}

/** What the connections and exchanges of one engine share. */
export class EngineState {
  readonly context: EngineContext;
  readonly output = new WriteBuffer();
  readonly pool: UpstreamPool;
  /** The same for pods that speak HTTP/2. */
  readonly sessions: UpstreamSessions;
  readonly clients: ConnectedClients;
  readonly memory: HeldMemory;
  /** Takes a connection over that begins as HTTP/2 does, its first bytes unread; null refuses it. */
  acceptHttp2: ((socket: Socket, connectionInfo: ConnectionInfo) => void) | null = null;
  readonly deadlines: Deadlines;
  readonly descriptors: DescriptorWatch;
  readonly heads: DeadlineList<ClientConnection>;
  readonly keepAlives: DeadlineList<ClientConnection>;
  readonly bodies: DeadlineList<ClientConnection>;
  readonly discards: DeadlineList<ClientConnection>;
  readonly lingers: DeadlineList<ClientConnection>;
  readonly tunnels: DeadlineList<Tunnel>;
  /** For all attempts of an exchange to connect, and for one of them while it has others left. */
  readonly continues: DeadlineList<ExchangeBoundary>;
  readonly connects: DeadlineList<ExchangeBoundary>;
  readonly connectAttempts: DeadlineList<ExchangeBoundary>;
  /** Of every client whose head comes in one piece, as nearly all do. The others take it and leave a new one. */
  spareHead: RequestHead;
  draining = false;
  inFlight = 0;
  openTunnels = 0;

  /** The head, to be kept beyond this read. */
  keepHead(head: RequestHead): RequestHead {
    if (head === this.spareHead) this.spareHead = new RequestHead(this.context.limits);
    return head;
  }

  constructor(context: EngineContext) {
    const { limits } = context;
    this.context = context;
    this.spareHead = new RequestHead(limits);
    const connectAttemptMs = limits.connectTimeoutMs / limits.attempts;
    this.clients = new ConnectedClients(limits.connections);
    this.memory = new HeldMemory(limits.heldBytes, this.clients);
    const shortest = Math.min(
      limits.clientHeadTimeoutMs,
      limits.bodyIdleTimeoutMs,
      limits.continueTimeoutMs,
      limits.keepAliveIdleTimeoutMs,
      connectAttemptMs,
      limits.upstreamIdleTimeoutMs,
      limits.tunnelIdleTimeoutMs,
    );
    this.deadlines = new Deadlines(Math.max(1, Math.min(COARSEST_SWEEP_MS, shortest / 4)), context.onFault);
    this.heads = this.deadlines.list(limits.clientHeadTimeoutMs, (client: ClientConnection) =>
      client.headTimedOut(),
    );
    this.keepAlives = this.deadlines.list(limits.keepAliveIdleTimeoutMs, (client: ClientConnection) =>
      client.close(),
    );
    this.bodies = this.deadlines.list(limits.bodyIdleTimeoutMs, (client: ClientConnection) =>
      client.bodyTimedOut(),
    );
    this.discards = this.deadlines.list(DISCARD_MS, (client: ClientConnection) => client.destroy());
    this.lingers = this.deadlines.list(LINGER_MS, (client: ClientConnection) => client.destroy());
    for (const idle of [this.keepAlives, this.heads, this.lingers, this.discards])
      this.clients.evictFrom(idle);
    this.tunnels = this.deadlines.list(limits.tunnelIdleTimeoutMs, (tunnel: Tunnel) => tunnel.idle());
    this.continues = this.deadlines.list(limits.continueTimeoutMs, (exchange: ExchangeBoundary) =>
      exchange.onContinueTimeout(),
    );
    this.connects = this.deadlines.list(limits.connectTimeoutMs, (exchange: ExchangeBoundary) =>
      exchange.onConnectTimeout(false),
    );
    this.connectAttempts = this.deadlines.list(connectAttemptMs, (exchange: ExchangeBoundary) =>
      exchange.onConnectTimeout(true),
    );
    const leniency = { blanks: true, bareLf: context.bareLfInResponses ?? false };
    this.pool = new UpstreamPool(limits, leniency, this.deadlines, this.output);
    this.sessions = new UpstreamSessions(limits, this.deadlines);
    this.descriptors = new DescriptorWatch(() => this.outOfDescriptors());
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
