import { type Socket, connect } from 'node:net';
import { connect as connectSecurely } from 'node:tls';
import { contained } from '../contained.ts';
import { Deadline, type DeadlineList } from '../deadlines.ts';
import {
  type EndpointState,
  attemptEnded,
  attemptStarted,
  connectFailed,
  connectSucceeded,
} from '../balance/endpoint-state.ts';
import { reset } from '../tls/termination.ts';
import type { UpstreamTls } from '../upstream/tls-terms.ts';
import { failedConnect } from '../upstream/connect-failure.ts';
import type { StreamAccount } from './stream-counters.ts';
import type { StreamOutcome } from './stream-record.ts';

/** Where a connection is relayed to, and what it may cost there. */
export interface StreamUpstreams {
  /** The endpoint for the next attempt, which is none of `tried` while there is another; null when there is none. */
  choose(tried: readonly EndpointState[]): EndpointState | null;
  /** Milliseconds since the epoch. */
  now(): number;
  readonly attempts: number;
  /** Of one attempt to connect. */
  readonly connecting: DeadlineList<StreamRelay>;
  /** Without a byte from either side. */
  readonly idling: DeadlineList<StreamRelay>;
  /** The same after one side has ended. */
  readonly halfClosed: DeadlineList<StreamRelay>;
  readonly highWaterMark: number;
  /** Sent before what the client sends: a PROXY header; null for none. */
  readonly preface: Buffer | null;
  /** How TLS is spoken to endpoints; null for clear text. */
  readonly tls: UpstreamTls | null;
  readonly account: StreamAccount;
  /** The relay is over; called once. */
  onClose(relay: StreamRelay): void;
  /** No file descriptor was left for a connection to an endpoint. */
  onOutOfDescriptors(): void;
  onFault(fault: unknown): void;
}

/**
 * One TCP connection of a client, relayed byte by byte to an endpoint: a half that ends is ended on the other side too,
 * a reset is passed on as one, and neither side is read faster than the other takes it.
 *
 *     connecting ──▶ relaying ──▶ closed      an attempt that fails before a byte was relayed is followed by the next
 */
export class StreamRelay {
  readonly #upstreams: StreamUpstreams;
  readonly #client: Socket;
  readonly #deadline = new Deadline<StreamRelay>(this);
  readonly #tried: EndpointState[] = [];
  #upstream: Socket | null = null;
  #state: 'connecting' | 'relaying' | 'closed' = 'connecting';

  /** Takes the connection over. What was read of it must have been put back by `unshift`. */
  constructor(client: Socket, upstreams: StreamUpstreams) {
    this.#client = client;
    this.#upstreams = upstreams;
    client.pause();
    client.on(
      'error',
      this.#guarded(() => this.#abort('client-reset')),
    );
    client.once(
      'close',
      this.#guarded(() => this.#sideClosed()),
    );
    this.#tryNext();
  }

  get isOver(): boolean {
    return this.#state === 'closed';
  }

  /** The attempt took too long, or no byte came for too long. */
  expire(): void {
    if (this.#state === 'connecting') this.#upstream?.destroy(new Error('timeout'));
    else this.#abort('idle');
  }

  /** Ends both connections, with a reset where something may be under way. */
  destroy(end: StreamOutcome): void {
    this.#abort(end);
  }

  /** Whatever throws in a listener ends this connection, and no other. */
  #guarded<A extends unknown[]>(step: (...args: A) => void): (...args: A) => void {
    const { onFault } = this.#upstreams;
    const abort = contained(() => this.#abort('fault'), onFault);
    return contained(step, (fault) => {
      onFault(fault);
      abort();
    });
  }

  #tryNext(): void {
    const { choose, attempts } = this.#upstreams;
    const state = this.#tried.length < attempts ? choose(this.#tried) : null;
    // An endpoint that was tried is chosen again only when no other is left.
    if (state === null || this.#tried.includes(state))
      return this.#abort(this.#tried.length === 0 ? 'no-endpoint' : 'connect-failed');
    this.#tried.push(state);
    this.#upstreams.account.tried(state.key);
    attemptStarted(state);
    const { address, port } = state.endpoint;
    const options = {
      host: address,
      port,
      noDelay: true,
      allowHalfOpen: true,
      highWaterMark: this.#upstreams.highWaterMark,
      ...state.name?.connectOptions,
    };
    const { tls } = this.#upstreams;
    const upstream = tls ? connectSecurely({ ...options, ...tls.options }) : connect(options);
    this.#upstream = upstream;
    state.name?.watch(upstream);
    this.#deadline.arm(this.#upstreams.connecting);
    let failure: NodeJS.ErrnoException | undefined;
    upstream.on(
      'error',
      this.#guarded((error) => {
        failure = error;
        if (this.#state === 'relaying') this.#abort('upstream-reset');
      }),
    );
    const closed = this.#guarded(() => {
      attemptEnded(state);
      if (this.#state === 'connecting') this.#attemptFailed(state, failure);
      else this.#sideClosed();
    });
    upstream.once('close', closed);
    upstream.once(
      tls ? 'secureConnect' : 'connect',
      this.#guarded(() => this.#relay(upstream, state)),
    );
  }

  #attemptFailed(state: EndpointState, failure: NodeJS.ErrnoException | undefined): void {
    if (failedConnect(failure).kind === 'out-of-descriptors') {
      this.#upstreams.onOutOfDescriptors();
      return this.#abort('out-of-descriptors');
    }
    connectFailed(state, this.#upstreams.now());
    if (this.#client.destroyed) return this.#close('client-reset');
    this.#tryNext();
  }

  #relay(upstream: Socket, state: EndpointState): void {
    if (this.#state !== 'connecting') return void upstream.destroy();
    connectSucceeded(state);
    this.#state = 'relaying';
    this.#deadline.arm(this.#upstreams.idling);
    const { preface, account } = this.#upstreams;
    if (preface) upstream.write(preface);
    let waits = this.#upstreams.idling;
    const onReceived = this.#guarded(({ length }: Buffer) => {
      account.received(length);
      this.#deadline.arm(waits);
    });
    const onSent = this.#guarded(({ length }: Buffer) => {
      account.sent(length);
      this.#deadline.arm(waits);
    });
    const onEnd = this.#guarded(() => {
      waits = this.#upstreams.halfClosed;
      this.#deadline.arm(waits);
    });
    this.#client.on('data', onReceived);
    upstream.on('data', onSent);
    for (const socket of [this.#client, upstream]) socket.once('end', onEnd);
    this.#client.pipe(upstream);
    upstream.pipe(this.#client);
  }

  /** Both are closed, or the other one has nothing to wait for any more. */
  #sideClosed(): void {
    if (this.#state === 'closed') return;
    const upstream = this.#upstream;
    if (this.#client.destroyed && (upstream === null || upstream.destroyed)) {
      const isOrderly = this.#client.readableEnded && upstream !== null;
      return this.#close(isOrderly ? 'closed' : 'client-reset');
    }
    // A side that closed in order has ended both ways: what is on its way to the other one still goes there.
    if (this.#client.destroyed && !this.#client.readableEnded) this.#abort('client-reset');
    else if (upstream?.destroyed && !upstream.readableEnded) this.#abort('upstream-reset');
  }

  #abort(end: StreamOutcome): void {
    if (this.#state === 'closed') return;
    for (const socket of [this.#client, this.#upstream]) if (socket && !socket.destroyed) reset(socket);
    this.#close(end);
  }

  #close(end: StreamOutcome): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#deadline.clear();
    this.#upstreams.onClose(this);
    this.#upstreams.account.end(end);
  }
}
