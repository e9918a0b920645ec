import type { HeaderField } from '../../http/head-edit.ts';
import type { ContentReader, CopiedContent } from '../../http/request-content.ts';
import type { Subrequest, SubrequestFailure, SubrequestOutcome } from '../../http/subrequest.ts';
import {
  type EndpointState,
  attemptEnded,
  attemptStarted,
  connectFailed,
  connectSucceeded,
} from '../balance/endpoint-state.ts';
import { type ByteCount, ConnectionMemory } from '../connection-memory.ts';
import { Deadline, type DeadlineList } from '../deadlines.ts';
import { PendingBytes } from '../pending-bytes.ts';
import type { Trailers } from '../http1/field-block.ts';
import { NO_TRAILERS } from '../http2/fields.ts';
import type { HeldBytes } from './held-bytes.ts';
import type { ResponseHead } from '../upstream/http1/response-head-parser.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { UpstreamFailure, UpstreamUser } from '../upstream/upstream-user.ts';
import type { UpstreamTransport } from '../upstream/upstream-transport.ts';

/** Authentication servers answer with cookies of 16 KiB and more. */
const HEAD_BYTES = 64 * 1024;
/** A longer body costs its connection. */
const BODY_BYTES = 64 * 1024;

/** So much of a body is there before a connection is taken, or all of it: a slow client costs the server nothing. */
const BODY_AT_START_BYTES = 32 * 1024;

/** What the subrequests of a thread share. */
export interface SubrequestConnections {
  /** A connection with `user` in charge of it; `fresh` for one that has served nobody. */
  acquire(state: EndpointState, transport: UpstreamTransport, fresh: boolean, user: UpstreamUser): Upstream;
  /** For as long as a head is awaited. */
  timeout(timeoutMs: number): DeadlineList<SubrequestExchange>;
  /** For the body of a response, which nobody waits for. */
  readonly discards: DeadlineList<SubrequestExchange>;
  readonly held: HeldBytes;
  /** Milliseconds since the epoch. */
  now(): number;
  onFault(fault: unknown): void;
}

/** Where one subrequest goes. */
export interface Hop {
  readonly state: EndpointState;
  readonly transport: UpstreamTransport;
}

/**
 * The life of one subrequest:
 *
 *     waiting ──▶ connecting ──▶ sent ──▶ answered ──▶ over
 *
 * `waiting`: its body has not come yet, or what its name leads to is not known. `answered`: its outcome is told, and what is left of the response is
 * read so that the connection can serve the next. Where the body is part of the outcome, this leads from sent to over. Whatever goes wrong leads
 * from each of them to over.
 */
