import type { Trailers } from '../http1/field-block.ts';
import type { ConnectionMemory } from '../connection-memory.ts';
import type { ReaderFault } from '../native-record.ts';
import type { ResponseContext, ResponseHead } from './http1/response-head-parser.ts';

/** How a connection to an upstream was lost before the response on it was over. */
export type UpstreamFailure =
  | 'refused'
  | 'unreachable'
  | 'connect-timed-out'
  /** There was a connection, and TLS or HTTP/2 could not be agreed on. */
  | 'handshake-failed'
  /** Its endpoint left the table before the connection was made. */
  | 'endpoint-gone'
  /** The system has no descriptor, or no port, for it. */
  | 'out-of-descriptors'
  /** It ended before the first byte of a response. */
  | 'reset'
  /** The upstream says that it did nothing with the request (RFC 9113 8.7). */
  | 'unprocessed'
  /** It ended within a response (RFC 9112 8). */
  | 'incomplete-response'
  | 'protocol-error'
  | 'timed-out';

/** The exchange a connection serves. Bytes it is shown are gone when the call returns. */
export interface UpstreamUser extends ResponseContext {
  /** Of the client that it is for. */
  readonly memory: ConnectionMemory;
  onConnected(): void;
  /** A 1xx other than 101. */
  onInterim(head: ResponseHead, bytes: Buffer, base: number): void;
  onHead(head: ResponseHead, bytes: Buffer, base: number): void;
  onContent(bytes: Buffer, from: number, to: number): void;
  /** No more comes of this read. */
  onFlush(): void;
  /** The response is over; `reusable` says whether the connection can serve another. */
  onDone(trailers: Trailers, reusable: boolean): void;
  /** 101: from now on the connection carries bytes; the first of them are there already. */
  onSwitch(head: ResponseHead, bytes: Buffer, base: number, from: number, to: number): void;
  onTunnelBytes(bytes: Buffer, from: number, to: number): void;
  onTunnelEnd(): void;
  /** Something threw on the way to it. */
  onFault(fault: unknown): void;
  /** `fault` says what is invalid, or why there is no connection. */
  onUpstreamFailure(failure: UpstreamFailure, fault?: ReaderFault): void;
  onDrain(): void;
}
