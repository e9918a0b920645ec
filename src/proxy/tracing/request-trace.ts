import { type Propagator, TRACE_FIELDS, type TraceContext, traceLines } from '../../http/trace-context.ts';
import type { RequestEdit } from '../../http/request-view.ts';
import { type TraceIds, newSpanId } from '../../http/trace-ids.ts';
import type { UpstreamTransport } from '../upstream/upstream-transport.ts';

/** How endpoints are told of traces. */
export interface TraceTelling {
  readonly propagators: readonly Propagator[];
  /** In W3C's way and no other. */
  readonly isW3cAlone: boolean;
}

const NOT_TOLD: TraceTelling = { propagators: [], isW3cAlone: false };

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
 * The trace that an exchange belongs to, as its endpoints are told it. Those that are recorded take the same way as others
 * while the request runs, and little more: code that few requests run is in no cache, and takes ten times as long.
 */
export class RequestTrace {
  #telling: TraceTelling;
  readonly #ids: TraceIds;
  readonly #end: number;
  /** What the client says; null where the trace begins here. */
  readonly context: TraceContext | null;
  /** Null where no spans are made of it. */
  readonly parts: SpanParts | null;

  /** The trace of `context`, or one that begins here: that of `ids` whose digits end there. */
  constructor(
    telling: TraceTelling,
    ids: TraceIds,
    end: number,
    context: TraceContext | null,
    parts: SpanParts | null,
  ) {
    this.#telling = telling;
    this.#ids = ids;
    this.#end = end;
    this.context = context;
    this.parts = parts;
  }

  /** 32 hexadecimal digits. */
  get traceId(): string {
    return this.context?.traceId ?? this.#ids.traceId(this.#end);
  }

  /** Whether its lines stand in the place of what the client says. */
  get replacesFields(): boolean {
    // What a client says that records nothing is all that there is to say.
    return this.parts !== null || this.context?.isSampled !== false || this.#telling.propagators.length > 1;
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
    const spanId = this.parts?.attempts.at(-1)?.spanId ?? null;
    if (this.context === null && this.#telling.isW3cAlone) return this.#ids.complete(head, this.#end, spanId);
    return this.replacesFields ? `${head}${this.#lines(spanId ?? newSpanId())}\r\n` : `${head}\r\n`;
  }

  #lines(spanId: string): string {
    const { isRandom = true, state = '' } = this.context ?? {};
    const isSampled = this.parts !== null;
    return traceLines(this.#telling.propagators, {
      traceId: this.traceId,
      spanId,
      isSampled,
      isRandom,
      state,
    });
  }

  /** Takes what policies changed in the head. */
  edited(edit: RequestEdit): void {
    const { propagators } = this.#telling;
    if (propagators.some((each) => TRACE_FIELDS[each].some((name) => edit.drops(name))))
      this.#telling = NOT_TOLD;
    if (edit.target !== null) this.asks(edit.target);
  }

  /** Endpoints are asked for this, whatever the client asked for. */
  asks(target: string): void {
    if (this.parts !== null) this.parts.target = target;
  }
}
