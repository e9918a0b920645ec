import type { LocalResponse } from '../http/local-response.ts';
import type { HeadEdit } from '../http/head-edit.ts';
import type { ConnectionInfo } from '../http/connection-info.ts';
import type { Trailers } from './http1/field-block.ts';
import type { ClientFraming, ConnectionOption } from './http1/framing.ts';
import type { ConnectionMemory } from './connection-memory.ts';
import type { DeadlineList } from './deadlines.ts';
import type { TimedUpstream } from './route-deadlines.ts';
import type { ResponseHead } from './upstream/http1/response-head.ts';

/**
 * The client of one exchange: a connection that serves one exchange at a time (HTTP/1.1), or a stream beside
 * others (HTTP/2). What is put together for it leaves with `send`.
 */
export interface Downstream {
  /** Of the connection. */
  readonly memory: ConnectionMemory;
  readonly connectionInfo: ConnectionInfo;
  readonly isHttp2: boolean;
  /** The address that the client came to, as a host with a port unless it is the usual one. */
  readonly ownAuthority: string;
  /** Whether another request may follow the one that is being answered. */
  readonly mayPersist: boolean;
  /** The exchange may end before the body of the request does, and another request follow. */
  readonly mayDiscardBody: boolean;
  /** Stops giving out the body of the request until `resume`. */
  pause(): void;
  resume(): void;
  /** It is a gRPC call to a pod that serves gRPC: its request may be silent for so long. */
  isCall(silenceMs: number): void;
  /** Sends a `100 Continue` of our own. */
  askForBody(): void;
  /** A 1xx other than 101. */
  interim(head: ResponseHead, bytes: Buffer, base: number): void;
  /** `edit` is what policies change in it; null for nothing. */
  head(
    head: ResponseHead,
    bytes: Buffer,
    base: number,
    framing: ClientFraming,
    connection: ConnectionOption,
    edit: HeadEdit | null,
  ): void;
  content(bytes: Buffer, from: number, to: number, framing: ClientFraming): void;
  done(trailers: Trailers, framing: ClientFraming): void;
  /** A whole response that Portico gives, instead of whatever was put together before. */
  respond(answer: LocalResponse, word: ConnectionOption, isHead: boolean): void;
  /** False when the client does not keep up: `onClientDrain` follows. */
  send(): boolean;
  /** From now on it has `bodyIdleTimeoutMs` to take bytes; then `onClientStalled`. */
  onBackpressure(): void;
  onDrained(): void;
  /** From now on bytes go both ways; those that the client has sent of them already are `early`. */
  switchToTunnel(): { readonly end: TunnelEnd; readonly early: Buffer };
  /** The exchange is over and its response given to `send`. */
  exchangeOver(persists: boolean): void;
  /** Ends it within a response, so that the client sees it was not the end. */
  abort(reset: boolean): void;
}

/** Where the body of a request goes. What is put together leaves with `send`. */
export interface RequestSink {
  content(bytes: Buffer, from: number, to: number, chunked: boolean): void;
  /** The end of the body. */
  done(trailers: Trailers, chunked: boolean): void;
}

/** The pod of one attempt: a connection that serves nobody else meanwhile (HTTP/1.1), or a stream (HTTP/2). */
export interface Upstream extends RequestSink {
  readonly isConnected: boolean;
  /** The connection had served others before, so that its end says little of the pod. */
  readonly reused: boolean;
  /** The pod answers as gRPC does, over HTTP/2. */
  readonly isCall: boolean;
  /** `text` as `upstreamHead` makes it; `bodyFollows` unless the head is all of the request. */
  head(text: string, bodyFollows: boolean): void;
  /** False when the pod does not keep up: `onDrain` follows. */
  send(): boolean;
  /** What was sent and the pod has not taken, beyond what streams count themselves. */
  readonly queuedBytes: number;
  readonly isPaused: boolean;
  pause(): void;
  resume(): void;
  /** After `onSwitch`. */
  tunnelEnd(): TunnelEnd;
  /** The pod is awaited from now on, at most as long as deadlines of `list` are. */
  startTimer(list: DeadlineList<TimedUpstream>): void;
  stopTimer(): void;
  /** The exchange is done with it. */
  release(reusable: boolean): void;
}

/** One end of a tunnel (RFC 9110 9.3.6): what takes the bytes of the other end. */
export interface TunnelEnd {
  /** False when it does not keep up: a drain follows. */
  write(bytes: Buffer, from: number, to: number): boolean;
  /** The other end has no more. */
  end(): void;
  /** Stops giving bytes until `resume`. */
  pause(): void;
  resume(): void;
  /** All that it was given has left. */
  readonly isFlushed: boolean;
  /** The last bytes; nothing that comes from now on goes anywhere. */
  farewell(bytes: Buffer): void;
}
