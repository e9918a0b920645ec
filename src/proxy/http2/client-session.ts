import {
  type ServerHttp2Session,
  type ServerHttp2Stream,
  constants,
  performServerHandshake,
} from 'node:http2';
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Arrival } from '../forwarded.ts';
import type { Limits } from '../limits.ts';
import { Deadline } from '../relay/deadlines.ts';
import type { Client, Relay } from '../relay/relay.ts';
import { Calm } from './calm.ts';
import type { Http2Clients } from './clients.ts';
import { ClientStream } from './client-stream.ts';

const { NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_NO_ERROR } = constants;

/** Bytes of a request body that come before it is known who takes them, per stream (RFC 9113 6.9.2). */
const STREAM_WINDOW = 65_535;
/** And of all streams of a connection together. */
const CONNECTION_WINDOW = 16 * STREAM_WINDOW;
/** RFC 9113 6.8: "no more than you sent already, and I do not say yet how much that is". */
const LAST_STREAM = 2 ** 31 - 1;
const MEGABYTE = 1024 * 1024;

/** One connection of a client that speaks HTTP/2: gives each stream to an exchange, and bounds what they cost. */
export class ClientSession implements Client {
  readonly clients: Http2Clients;
  readonly relay: Relay;
  readonly arrival: Arrival;
  readonly deadline = new Deadline<ClientSession>(this);
  readonly #session: ServerHttp2Session;
  readonly #streams = new Set<ClientStream>();
  #begun = 0;
  readonly #calm = new Calm(performance.now());

  constructor(clients: Http2Clients, socket: Socket, arrival: Arrival) {
    this.clients = clients;
    this.relay = clients.relay;
    this.arrival = arrival;
    const session = performServerHandshake(socket, sessionOptions(clients.relay.context.limits));
    this.#session = session;
    session.setLocalWindowSize(CONNECTION_WINDOW);
    session.on('stream', (stream, _headers, flags, fields) => this.#begin(stream, flags, fields));
    session.once('remoteSettings', () => this.#settled());
    session.on('remoteSettings', () => this.#count('settings'));
    session.on('ping', () => this.#count('pings'));
    // What nghttp2 makes of a connection that breaks the rules; it has sent its GOAWAY.
    session.on('error', () => undefined);
    session.on('close', () => this.#closed());
    // The socket may stay half open; a client that will not even acknowledge is gone.
    socket.once('end', () => this.destroy());
    this.deadline.arm(clients.prefaces);
  }

  /** Its streams finish in any case: closing loses nothing. */
  get isIdle(): boolean {
    return true;
  }

  get quietSince(): number {
    return this.deadline.since;
  }

  #settled(): void {
    if (this.#streams.size === 0) this.deadline.arm(this.clients.idles);
  }

  #begin(stream: ServerHttp2Stream, flags: number, fields: readonly string[]): void {
    this.deadline.clear();
    const begun = new ClientStream(this, stream, flags);
    this.#streams.add(begun);
    begun.begin(fields);
    if (++this.#begun === this.relay.context.limits.requestsPerConnection) this.close();
  }

  /** A stream is closed; `answered` unless that was before its response was there. */
  over(stream: ClientStream, answered: boolean): void {
    if (!this.#streams.delete(stream)) return;
    if (this.#streams.size === 0 && !this.#session.closed && !this.#session.destroyed)
      this.deadline.arm(this.clients.idles);
    this.#count(answered ? 'answered' : 'resets');
  }

  /** Whoever asks to throw the work away is not worked for. */
  #count(what: Parameters<Calm['disturbedBy']>[0]): void {
    if (!this.#calm.disturbedBy(what, performance.now())) return;
    if (!this.#session.destroyed) this.#session.destroy(undefined, NGHTTP2_ENHANCE_YOUR_CALM);
  }

  /** Tells the client to send its next requests elsewhere; those under way are served. */
  announceDrain(): void {
    if (!this.#session.destroyed) this.#session.goaway(NGHTTP2_NO_ERROR, LAST_STREAM);
  }

  close(): void {
    if (!this.#session.closed) this.#session.close();
  }

  destroy(): void {
    this.#closed();
    this.#session.destroy();
  }

  /** The time to drain is over. */
  cutForDrain(): void {
    for (const stream of this.#streams) stream.cutForDrain();
    this.destroy();
  }

  #closed(): void {
    this.deadline.clear();
    this.relay.clients.delete(this);
  }
}

function sessionOptions(limits: Limits): Parameters<typeof performServerHandshake>[1] {
  return {
    settings: {
      enablePush: false,
      initialWindowSize: STREAM_WINDOW,
      maxConcurrentStreams: limits.streamsPerConnection,
      maxHeaderListSize: limits.headBytes,
    },
    // Pseudo-header fields are counted too.
    maxHeaderListPairs: limits.fieldCount + 4,
    maxSessionMemory: Math.max(1, Math.ceil((2 * CONNECTION_WINDOW + limits.headBytes) / MEGABYTE)) + 8,
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
    maxOutstandingPings: 4,
    maxSettings: 32,
    maxSendHeaderBlockLength: 4 * limits.headBytes,
    streamResetBurst: 500,
    streamResetRate: 100,
    // A pod may say a thing twice; what that means is the client's to judge.
    strictSingleValueFields: false,
  };
}
