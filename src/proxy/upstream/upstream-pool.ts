import { performance } from 'node:perf_hooks';
import type { EndpointState } from '../balance/endpoint-pool.ts';
import type { Leniency } from '../http1/leniency.ts';
import type { Limits } from '../limits.ts';
import type { UpstreamTls } from './tls-terms.ts';
import { type DeadlineList, type Deadlines } from '../deadlines.ts';
import type { TimedUpstream } from '../route-deadlines.ts';
import type { ResponseHead } from './http1/response-head-parser.ts';
import type { Sockets } from '../sockets/sockets.ts';
import type { WriteBuffer } from '../write-buffer.ts';
import { type ConnectionOwner, UpstreamConnection } from './http1/pooled-connection.ts';
import type { UpstreamUser } from './upstream-user.ts';

/** Connections that wait for their next exchange. */
interface IdleLimits {
  readonly perServer: number;
  readonly total: number;
}

const IDLE_LIMITS: IdleLimits = { perServer: 128, total: Number.POSITIVE_INFINITY };
/** Idle connections are closed after this, unless the upstream wants it sooner. */
const IDLE_TIMEOUT_MS = 55_000;
/** When descriptors run out. */
const CLOSED_AT_ONCE = 16;
/** Our request could be on its way while the upstream closes: in its last second a connection is not used. */
const LAST_SECOND_MS = 1_000;

interface Members {
  readonly all: Set<UpstreamConnection>;
  /** Used from the end: the one used last is the one that is surely alive, and the others can grow old. */
  readonly idle: UpstreamConnection[];
}

/** The connections to upstreams: those in use, and those kept for the next exchange. */
export class UpstreamPool implements ConnectionOwner {
  readonly limits: Limits;
  /** How responses are read. */
  readonly leniency: Leniency;
  readonly output: WriteBuffer;
  readonly sockets: Sockets;
  readonly highWaterMark: number;
  readonly #idleLimits: IdleLimits;
  readonly #idling: DeadlineList<TimedUpstream>;
  #idle = 0;
  readonly #members = new Map<string, Members>();
  /** The keys of `#members` by endpoint: one for each way of speaking to it. */
  readonly #ways = new Map<string, Set<string>>();
  size = 0;
  /** Those that have had their last bytes. */
  lingering = 0;

  /** Told what threw on a connection that serves no exchange. */
  readonly onFault: (fault: unknown) => void;

  constructor(
    limits: Limits,
    leniency: Leniency,
    clock: Deadlines,
    output: WriteBuffer,
    sockets: Sockets,
    idleLimits = IDLE_LIMITS,
  ) {
    this.sockets = sockets;
    this.#idleLimits = idleLimits;
    this.onFault = clock.onFault;
    this.limits = limits;
    this.leniency = leniency;
    this.output = output;
    this.highWaterMark = limits.bufferBytes / 2;
    this.#idling = clock.list(IDLE_TIMEOUT_MS, (connection) => connection.timedOut());
  }

  /** An idle connection to the endpoint, with `user` in charge of it from now on; null when there is none. */
  take(state: EndpointState, tls: UpstreamTls | null, user: UpstreamUser): UpstreamConnection | null {
    const idle = this.#members.get(poolKey(state, tls))?.idle;
    if (!idle) return null;
    for (;;) {
      const connection = idle.pop();
      if (!connection) return null;
      this.#idle--;
      connection.deadline.clear();
      if (connection.idleUntil > performance.now()) {
        connection.begin(user);
        return connection;
      }
      connection.destroy();
    }
  }

  /** A new connection to the endpoint; `user` hears of it. */
  connect(state: EndpointState, tls: UpstreamTls | null, user: UpstreamUser): UpstreamConnection {
    const key = poolKey(state, tls);
    const connection = new UpstreamConnection(this, state, tls, key, user);
    let members = this.#members.get(key);
    if (!members) {
      this.#members.set(key, (members = { all: new Set(), idle: [] }));
      const ways = this.#ways.get(state.key);
      if (ways) ways.add(key);
      else this.#ways.set(state.key, new Set([key]));
    }
    members.all.add(connection);
    this.size++;
    return connection;
  }

  /** Keeps a connection that has served; false when it must be closed instead. */
  put(connection: UpstreamConnection, lastHead: ResponseHead): boolean {
    const idle = this.#members.get(connection.poolKey)?.idle;
    if (!idle || idle.length >= this.#idleLimits.perServer) return false;
    const { keepAliveTimeout } = lastHead;
    const allowedMs = keepAliveTimeout < 0 ? IDLE_TIMEOUT_MS : keepAliveTimeout * 1000 - LAST_SECOND_MS;
    if (allowedMs <= 0) return false;
    if (this.#idle >= this.#idleLimits.total) this.closeOldestIdle();
    this.#idle++;
    connection.phase = 'idle';
    connection.idleUntil = performance.now() + allowedMs;
    connection.deadline.arm(this.#idling);
    idle.push(connection);
    return true;
  }

  /** A connection was closed. */
  forget(connection: UpstreamConnection): void {
    const members = this.#members.get(connection.poolKey);
    if (!members?.all.delete(connection)) return;
    this.size--;
    const place = members.idle.indexOf(connection);
    if (place >= 0) {
      members.idle.splice(place, 1);
      this.#idle--;
    }
    if (members.all.size > 0) return;
    this.#members.delete(connection.poolKey);
    const ways = this.#ways.get(connection.endpointKey);
    ways?.delete(connection.poolKey);
    if (ways?.size === 0) this.#ways.delete(connection.endpointKey);
  }

  /**
   * The endpoint left the table: connections that are idle or not made yet are closed, those in use after what they
   * serve now.
   */
  retire(endpointKey: string): void {
    for (const key of [...(this.#ways.get(endpointKey) ?? [])]) {
      for (const connection of [...(this.#members.get(key)?.all ?? [])]) connection.retire();
    }
  }

  /** Closes those that have been idle longest. Gives whether there were any. */
  closeOldestIdle(): boolean {
    const oldest = this.#idling.oldest(CLOSED_AT_ONCE);
    for (const { owner } of oldest) owner.timedOut();
    return oldest.length > 0;
  }

  /** Closes every connection, in use or not. */
  destroy(): void {
    for (const members of this.#members.values()) {
      for (const connection of members.all) connection.destroy();
    }
  }
}

function poolKey(state: EndpointState, tls: UpstreamTls | null): string {
  return tls ? `${state.key} ${tls.id}` : state.key;
}
