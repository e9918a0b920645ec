import {
  type OutgoingContext,
  type Propagator,
  TRACE_FIELDS,
  type TraceContext,
  traceLines,
} from '../../http/trace-context.ts';
import type { HeadEdit } from '../../http/head-edit.ts';
import { newSpanId, traceIdOf } from '../../http/trace-ids.ts';
import type { UpstreamTransport } from '../upstream/upstream-transport.ts';

/** The trace that an exchange belongs to, as its endpoints are told it. */
export type RequestTrace = SampledTrace | UnsampledTrace;

/** What the span of an attempt tells that its record does not have. */
export interface TracedAttempt {
  readonly spanId: string;
  readonly transport: UpstreamTransport;
  /** As the endpoint was asked; empty where it was not. */
  target: string;
}

/** What the span of an exchange tells that its record does not have. */
export interface ServerSpan {
  readonly spanId: string;
  /** Null for the usual one. */
  readonly spanName: string | null;
  readonly userAgent: string;
}

/** A trace that spans are made of. */
export class SampledTrace implements OutgoingContext {
  readonly traceId: string;
  readonly isRandom: boolean;
  readonly state: string;
  /** The span that the client names; empty where the trace begins here. */
  readonly parentId: string;
  /** Of the request as it goes on: that of its attempt. */
  spanId: string;
  /** In the order of those of the record. */
  readonly attempts: TracedAttempt[] = [];
  readonly server: ServerSpan;
  readonly #propagators: readonly Propagator[];
  #isTold = true;

  constructor(propagators: readonly Propagator[], context: TraceContext, server: ServerSpan) {
    this.#propagators = propagators;
    this.traceId = context.traceId;
    this.parentId = context.parentId;
    this.isRandom = context.isRandom;
    this.state = context.state;
    this.server = server;
    this.spanId = server.spanId;
  }

  get isSampled(): true {
    return true;
  }

  get replacesFields(): boolean {
    return true;
  }

  /** An endpoint is chosen. */
  beginAttempt(transport: UpstreamTransport): void {
    this.spanId = newSpanId();
    this.attempts.push({ spanId: this.spanId, transport, target: '' });
  }

  /**
   * What is said of it in a head for that endpoint, which begins with `head`, as lines; nothing where a policy sets or takes
   * away such a field.
   */
  linesFor(head: string): string {
    const attempt = this.attempts.at(-1);
    if (attempt) attempt.target = targetOf(head);
    return this.#isTold ? traceLines(this.#propagators, this) : '';
  }

  /** Takes what policies changed in the head. */
  edited(edit: HeadEdit): void {
    if (changesTrace(edit, this.#propagators)) this.#isTold = false;
  }
}

/** A trace that no spans are made of: every attempt is told the same of it, in as little as one piece of text. */
export class UnsampledTrace {
  readonly #propagators: readonly Propagator[];
  readonly #traceId: string | null;
  readonly #lines: string;
  #isTold = true;

  /**
   * `lines` are what a head says of it; empty where the fields of the client go on as they came. `traceId` is null where
   * `lines` is a new trace line.
   */
  constructor(propagators: readonly Propagator[], lines: string, traceId: string | null) {
    this.#propagators = propagators;
    this.#lines = lines;
    this.#traceId = traceId;
  }

  get isSampled(): false {
    return false;
  }

  get traceId(): string {
    return this.#traceId ?? traceIdOf(this.#lines);
  }

  /** Whether `linesFor` stands in the place of what the client says. */
  get replacesFields(): boolean {
    return this.#lines !== '';
  }

  beginAttempt(): void {}

  linesFor(): string {
    return this.#isTold ? this.#lines : '';
  }

  edited(edit: HeadEdit): void {
    if (changesTrace(edit, this.#propagators)) this.#isTold = false;
  }
}

function changesTrace(edit: HeadEdit, propagators: readonly Propagator[]): boolean {
  return propagators.some((each) => TRACE_FIELDS[each].some((name) => edit.drops(name)));
}

/** The second word of the request line. */
function targetOf(head: string): string {
  const from = head.indexOf(' ') + 1;
  return head.slice(from, head.indexOf(' ', from));
}
