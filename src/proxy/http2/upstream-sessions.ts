import type { EndpointState } from '../endpoints.ts';
import type { Limits } from '../limits.ts';
import type { DeadlineList, Deadlines } from '../relay/deadlines.ts';
import type { UpstreamUser } from '../relay/upstream-connection.ts';
import type { UpstreamTls } from '../upstream-tls.ts';
import { UpstreamSession } from './upstream-session.ts';
import { UpstreamStream } from './upstream-stream.ts';

/** Connections without a stream are closed after this. */
const IDLE_TIMEOUT_MS = 55_000;

/** The HTTP/2 connections to pods, each shared by as many requests as it has room for. */
export class UpstreamSessions {
  readonly limits: Limits;
  readonly connecting: DeadlineList<UpstreamSession>;
  readonly idling: DeadlineList<UpstreamSession>;
  readonly awaiting: DeadlineList<UpstreamStream>;
  /** The rest of a gRPC call, whose streams may be silent for long. */
  readonly calls: DeadlineList<UpstreamStream>;
  /** By endpoint, and by the terms of TLS below it. */
  readonly #sessions = new Map<string, Map<string, Set<UpstreamSession>>>();
  size = 0;

  constructor(limits: Limits, clock: Deadlines) {
    this.limits = limits;
    this.connecting = clock.list(limits.connectTimeoutMs, (session) => session.connectTimedOut());
    this.idling = clock.list(IDLE_TIMEOUT_MS, (session) => session.retire());
    this.calls = clock.list(limits.tunnelIdleTimeoutMs, (stream) => stream.timedOut());
    this.awaiting = clock.list(limits.upstreamIdleTimeoutMs, (stream) => stream.timedOut());
  }

  /** A stream to the endpoint, on a connection that has room for it or on a new one. */
  open(state: EndpointState, tls: UpstreamTls | null, user: UpstreamUser): UpstreamStream {
    for (const session of this.#of(state.key, tls)) {
      if (session.hasRoom) return new UpstreamStream(session, user);
    }
    const session = new UpstreamSession(this, state, tls);
    this.#of(state.key, tls).add(session);
    this.size++;
    return new UpstreamStream(session, user);
  }

  /** A connection was closed. */
  forget(session: UpstreamSession): void {
    const ofEndpoint = this.#sessions.get(session.endpointKey);
    const terms = ofEndpoint?.get(session.terms);
    if (!ofEndpoint || !terms?.delete(session)) return;
    this.size--;
    if (terms.size > 0) return;
    ofEndpoint.delete(session.terms);
    if (ofEndpoint.size === 0) this.#sessions.delete(session.endpointKey);
  }

  /** The endpoint left the table: its connections end when their streams have. */
  retire(endpointKey: string): void {
    for (const session of this.#all(endpointKey)) session.retire();
  }

  destroy(): void {
    for (const key of [...this.#sessions.keys()]) for (const session of this.#all(key)) session.destroy();
  }

  #all(endpointKey: string): UpstreamSession[] {
    return [...(this.#sessions.get(endpointKey)?.values() ?? [])].flatMap((sessions) => [...sessions]);
  }

  #of(endpointKey: string, tls: UpstreamTls | null): Set<UpstreamSession> {
    let ofEndpoint = this.#sessions.get(endpointKey);
    if (!ofEndpoint) this.#sessions.set(endpointKey, (ofEndpoint = new Map()));
    const terms = tls?.terms ?? '';
    let sessions = ofEndpoint.get(terms);
    if (!sessions) ofEndpoint.set(terms, (sessions = new Set()));
    return sessions;
  }
}
