import {
  type OutgoingContext,
  type Propagator,
  TRACE_FIELDS,
  type TraceContext,
  traceLines,
} from '../../http/trace-context.ts';
import type { HeadEdit } from '../../http/head-edit.ts';
import { newSpanId, spanIdOf, traceIdOf } from '../../http/trace-ids.ts';
import type { UpstreamTransport } from '../upstream/upstream-transport.ts';

/** What the span of an attempt tells that its record does not have. */
export interface TracedAttempt {
  readonly spanId: string;
  readonly transport: UpstreamTransport;
  /** As the endpoint was asked; empty where it was not. */
  target: string;
}

/** What the spans of a request tell that its record does not have. */
export interface TracedRequest {
  /** Null for the usual one. */
  readonly spanName: string | null;
  readonly userAgent: string;
}

/** Of every request that is not recorded: none is added to it. */
const NO_ATTEMPTS: TracedAttempt[] = [];

/** The trace that an exchange belongs to, as its endpoints are told it. */
export class RequestTrace implements OutgoingContext {
  readonly traceId: string;
  /** Whether spans are made of it. */
  readonly isSampled: boolean;
  readonly isRandom: boolean;
  readonly state: string;
  /** The span that the client names; empty where the trace begins here. */
  readonly parentId: string;
  /** Of the exchange. */
  readonly serverSpanId: string;
  /** Of the request as it goes on: that of its attempt, where spans are made. */
  spanId: string;
  /** Of a request that is recorded, in the order of those of its record. */
  readonly attempts: TracedAttempt[];
  /** Only where spans are made. */
  request: TracedRequest | null = null;
  readonly #propagators: readonly Propagator[];
  readonly #line: string | null;
  #isTold = true;

  /**
   * `context` is null where the client names no trace, or is not trusted to. `drawn` is a new trace line, for ids that are
   * not there.
   */
  constructor(
    propagators: readonly Propagator[],
    context: TraceContext | null,
    drawn: string,
    isSampled: boolean,
  ) {
    const begins = context === null || context.traceId === '';
    this.#propagators = propagators;
    this.traceId = begins ? traceIdOf(drawn) : context.traceId;
    this.serverSpanId = this.spanId = spanIdOf(drawn);
    // As it was drawn, unless there is more to say.
    this.#line =
      begins && !isSampled && propagators.length === 1 && propagators[0] === 'tracecontext' ? drawn : null;
    this.parentId = begins ? '' : context.parentId;
    this.isRandom = begins || context.isRandom;
    this.state = begins ? '' : context.state;
    this.isSampled = isSampled;
    this.attempts = isSampled ? [] : NO_ATTEMPTS;
  }

  /** An endpoint is chosen. */
  beginAttempt(transport: UpstreamTransport): void {
    if (!this.isSampled) return;
    this.spanId = newSpanId();
    this.attempts.push({ spanId: this.spanId, transport, target: '' });
  }

  /**
   * What is said of it in a head for that endpoint, which begins with `head`, as lines; nothing where a policy sets or takes
   * away such a field.
   */
  linesFor(head: string): string {
    if (this.isSampled) {
      const attempt = this.attempts.at(-1);
      if (attempt) attempt.target = targetOf(head);
    }
    if (!this.#isTold) return '';
    return this.#line ?? traceLines(this.#propagators, this);
  }

  /** Takes what policies changed in the head. */
  edited(edit: HeadEdit): void {
    const fields = this.#propagators.flatMap((each) => TRACE_FIELDS[each]);
    if (fields.some((name) => edit.drops(name))) this.#isTold = false;
  }
}

/** The second word of the request line. */
function targetOf(head: string): string {
  const from = head.indexOf(' ') + 1;
  return head.slice(from, head.indexOf(' ', from));
}
