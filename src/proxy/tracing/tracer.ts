import { type Sampler, samplerOf } from '../../http/sampler.ts';
import { FieldKind } from '../../http/field-names.ts';
import { type Propagator, type TraceContext, readTraceContext } from '../../http/trace-context.ts';
import { TRACE_ID_END, TraceIds, traceIdOf } from '../../http/trace-ids.ts';
import type { Route } from '../../routing/table.ts';
import { RequestTrace, type SpanAttempt, type SpanParts } from './request-trace.ts';
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
  /** Endpoints are told of traces in W3C's way and no other. */
  readonly #isW3cAlone: boolean;
  readonly #ids = new TraceIds();
  #second = 0;
  #clientSampled = 0;

  constructor(settings: TracingSettings) {
    const { propagators, sampler } = settings;
    this.#settings = settings;
    this.#sampler = samplerOf(sampler);
    this.ownFields = propagators.map((each) => FIELD_KINDS[each]);
    this.#isW3cAlone = propagators.length === 1 && propagators[0] === 'tracecontext';
  }

  /**
   * The trace of a request: null where requests of the route are not traced, and how its head for endpoints ends where that is
   * all there is to it. `hasFields` says whether there are fields of any propagator, `startedAt` when the request began, in
   * milliseconds on a clock that only goes forward.
   */
  begin(request: RoutedRequest, hasFields: boolean, startedAt: number): RequestTrace | string | null {
    const { isDefault, propagators, trustsClients } = this.#settings;
    const config = request.route?.policies?.configs.tracing;
    if (!(config?.isOn ?? isDefault)) return null;
    const isRead = hasFields && (config?.trustsClient ?? trustsClients);
    const context = isRead ? readTraceContext(propagators, request) : null;
    const byClient = context === null ? null : this.#samplesForClient(context, startedAt);
    const { samplesRoot } = this.#sampler;
    if (context !== null && context.traceId !== '') {
      const { traceId } = context;
      const isSampled = byClient ?? samplesRoot(traceId, traceId.length);
      return new RequestTrace(propagators, traceId, context, isSampled ? spanParts(request) : null);
    }
    const ending = this.#ids.next();
    const isSampled = byClient ?? samplesRoot(ending, TRACE_ID_END);
    if (!isSampled && this.#isW3cAlone) return ending;
    return new RequestTrace(propagators, traceIdOf(ending), null, isSampled ? spanParts(request) : null);
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
}

const NO_ATTEMPTS: readonly SpanAttempt[] = [];

function spanParts(request: RoutedRequest): SpanParts {
  return { userAgent: request.value('user-agent') ?? '', attempts: NO_ATTEMPTS, target: null };
}

const FIELD_KINDS: Readonly<Record<Propagator, FieldKind>> = {
  tracecontext: FieldKind.traceContext,
  b3: FieldKind.b3,
  b3multi: FieldKind.b3multi,
};
