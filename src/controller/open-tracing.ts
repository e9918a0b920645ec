import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { readTracingVariables } from '../config/tracing-variables.ts';
import type { SentSpans } from '../proxy/tracing/span-batch.ts';
import type { TracingVariables } from '../proxy/tracing/tracing-settings.ts';
import type { GlobalTracing } from '../routing/global-tracing.ts';
import { openExporter } from './open-exporter.ts';
import { type OtlpCounts, TRACES } from './otlp-exporter.ts';

/** The tracing of the process, as the control thread has it. */
export interface Tracing {
  /** For the data-plane threads; null where nothing is traced. */
  readonly variables: TracingVariables | null;
  add(spans: SentSpans): void;
  useGlobal(global: GlobalTracing | undefined): void;
  counts(): OtlpCounts;
  /** Sends what is left, for a bounded time. */
  end(): Promise<void>;
}

const NO_COUNTS: OtlpCounts = { exported: 0, queueFull: 0, failed: 0 };
const OFF: Tracing = {
  variables: null,
  add: () => {},
  useGlobal: () => {},
  counts: () => NO_COUNTS,
  end: () => Promise.resolve(),
};

/** What may be spent on the last spans. */
const END_TIMEOUT_MS = 2_000;

/** Sets tracing up as the variables of OpenTelemetry say. What is wrong with them is logged, a line for each value. */
export function openTracing(
  { engine, trustTraceContext }: Pick<Config, 'engine' | 'trustTraceContext'>,
  env: NodeJS.ProcessEnv,
  logger: Logger,
): Tracing {
  const { variables, warnings } = readTracingVariables(env);
  for (const warning of warnings) logger.warn(warning);
  if (variables === null) return OFF;
  const { endpoint } = variables.exporter;
  if (engine !== 'relay') {
    if (endpoint !== null) logger.warn('requests are not traced: that needs --engine relay');
    return OFF;
  }
  const exporter = openExporter(TRACES, variables.exporter, env, logger);
  if (exporter === null) return OFF;
  if (endpoint !== null)
    logger.info(`requests are traced; spans go to ${endpoint.origin}${endpoint.pathname}`);
  const { propagators, sampler } = variables;
  return {
    variables: { hasCollector: endpoint !== null, trustsClients: trustTraceContext, propagators, sampler },
    add: (spans) => exporter.add(spans),
    useGlobal: (global) => exporter.useGlobal(global),
    counts: () => exporter.counts(),
    end: () => exporter.end(END_TIMEOUT_MS),
  };
}
