import type { SamplerSettings } from '../http/sampler.ts';

/** What the ConfigMap of ingress-nginx says of tracing. Plain data for the data-plane threads. */
export interface GlobalTracing {
  /** Where spans go; null where it names nobody. */
  readonly collector: { readonly host: string; readonly port: number } | null;
  readonly serviceName: string | null;
  readonly sampler: SamplerSettings;
  readonly queueSpans: number | null;
  readonly delayMs: number | null;
  readonly batchSpans: number | null;
}
