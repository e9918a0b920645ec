import type { EndpointState } from '../../balance/endpoint-pool.ts';
import type { Limits } from '../../limits.ts';
import type { Sockets } from '../../sockets/sockets.ts';
import { type DeadlineList, DeadlineLists, type Deadlines } from '../../deadlines.ts';
import { FieldBlock } from '../../http1/field-block.ts';
import { ResponseHead } from '../http1/response-head-parser.ts';
import type { UpstreamUser } from '../upstream-user.ts';
import type { UpstreamTls } from '../tls-terms.ts';
import { MOST_STREAMS, type SessionOwner, type SessionStream, UpstreamSession } from './upstream-session.ts';
import { UpstreamStream } from './upstream-stream.ts';

/** Connections without a stream are closed after this. */
const IDLE_TIMEOUT_MS = 55_000;

interface Connections {
  readonly open: Set<UpstreamSession>;
  /** Streams at one time, as the upstream said when it was last asked. */
  allowed: number;
}

/** The HTTP/2 connections to upstreams, each shared by as many requests as it has room for. */
export class UpstreamSessions implements SessionOwner {
  readonly limits: Limits;
  readonly sockets: Sockets;
  readonly connecting: DeadlineLists<UpstreamSession>;
  readonly idling: DeadlineList<UpstreamSession>;
  /** By endpoint, and by the id of its TLS settings; connections with different ones are never mixed. */
  readonly #sessions = new Map<string, Map<string, Connections>>();
  size = 0;
  /** Of the response that is being read, and its trailers: no call keeps them. They would take kilobytes for each stream. */
  readonly head: ResponseHead;
  readonly trailers: FieldBlock;

  /** Told what threw on a connection that is none of one exchange. */
  readonly onFault: (fault: unknown) => void;

  constructor(limits: Limits, clock: Deadlines, sockets: Sockets) {
    this.sockets = sockets;
    this.onFault = clock.onFault;
    this.limits = limits;
    this.head = new ResponseHead(limits);
    this.trailers = new FieldBlock(limits.fieldCount);
    this.connecting = new DeadlineLists(clock, (session) => session.connectTimedOut());
    this.idling = clock.list(IDLE_TIMEOUT_MS, (session) => session.retire());
  }

  /** A stream to the endpoint, on a connection that has room for it or on a new one, for which there is `connectMs`. */
  open(state: EndpointState, tls: UpstreamTls | null, connectMs: number, user: UpstreamUser): UpstreamStream {
    return new UpstreamStream(this.#withRoom(state, tls), connectMs, user);
  }

  /** The connection it waited for has no room for it. */
  moveOn(stream: SessionStream): void {
    const { state, tls } = stream.session;
    stream.moveTo(this.#withRoom(state, tls));
  }

  #withRoom(state: EndpointState, tls: UpstreamTls | null): UpstreamSession {
    const connections = this.#of(state.key, tls);
    for (const session of connections.open) if (session.hasRoom) return session;
    const session = new UpstreamSession(this, state, tls, connections.allowed);
    connections.open.add(session);
    this.size++;
    return session;
  }

  /** The upstream said how many streams it allows on a connection. */
  learn({ state, tls }: UpstreamSession, allowed: number): void {
    // Of an endpoint that has left the table, nothing is kept.
    const connections = this.#sessions.get(state.key)?.get(tls?.id ?? '');
    if (connections) connections.allowed = Math.max(1, allowed);
  }

  /** A connection takes no more streams. */
  forget(session: UpstreamSession): void {
    const ofEndpoint = this.#sessions.get(session.state.key);
    const connections = ofEndpoint?.get(session.tls?.id ?? '');
    if (!ofEndpoint || !connections?.open.delete(session)) return;
    this.size--;
    if (connections.open.size > 0) return;
    ofEndpoint.delete(session.tls?.id ?? '');
    if (ofEndpoint.size === 0) this.#sessions.delete(session.state.key);
  }

  /** The endpoint left the table: its connections end when their streams have, those that are not made yet at once. */
  retire(endpointKey: string): void {
    for (const session of this.#all(endpointKey)) session.endpointGone();
  }

  destroy(): void {
    for (const key of [...this.#sessions.keys()]) for (const session of this.#all(key)) session.destroy();
  }

  #all(endpointKey: string): UpstreamSession[] {
    return [...(this.#sessions.get(endpointKey)?.values() ?? [])].flatMap(({ open }) => [...open]);
  }

  #of(endpointKey: string, tls: UpstreamTls | null): Connections {
    let ofEndpoint = this.#sessions.get(endpointKey);
    if (!ofEndpoint) this.#sessions.set(endpointKey, (ofEndpoint = new Map()));
    const tlsId = tls?.id ?? '';
    let connections = ofEndpoint.get(tlsId);
    if (!connections) ofEndpoint.set(tlsId, (connections = { open: new Set(), allowed: MOST_STREAMS }));
    return connections;
  }
}