export class SubrequestExchange implements UpstreamUser, ContentReader {
  readonly isHead: boolean;
  readonly asksUpgrade = false;
  readonly maxHeadBytes = HEAD_BYTES;
  readonly deadline = new Deadline<SubrequestExchange>(this);
  readonly #connections: SubrequestConnections;
  readonly #request: Subrequest;
  readonly #head: string;
  readonly #body: CopiedContent | null;
  readonly #held: ByteCount;
  readonly #tell: (outcome: SubrequestOutcome) => void;
  readonly #onOver: () => void;
  #state: 'waiting' | 'connecting' | 'sent' | 'answered' | 'over' = 'waiting';
  #hop: Hop | null = null;
  #upstream: Upstream | null = null;
  /** What is called once enough of the body is there. */
  #onReady: (() => void) | null = null;
  /** The server does not take what it is sent. */
  #isBlocked = false;
  #isAllSent = false;
  /** A connection was lost that had served before: the next one is new, and the last. */
  #isSecond = false;
  #bodyBytes = 0;
  /** A response whose body is part of the outcome, for as long as it comes. */
  #kept: {
    readonly status: number;
    readonly fields: readonly HeaderField[];
    readonly fieldBytes: number;
    readonly content: PendingBytes;
  } | null = null;
  #memory: ConnectionMemory | null = null;

  /** `tell` is called once with what becomes of it, `onOver` once when it holds nothing any more. */
  constructor(
    connections: SubrequestConnections,
    request: Subrequest,
    head: string,
    tell: (outcome: SubrequestOutcome) => void,
    onOver: () => void,
  ) {
    this.#connections = connections;
    this.#request = request;
    this.#head = head;
    this.#tell = tell;
    this.#onOver = onOver;
    this.isHead = request.method === 'HEAD';
    this.#body = request.body ?? null;
    this.#held = { add: (bytes) => connections.held.add(request.namespace, bytes) };
    if (request.cancellation) request.cancellation.onCancel = () => this.fail('cancelled');
  }

  /** Of the part of a head that waits for the rest, and of what the server does not take. */
  get memory(): ConnectionMemory {
    const ignore = (): void => undefined;
    return (this.#memory ??= new ConnectionMemory(this.#held, Infinity, ignore, ignore));
  }

  /** Calls `onReady` once it can be sent. */
  begin(onReady: () => void): void {
    const body = this.#body;
    this.#onReady = onReady;
    if (body !== null) {
      this.#held.add(body.uncountedBytes);
      body.read(this);
    }
    if (this.#isFull) return this.fail('too-many');
    if (body === null || this.#isReady(body)) this.#ready();
  }

  get #isFull(): boolean {
    return this.#connections.held.isFull(this.#request.namespace);
  }

  #isReady(body: CopiedContent): boolean {
    return body.isWhole || body.waiting >= BODY_AT_START_BYTES;
  }

  #ready(): void {
    const onReady = this.#onReady;
    if (onReady === null) return;
    this.#onReady = null;
    this.deadline.arm(this.#connections.timeout(this.#request.timeoutMs));
    onReady();
  }

  /** It is known where it goes. */
  start(hop: Hop): void {
    if (this.#state !== 'waiting') return;
    this.#hop = hop;
    this.#attempt(hop, false);
  }

  #attempt({ state, transport }: Hop, fresh: boolean): void {
    this.#state = 'connecting';
    attemptStarted(state);
    const upstream = this.#connections.acquire(state, transport, fresh, this);
    this.#upstream = upstream;
    if (upstream.isConnected) this.#send(upstream);
  }

  onConnected(): void {
    if (this.#hop !== null) connectSucceeded(this.#hop.state);
    if (this.#upstream !== null) this.#send(this.#upstream);
  }

  #send(upstream: Upstream): void {
    this.#state = 'sent';
    const body = this.#body;
    upstream.head(this.#head, body !== null);
    if (body === null) {
      this.#isAllSent = true;
      upstream.send();
    } else this.#sendContent(upstream, body);
  }

  /** Sends what there is, for as long as the server takes it. Whatever the server does, the copy waits, and no one else. */
  #sendContent(upstream: Upstream, body: CopiedContent): void {
    const isChunked = body.length === null;
    while (!this.#isBlocked) {
      const content = body.next();
      if (content === null) break;
      upstream.content(content, 0, content.length, isChunked);
      this.#isBlocked = !upstream.send();
    }
    this.#isAllSent = body.isWhole && body.waiting === 0;
    if (this.#isAllSent) upstream.done(NO_TRAILERS, isChunked);
    upstream.send();
    if (this.#isFull) return this.fail('too-many');
    if (this.#state !== 'sent') return;
    // For what is still to come of the body the server is not to blame.
    if (body.isWhole) this.deadline.arm(this.#connections.timeout(this.#request.timeoutMs));
    else this.deadline.clear();
  }

  /** Called by the exchange of a client, which must not suffer for its copy. */
  onCopied(): void {
    try {
      this.#sendMore();
    } catch (fault) {
      this.onFault(fault);
    }
  }

  onCopyLost(reason: 'behind' | 'client-gone'): void {
    try {
      this.fail(reason === 'behind' ? 'behind' : 'cancelled');
    } catch (fault) {
      this.#connections.onFault(fault);
    }
  }

  #sendMore(): void {
    const body = this.#body;
    if (body === null || this.#isAllSent) return;
    if (this.#state === 'waiting' && this.#isReady(body)) this.#ready();
    else if (this.#upstream !== null && (this.#state === 'sent' || this.#state === 'answered'))
      this.#sendContent(this.#upstream, body);
  }

  onInterim(): void {
    // The connection counts them.
  }

  onHead({ status, fields: block }: ResponseHead, bytes: Buffer, base: number): void {
    const fields: HeaderField[] = [];
    for (let field = 0; field < block.count; field++)
      fields.push([block.name(bytes, base, field), block.value(bytes, base, field)]);
    if (this.#request.maxContentBytes !== undefined) {
      const fieldBytes = fields.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
      this.#held.add(fieldBytes);
      this.#kept = { status, fields, fieldBytes, content: new PendingBytes(this.#held) };
      return;
    }
    this.#state = 'answered';
    this.deadline.arm(this.#connections.discards);
    this.#tell({ kind: 'response', status, fields });
  }

  onContent(bytes: Buffer, from: number, to: number): void {
    this.#bodyBytes += to - from;
    const { maxContentBytes = BODY_BYTES } = this.#request;
    if (this.#kept === null) {
      if (this.#bodyBytes > BODY_BYTES) this.#end(false);
    } else if (this.#bodyBytes > maxContentBytes) this.fail('protocol-error');
    else this.#kept.content.add(bytes, from, to);
  }

  onFlush(): void {
    if (this.#isFull) this.fail('too-many');
  }

  onDone(trailers: Trailers, reusable: boolean): void {
    const kept = this.#kept;
    if (kept === null) return this.#end(reusable && this.#isAllSent);
    const { status, fields } = kept;
    const { bytes, length } = kept.content;
    const content = { bytes: bytes.subarray(0, length), trailers: fieldsOf(trailers) };
    this.#end(reusable && this.#isAllSent);
    this.#tell({ kind: 'response', status, fields, content });
  }

  onSwitch(): void {
    // Was never asked for.
    this.fail('protocol-error');
  }

  onTunnelBytes(): void {
    this.#end(false);
  }

  onTunnelEnd(): void {
    this.#end(false);
  }

  onDrain(): void {
    this.#isBlocked = false;
    this.#sendMore();
  }

  onFault(fault: unknown): void {
    this.#connections.onFault(fault);
    this.fail('unreachable');
  }

  onUpstreamFailure(failure: UpstreamFailure): void {
    const hop = this.#hop;
    const wasReused = this.#upstream?.reused ?? false;
    this.#upstream = null;
    if (this.#state === 'over' || hop === null) return;
    if (this.#state === 'answered') return this.#end(false);
    if (this.#state === 'connecting') connectFailed(hop.state, this.#connections.now());
    // It was closed while it was idle, and nothing was done with the request.
    const isStale = (failure === 'reset' && wasReused) || failure === 'unprocessed';
    if (isStale && !this.#isSecond && this.#isReplayable) {
      this.#isSecond = true;
      this.#isBlocked = this.#isAllSent = false;
      attemptEnded(hop.state);
      return this.#attempt(hop, true);
    }
    this.fail(reasonOf(failure));
  }

  /** A copy that nobody waits for is not sent twice: what its server did with it is not known. */
  get #isReplayable(): boolean {
    return this.#body === null || (this.#request.background === undefined && this.#body.rewind());
  }

  /** The time for the response is over. */
  timedOut(): void {
    this.fail('timed-out');
  }

  /** Ends it, with this outcome unless there is one already. */
  fail(reason: SubrequestFailure): void {
    if (this.#state === 'over') return;
    const isTold = this.#state === 'answered';
    this.#end(false);
    if (!isTold) this.#tell({ kind: 'failed', reason });
  }

  #end(reusable: boolean): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.deadline.clear();
    if (this.#request.cancellation) this.#request.cancellation.onCancel = null;
    if (this.#hop !== null) attemptEnded(this.#hop.state);
    const upstream = this.#upstream;
    this.#upstream = null;
    upstream?.release(reusable);
    if (this.#body !== null) {
      this.#held.add(-this.#body.uncountedBytes);
      this.#body.drop();
    }
    this.#memory?.close();
    if (this.#kept !== null) {
      this.#held.add(-this.#kept.fieldBytes);
      this.#kept.content.clear();
      this.#kept = null;
    }
    this.#onOver();
  }
}

function fieldsOf({ trailers, trailerBytes }: Trailers): readonly HeaderField[] {
  if (!trailers || !trailerBytes) return [];
  return Array.from({ length: trailers.count }, (_, field): HeaderField => [
    trailers.name(trailerBytes, 0, field),
    trailers.value(trailerBytes, 0, field),
  ]);
}

function reasonOf(failure: UpstreamFailure): SubrequestFailure {
  switch (failure) {
    case 'protocol-error':
    case 'incomplete-response':
      return 'protocol-error';
    case 'timed-out':
    case 'connect-timed-out':
      return 'timed-out';
    case 'refused':
    case 'unreachable':
    case 'handshake-failed':
    case 'endpoint-gone':
    case 'out-of-descriptors':
    case 'reset':
    case 'unprocessed':
      return 'unreachable';
    default:
      return failure satisfies never;
  }
}
