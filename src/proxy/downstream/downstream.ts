import type { LocalResponse } from '../../http/local-response.ts';
import type { HeadEdit } from '../../http/head-edit.ts';
import type { ConnectionInfo } from '../../http/connection-info.ts';
import type { Trailers } from '../http1/field-block.ts';
import type { ClientFraming, ConnectionOption } from '../http1/framing.ts';
import type { ConnectionMemory } from '../connection-memory.ts';
import type { TunnelEnd } from '../tunnel-end.ts';
import type { ResponseHead } from '../upstream/http1/response-head-parser.ts';

/**
 * The client of one exchange: a connection that serves one exchange at a time (HTTP/1.1), or a stream beside
 * others (HTTP/2). What is put together for it leaves with `send`.
 */
export interface Downstream {
  /** Of the connection. */
  readonly memory: ConnectionMemory;
  readonly connectionInfo: ConnectionInfo;
  readonly isHttp2: boolean;
  /** The address that the client connected to, as a host with a port unless it is the default one. */
  readonly ownAuthority: string;
  /** Whether another request may follow the one that is being answered. */
  readonly mayPersist: boolean;
  /** The exchange may end before the body of the request does, and another request follow. */
  readonly mayDiscardBody: boolean;
  /** Stops giving out the body of the request until `resume`. */
  pause(): void;
  resume(): void;
  /** It is a gRPC call to an upstream that serves gRPC: its request may be silent for `silenceMs`. */
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
