import type { Environment } from './flag-reader.ts';
import { type ExporterVariables, VariableReader, readOptionalExporter } from './otlp-variables.ts';

export interface MetricVariables {
  readonly exporter: ExporterVariables;
  /** From one export to the next, and the longest that one may take. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly histograms: 'explicit' | 'exponential';
}

/**
 * Reads the variables of OpenTelemetry that say where metrics are sent. They go nowhere unless `OTEL_METRICS_EXPORTER` names
 * `otlp`: /metrics has them in any case. Null where they go nowhere.
 */
export function readMetricVariables(env: Environment): {
  readonly variables: MetricVariables | null;
  readonly warnings: readonly string[];
} {
  const read = new VariableReader(env, 'METRICS');
  // To be scraped is what `prometheus` asks for.
  const exporter = readOptionalExporter(read, ['otlp', 'none', 'prometheus'], null, 'No metrics are sent');
  if (exporter === null) return { variables: null, warnings: read.warnings };
  readTemporality(read);
  const variables: MetricVariables = {
    exporter,
    intervalMs: read.number('OTEL_METRIC_EXPORT_INTERVAL', 100, 86_400_000) ?? 60_000,
    timeoutMs: read.number('OTEL_METRIC_EXPORT_TIMEOUT', 1, 600_000) ?? 30_000,
    histograms: readHistograms(read),
  };
  return { variables, warnings: read.warnings };
}

/** Sums since the last export would be sums since the last one of each collector that failed. */
function readTemporality(read: VariableReader): void {
  const name = read.otlpName('TEMPORALITY_PREFERENCE');
  const written = read.choice(name, ['cumulative', 'delta', 'lowmemory'], 'cumulative');
  if (written === 'cumulative') return;
  read.bad(
    name,
    written,
    'is not supported',
    'cumulative is used; the cumulativetodelta processor of the collector makes deltas of it',
  );
}

function readHistograms(read: VariableReader): MetricVariables['histograms'] {
  const choices = ['explicit_bucket_histogram', 'base2_exponential_bucket_histogram'];
  const written = read.choice(read.otlpName('DEFAULT_HISTOGRAM_AGGREGATION'), choices, choices[0]!);
  return written === choices[1] ? 'exponential' : 'explicit';
}
