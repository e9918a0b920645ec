import type { Propagator } from '../../http/trace-context.ts';
import type { SamplerSettings } from '../../http/sampler.ts';
import type { GlobalTracing } from '../../routing/global-tracing.ts';

/** What the `OTEL_` variables and the flags say of tracing; null where they say nothing. Plain data for the threads. */
export interface TracingVariables {
  /** Whether they name a collector. */
  readonly hasCollector: boolean;
  readonly propagators: readonly Propagator[];
  readonly sampler: SamplerSettings | null;
  /** Whether requests go on with the trace that their client says they belong to. */
  readonly trustsClients: boolean;
}

/** How a data-plane thread traces requests. */
export interface TracingSettings {
  /** Whether requests are traced whose route says nothing about it. */
  readonly isDefault: boolean;
  readonly trustsClients: boolean;
  readonly propagators: readonly Propagator[];
  readonly sampler: SamplerSettings;
}

/** As OpenTelemetry has it. */
const DEFAULT_SAMPLER: SamplerSettings = { root: 'always_on', ratio: 1, parentBased: true };

/** The variables, and what the ConfigMap of ingress-nginx says where they say nothing; null where no collector is known. */
export function tracingSettings(
  variables: TracingVariables | null,
  global: GlobalTracing | undefined,
): TracingSettings | null {
  if (variables === null) return null;
  const { hasCollector, trustsClients, propagators, sampler } = variables;
  if (!hasCollector && !global?.collector) return null;
  return {
    // In ingress-nginx a collector alone traces nothing.
    isDefault: hasCollector,
    trustsClients,
    propagators,
    sampler: sampler ?? global?.sampler ?? DEFAULT_SAMPLER,
  };
}
