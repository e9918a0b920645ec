import { type Propagator, TRACE_FIELDS, type TraceContext, traceLines } from '../../http/trace-context.ts';
import type { RequestEdit } from '../../http/request-view.ts';
import { newSpanId } from '../../http/trace-ids.ts';
import type { UpstreamTransport } from '../upstream/upstream-transport.ts';

/** In which ways endpoints are told of a trace. */
type Telling = readonly Propagator[];

const NOT_TOLD: Telling = [];

/** What the spans of an exchange tell that its record does not have. */
export interface SpanParts {
  readonly userAgent: string;
  /** In the order of those of the record. */
  attempts: readonly SpanAttempt[];
  /** As endpoints are asked; null where that is as the client asked. */
  target: string | null;
}

export interface SpanAttempt {
  readonly spanId: string;
  readonly transport: UpstreamTransport;
  readonly target: string | null;
}

/**
 * The trace that an exchange belongs to, as its endpoints are told it. One that begins here, is not recorded and is told in
 * W3C's way has none: all there is of it is how the head for endpoints ends.
 */
export class RequestTrace {
  #telling: Telling;
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** What the client says; null where the trace begins here. */
  readonly context: TraceContext | null;
  /** Null where no spans are made of it. */
  readonly parts: SpanParts | null;

  constructor(telling: Telling, traceId: string, context: TraceContext | null, parts: SpanParts | null) {
    this.#telling = telling;
    this.traceId = traceId;
    this.context = context;
    this.parts = parts;
  }

  /** Whether its lines stand in the place of what the client says. */
  get replacesFields(): boolean {
    // What a client says that records nothing is all that there is to say.
    return this.parts !== null || this.context?.isSampled !== false || this.#telling.length > 1;
  }

  /** An endpoint is chosen. */
  beginAttempt(transport: UpstreamTransport): void {
    const { parts } = this;
    if (parts === null) return;
    const attempt = { spanId: newSpanId(), transport, target: parts.target };
    parts.attempts = parts.attempts.length === 0 ? [attempt] : [...parts.attempts, attempt];
  }

  /** The head for that endpoint with its end; the trace is told in it unless a policy sets or takes away such a field. */
  complete(head: string): string {
    if (!this.replacesFields) return `${head}\r\n`;
    return `${head}${this.#lines(this.parts?.attempts.at(-1)?.spanId ?? newSpanId())}\r\n`;
  }

  #lines(spanId: string): string {
    const { isRandom = true, state = '' } = this.context ?? {};
    const isSampled = this.parts !== null;
    return traceLines(this.#telling, {
      traceId: this.traceId,
      spanId,
      isSampled,
      isRandom,
      state,
    });
  }

  /** Takes what policies changed in the head. */
  edited(edit: RequestEdit): void {
    if (changesTrace(edit, this.#telling)) this.#telling = NOT_TOLD;
    if (edit.target !== null) this.asks(edit.target);
  }

  /** Endpoints are asked for this, whatever the client asked for. */
  asks(target: string): void {
    if (this.parts !== null) this.parts.target = target;
  }
}

/** A trace of which endpoints are not told. */
export function untoldTrace(traceId: string): RequestTrace {
  return new RequestTrace(NOT_TOLD, traceId, null, null);
}

/** Whether policies set or take away a field that tells of traces in one of these ways. */
export function changesTrace(edit: RequestEdit, propagators: readonly Propagator[]): boolean {
  return propagators.some((each) => TRACE_FIELDS[each].some((name) => edit.drops(name)));
}
