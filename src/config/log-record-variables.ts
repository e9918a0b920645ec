import type { Environment } from './flag-reader.ts';
import { type ExporterVariables, VariableReader, readOptionalExporter } from './otlp-variables.ts';

/**
 * Reads the variables of OpenTelemetry that say where log records go. Unlike spans they go nowhere unless
 * `OTEL_LOGS_EXPORTER` names `otlp`: the log is on standard output already. Null where they go nowhere.
 */
export function readLogRecordVariables(env: Environment): {
  readonly variables: ExporterVariables | null;
  readonly warnings: readonly string[];
} {
  const read = new VariableReader(env, 'LOGS');
  const variables = readOptionalExporter(read, ['otlp', 'none'], 'OTEL_BLRP', 'No log records are sent');
  return { variables, warnings: read.warnings };
}
