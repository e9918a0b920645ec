import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EndpointState, Endpoints } from '../balance/endpoint-pool.ts';
import { plainAddress } from '../../http/address.ts';
import { contained } from '../contained.ts';
import { type DeadlineList, Deadlines } from '../deadlines.ts';
import type { Limits } from '../limits.ts';
import { namespaceOf } from '../../model/objects.ts';
import type { Backend } from '../../routing/table.ts';
import type { Sockets } from '../sockets/sockets.ts';
import { reset } from '../tls/termination.ts';
import type { UpstreamTls } from '../upstream/tls-terms.ts';
import { StreamAccount, type StreamCounters } from './stream-counters.ts';
import { type StreamRecord, type StreamSource, streamRecord } from './stream-record.ts';
import type { StreamHops } from './stream-hops.ts';
import { StreamPlaces } from './stream-places.ts';
import { StreamRelay, type StreamUpstreams } from './stream-relay.ts';
import { WriteBuffer } from '../write-buffer.ts';

/** What streams use of the thread that they run on. */
export interface StreamContext {
  readonly endpoints: Pick<Endpoints, 'choose' | 'pending'>;
  readonly limits: Limits;
  /** What connections are made of. */
  readonly sockets: Sockets;
  /** Milliseconds since the epoch. */
  now(): number;
  onFault(fault: unknown): void;
  onOutOfDescriptors(): void;
  readonly counters: StreamCounters;
  /** How many streams of each kind the file descriptors of the process allow. */
  readonly places: number;
  /** Where our connections to endpoints are noted; the ports of UDP are others than those of TCP. */
  readonly hops: { readonly tcp: StreamHops; readonly udp: StreamHops };
  /** Called once for each stream, when it is over. */
  onStreamEnd(record: StreamRecord): void;
}

/** How a connection is relayed, beside its bytes. */
export interface StreamTerms {
  /** Sent before what the client sends: a PROXY header; nothing when absent. */
  readonly preface?: Buffer | null;
  /** How TLS is spoken to the endpoint; in clear text when absent. */
  readonly tls?: UpstreamTls | null;
}

const COARSEST_SWEEP_MS = 500;
const LOOK_EVERY_MS = 20;
/** What the thread has that opened a connection to this node, to note it. */
const NOTED_WITHIN_MS = 10;

/** The connections of a thread that are relayed as they are: of TCP services, and of hosts whose TLS is passed through. */
export class Streams {
  readonly #context: StreamContext;
  readonly #deadlines: Deadlines;
  readonly #connecting: DeadlineList<StreamRelay>;
  readonly #idling: DeadlineList<StreamRelay>;
  readonly #halfClosed: DeadlineList<StreamRelay>;
  readonly #relays = new Set<StreamRelay>();
  readonly #places: StreamPlaces<StreamRelay>;
  readonly #output = new WriteBuffer();

