import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  connect,
} from 'node:http2';
import { type Socket, connect as connectTcp } from 'node:net';
import { TLSSocket, connect as connectTls } from 'node:tls';
import type { EndpointState } from '../endpoints.ts';
import { Deadline } from '../relay/deadlines.ts';
import type { Loss } from '../relay/upstream-connection.ts';
import type { UpstreamTls } from '../upstream-tls.ts';
import type { Fields } from './fields.ts';
import type { UpstreamSessions } from './upstream-sessions.ts';
import type { UpstreamStream } from './upstream-stream.ts';

/** Of one connection to a pod, unless the pod wants fewer; then there is another connection. */
const MOST_STREAMS = 100;
const STREAM_WINDOW = 65_535;
/** One client that reads slowly must not keep the others from reading: room for all streams at once. */
const CONNECTION_WINDOW = MOST_STREAMS * STREAM_WINDOW;

/** One HTTP/2 connection to a pod (RFC 9113 3.3: with prior knowledge, or by ALPN over TLS). */
export class UpstreamSession {
  readonly sessions: UpstreamSessions;
  readonly endpointKey: string;
  /** Of TLS; sessions with different ones are never mixed. */
  readonly terms: string;
  readonly scheme: 'http' | 'https';
  readonly deadline = new Deadline<UpstreamSession>(this);
  readonly #session: ClientHttp2Session;
  readonly #socket: Socket;
  readonly #streams = new Set<UpstreamStream>();
  #phase: 'connecting' | 'open' | 'retired' | 'closed' = 'connecting';
  /** A stream was begun on it. */
  hasServed = false;

  constructor(sessions: UpstreamSessions, state: EndpointState, tls: UpstreamTls | null) {
    const { limits } = sessions;
    this.sessions = sessions;
    this.endpointKey = state.key;
    this.terms = tls?.terms ?? '';
    this.scheme = tls ? 'https' : 'http';
    const { address, port } = state.endpoint;
    const where = { host: address, port, noDelay: true };
    this.#socket = tls ? connectTls({ ...where, ...tls.options, ALPNProtocols: ['h2'] }) : connectTcp(where);
    // The types of Node know the last of these for servers only; clients have it too.
    const options: ClientSessionOptions & { readonly strictSingleValueFields: boolean } = {
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW, maxHeaderListSize: limits.headBytes },
      maxHeaderListPairs: limits.fieldCount + 1,
      maxSessionMemory: 64,
      maxSendHeaderBlockLength: 4 * limits.headBytes,
      strictSingleValueFields: false,
    };
    const createConnection = (): Socket => this.#socket;
    this.#session = connect(`${this.scheme}://${state.key}`, { ...options, createConnection });
    this.#session.once('connect', () => this.#connected());
    this.#session.on('error', () => this.#gone());
    this.#session.on('goaway', () => this.#leave());
    this.#session.on('close', () => this.#gone());
    this.deadline.arm(sessions.connecting);
  }

  get isOpen(): boolean {
    return this.#phase === 'open' || this.#phase === 'retired';
  }

  get hasRoom(): boolean {
    if (this.#phase === 'connecting') return this.#streams.size < MOST_STREAMS;
    if (this.#phase !== 'open') return false;
    const allowed = this.#session.remoteSettings.maxConcurrentStreams ?? MOST_STREAMS;
    return this.#streams.size < Math.min(MOST_STREAMS, allowed);
  }

  add(stream: UpstreamStream): void {
    this.#streams.add(stream);
    if (this.#phase === 'open') this.deadline.clear();
  }

  /** A stream is over, or never was. */
  delete(stream: UpstreamStream): void {
    if (!this.#streams.delete(stream) || this.#streams.size > 0) return;
    if (this.#phase === 'open') this.deadline.arm(this.sessions.idling);
  }

  /** Throws when the connection takes no more streams. */
  request(fields: Fields, options: { endStream: boolean; waitForTrailers: boolean }): ClientHttp2Stream {
    const stream = this.#session.request(fields, options);
    this.hasServed = true;
    return stream;
  }

  connectTimedOut(): void {
    this.#lose('connect-timed-out');
  }

  /** Takes no more streams, and closes when those it has are over. */
  retire(): void {
    if (this.#phase === 'connecting' && this.#streams.size > 0) return;
    this.#leave();
    if (!this.#session.closed) this.#session.close();
  }

  destroy(): void {
    this.#lose('reset');
  }

  #connected(): void {
    if (this.#phase !== 'connecting') return;
    // A pod that does not choose h2 would be spoken to in a language it does not know.
    if (this.#socket instanceof TLSSocket && this.#socket.alpnProtocol !== 'h2') return this.#lose('refused');
    this.#phase = 'open';
    this.#session.setLocalWindowSize(CONNECTION_WINDOW);
    this.deadline.clear();
    for (const stream of this.#streams) stream.connected();
    if (this.#streams.size === 0) this.deadline.arm(this.sessions.idling);
  }

  #leave(): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'retired';
    this.deadline.clear();
    this.sessions.forget(this);
  }

  #gone(): void {
    this.#lose(this.#phase === 'connecting' ? 'refused' : 'reset');
  }

  #lose(loss: Loss): void {
    if (this.#phase === 'closed') return;
    const connecting = this.#phase === 'connecting';
    this.#phase = 'closed';
    this.deadline.clear();
    this.sessions.forget(this);
    this.#session.destroy();
    this.#socket.destroy();
    // Streams that were begun are told by their own close, which knows more.
    if (connecting) for (const stream of [...this.#streams]) stream.lost(loss);
  }
}
