import type { Trailers } from '../http1/field-block.ts';
import type { DeadlineList } from '../deadlines.ts';
import type { TimedUpstream } from '../route-deadlines.ts';
import type { TunnelEnd } from '../tunnel-end.ts';

/** Where the body of a request goes. What is put together leaves with `send`. */
export interface RequestSink {
  content(bytes: Buffer, from: number, to: number, chunked: boolean): void;
  /** The end of the body. */
  done(trailers: Trailers, chunked: boolean): void;
}

/** The upstream of one attempt: a connection that serves nobody else meanwhile (HTTP/1.1), or a stream (HTTP/2). */
export interface Upstream extends RequestSink {
  readonly isConnected: boolean;
  /** The connection has served other exchanges before, so that its end says little of the upstream. */
  readonly reused: boolean;
  /** The upstream answers as gRPC does, over HTTP/2. */
  readonly isCall: boolean;
  /** `text` as `upstreamHead` makes it; `bodyFollows` unless the head is all of the request. */
  head(text: string, bodyFollows: boolean): void;
  /** False when the upstream does not keep up: `onDrain` follows. */
  send(): boolean;
  /** What was sent and the upstream has not taken, without what streams count themselves. */
  readonly queuedBytes: number;
  readonly isPaused: boolean;
  /** No read of this response is to bring much at once, of which the client might take little. */
  readLittle(): void;
  pause(): void;
  resume(): void;
  /** After `onSwitch`. */
  tunnelEnd(): TunnelEnd;
  /** From now on the upstream has as long as deadlines of `list` are to send bytes. */
  startTimer(list: DeadlineList<TimedUpstream>): void;
  stopTimer(): void;
  /** The exchange is done with it. */
  release(reusable: boolean): void;
}