  constructor(context: StreamContext) {
    const { connectTimeoutMs, tunnelIdleTimeoutMs, upstreamIdleTimeoutMs, attempts, connections } =
      context.limits;
    const attemptMs = connectTimeoutMs / attempts;
    const shortest = Math.min(attemptMs, tunnelIdleTimeoutMs, upstreamIdleTimeoutMs);
    const granularityMs = Math.max(1, Math.min(COARSEST_SWEEP_MS, shortest / 4));
    this.#context = context;
    this.#deadlines = new Deadlines(granularityMs, context.onFault);
    const expire = (relay: StreamRelay): void => relay.expire();
    this.#connecting = this.#deadlines.list(attemptMs, expire);
    this.#idling = this.#deadlines.list(tunnelIdleTimeoutMs, expire);
    this.#halfClosed = this.#deadlines.list(Math.min(upstreamIdleTimeoutMs, tunnelIdleTimeoutMs), expire);
    const silent = (count: number): readonly StreamRelay[] =>
      [this.#halfClosed, this.#idling].flatMap((list) => list.oldest(count)).map(({ owner }) => owner);
    const now = (): number => this.#deadlines.now;
    this.#places = new StreamPlaces(Math.min(connections, context.places), silent, now);
  }

  get size(): number {
    return this.#relays.size;
  }

  /**
   * Relays a connection to an endpoint of the backend, or resets it when there is none. At the limit of connections another
   * one gives way, or it is reset itself.
   */
  relay(client: Socket, backend: Backend | null, source: StreamSource, terms: StreamTerms = {}): void {
    this.guarded(client, () => this.#relay(client, backend, source, terms))();
  }

  #relay(client: Socket, backend: Backend | null, source: StreamSource, terms: StreamTerms): void {
    const account = this.#accountOf(source, backend?.key ?? '');
    const { onFault } = this.#context;
    contained(
      () => this.#begin(client, backend, source, terms, account),
      (fault) => {
        account.end('fault');
        reset(client);
        onFault(fault);
      },
    )();
  }

  /** Resolves when it is known where a connection of this peer comes from; null where that is known already. */
  #untilNoted({ remoteAddress = '', remotePort = 0, localAddress }: Socket): Promise<void> | null {
    const isOfThisNode = remoteAddress === localAddress || plainAddress(remoteAddress).startsWith('127.');
    if (!isOfThisNode || this.#context.hops.tcp.behind(remoteAddress, remotePort) > 0) return null;
    return sleep(NOTED_WITHIN_MS);
  }

  /** A listener of a connection that is not relayed yet: whatever throws in it resets that one, and no other. */
  guarded(client: Socket, step: () => void): () => void {
    return contained(step, (fault) => {
      this.#context.onFault(fault);
      reset(client);
    });
  }

  /** Waits until all have ended, and resets those that have not after `timeoutMs`. Resolves with how many these were. */
  async drain(timeoutMs: number): Promise<number> {
    const until = performance.now() + timeoutMs;
    while (this.#relays.size > 0 && performance.now() < until) await sleep(LOOK_EVERY_MS);
    const aborted = this.#relays.size;
    for (const relay of [...this.#relays]) relay.destroy('draining');
    this.#deadlines.stop();
    return aborted;
  }

  #begin(
    client: Socket,
    backend: Backend | null,
    source: StreamSource,
    terms: StreamTerms,
    account: StreamAccount,
  ): void {
    const { limits, endpoints, sockets, now, hops, onFault, onOutOfDescriptors } = this.#context;
    if (backend === null) {
      account.end('no-endpoint');
      return reset(client);
    }
    const { remoteAddress = '', remotePort = 0 } = client;
    const resolved = endpoints.pending(backend);
    const noted = this.#untilNoted(client);
    const highWaterMark = limits.bufferBytes / 2;
    const taken = sockets.take(client, highWaterMark);
    if (!taken) return account.end('client-reset');
    const balance = backend.affinity === 'client-ip' ? 'consistent-hash' : 'least-requests';
    const upstreams: StreamUpstreams = {
      choose: (tried: readonly EndpointState[]) =>
        endpoints.choose(backend, balance, tried, source.clientAddress, now()),
      now,
      attempts: limits.attempts,
      connecting: this.#connecting,
      idling: this.#idling,
      halfClosed: this.#halfClosed,
      sockets,
      output: this.#output,
      highWaterMark,
      preface: terms.preface ?? null,
      tls: terms.tls ?? null,
      account,
      namespace: namespaceOf(backend.key),
      hopsBehind: () => hops.tcp.behind(remoteAddress, remotePort),
      hops: hops.tcp,
      onClose: (relay) => {
        this.#relays.delete(relay);
        this.#places.release(relay);
      },
      onOutOfDescriptors,
      onFault,
    };
    const relay = new StreamRelay(taken, upstreams);
    if (!this.#places.take(relay)) return relay.destroy('too-many');
    this.#relays.add(relay);
    if (resolved === null && noted === null) return relay.begin();
    const begin = contained(
      () => relay.begin(),
      (fault) => {
        onFault(fault);
        relay.destroy('fault');
      },
    );
    void Promise.allSettled([resolved, noted]).then(begin);
  }

  #accountOf(source: StreamSource, backend: string): StreamAccount {
    const { now, counters, onStreamEnd } = this.#context;
    return new StreamAccount(streamRecord(source, backend, now()), counters.of(source), now, onStreamEnd);
  }
}
