import { type Sampler, samplerOf } from '../../http/sampler.ts';
import { FieldKind } from '../../http/field-names.ts';
import { TRACE_FIELDS, readTraceContext } from '../../http/trace-context.ts';
import { newTraceLine, traceIdOf } from '../../http/trace-ids.ts';
import type { Route } from '../../routing/table.ts';
import { RequestTrace } from './request-trace.ts';
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
  #second = 0;
  #clientSampled = 0;

  constructor(settings: TracingSettings) {
    this.#settings = settings;
    this.#sampler = samplerOf(settings.sampler);
    this.ownFields = settings.propagators.map((each) => FIELD_KINDS[each]);
  }

  /** Null where requests of the route are not traced. `startedAt` is when it began, on a clock that only goes forward. */
  begin(request: RoutedRequest, startedAt: number): RequestTrace | null {
    const { isDefault, propagators, trustsClients } = this.#settings;
    const config = request.route?.policies?.configs.tracing;
    if (!(config?.isOn ?? isDefault)) return null;
    const trusted = config?.trustsClient ?? trustsClients;
    const context = trusted ? readTraceContext(propagators, request) : null;
    const drawn = newTraceLine();
    const traceId = context?.traceId || traceIdOf(drawn);
    const isSampled = this.#samples(traceId, context === null ? null : context.isSampled, startedAt);
    const trace = new RequestTrace(propagators, context, drawn, isSampled);
    if (isSampled) {
      const userAgent = request.value('user-agent') ?? '';
      trace.request = { userAgent, spanName: config?.spanName ?? null };
    }
    return trace;
  }

  #samples(traceId: string, byClient: boolean | null, now: number): boolean {
    const { parentBased, samplesRoot } = this.#sampler;
    if (!parentBased || byClient === null) return samplesRoot(traceId);
    if (!byClient) return false;
    const second = Math.floor(now / 1000);
    if (second !== this.#second) this.#clientSampled = 0;
    this.#second = second;
    return ++this.#clientSampled <= CLIENT_SAMPLED_PER_SECOND || samplesRoot(traceId);
  }
}

const FIELD_KINDS: Readonly<Record<keyof typeof TRACE_FIELDS, FieldKind>> = {
  tracecontext: FieldKind.traceContext,
  b3: FieldKind.b3,
  b3multi: FieldKind.b3multi,
};
