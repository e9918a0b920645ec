import { type Sampler, samplerOf } from '../../http/sampler.ts';
import { FieldKind } from '../../http/field-names.ts';
import { TRACE_FIELDS, type TraceContext, readTraceContext, traceLines } from '../../http/trace-context.ts';
import { TRACE_END, newSpanId, newTraceLine, traceIdOf } from '../../http/trace-ids.ts';
import type { Route } from '../../routing/table.ts';
import { type RequestTrace, SampledTrace, UnsampledTrace } from './request-trace.ts';
import type { TracingSettings } from './tracing-settings.ts';

/** A request whose route is known. */
interface RoutedRequest {
  readonly route: Route | null;
  /** The value of the fields of a lower-case name, joined with `, `. */
  value(name: string): string | undefined;
}

/** How many requests a second one thread records because clients say so; beyond, the sampler decides as for others. */
const CLIENT_SAMPLED_PER_SECOND = 500;

/** Begins the traces of requests on one data-plane thread. */
export class Tracer {
  readonly #settings: TracingSettings;
  readonly #sampler: Sampler;
  /** What the head for an endpoint does not take from the client. */
  readonly ownFields: readonly FieldKind[];
  /** A trace that begins here is told in the line that is drawn for it, and in nothing else. */
  readonly #tellsOneLine: boolean;
  #second = 0;
  #clientSampled = 0;

  constructor(settings: TracingSettings) {
    const { propagators, sampler } = settings;
    this.#settings = settings;
    this.#sampler = samplerOf(sampler);
    this.ownFields = propagators.map((each) => FIELD_KINDS[each]);
    this.#tellsOneLine = propagators.length === 1 && propagators[0] === 'tracecontext';
  }

  /**
   * Null where requests of the route are not traced. `hasFields` says whether there are fields of any propagator, `startedAt`
   * when the request began, in milliseconds on a clock that only goes forward.
   */
  begin(request: RoutedRequest, hasFields: boolean, startedAt: number): RequestTrace | null {
    const { isDefault, propagators, trustsClients } = this.#settings;
    const config = request.route?.policies?.configs.tracing;
    if (!(config?.isOn ?? isDefault)) return null;
    const isRead = hasFields && (config?.trustsClient ?? trustsClients);
    const context = isRead ? readTraceContext(propagators, request) : null;
    const byClient = context === null ? null : this.#samplesForClient(context, startedAt);
    const { samplesRoot } = this.#sampler;
    if (context !== null && context.traceId !== '') {
      const { traceId } = context;
      if (byClient ?? samplesRoot(traceId, traceId.length))
        return this.#sampled(request, context, newSpanId());
      return this.#unsampled(context);
    }
    const line = newTraceLine();
    if (byClient ?? samplesRoot(line, TRACE_END)) return this.#sampled(request, begun(line), newSpanId());
    return this.#tellsOneLine ? new UnsampledTrace(propagators, line, null) : this.#unsampled(begun(line));
  }

  /** Null where the sampler decides. */
  #samplesForClient({ isSampled }: TraceContext, now: number): boolean | null {
    if (!this.#sampler.parentBased) return null;
    if (!isSampled) return isSampled;
    const second = Math.floor(now / 1000);
    if (second !== this.#second) this.#clientSampled = 0;
    this.#second = second;
    return ++this.#clientSampled <= CLIENT_SAMPLED_PER_SECOND ? true : null;
  }

  #sampled(request: RoutedRequest, context: TraceContext, spanId: string): SampledTrace {
    const spanName = request.route?.policies?.configs.tracing?.spanName ?? null;
    const userAgent = request.value('user-agent') ?? '';
    return new SampledTrace(this.#settings.propagators, context, { spanId, spanName, userAgent });
  }

  #unsampled(context: TraceContext): UnsampledTrace {
    const { propagators } = this.#settings;
    const { traceId, isRandom, state } = context;
    // What the client says of it is all that there is to say.
    if (context.isSampled === false && propagators.length === 1)
      return new UnsampledTrace(propagators, '', traceId);
    const outgoing = { traceId, spanId: newSpanId(), isSampled: false, isRandom, state };
    return new UnsampledTrace(propagators, traceLines(propagators, outgoing), traceId);
  }
}

/** The context of a trace that begins here. */
function begun(line: string): TraceContext {
  return { traceId: traceIdOf(line), parentId: '', isSampled: null, isRandom: true, state: '' };
}

const FIELD_KINDS: Readonly<Record<keyof typeof TRACE_FIELDS, FieldKind>> = {
  tracecontext: FieldKind.traceContext,
  b3: FieldKind.b3,
  b3multi: FieldKind.b3multi,
};
