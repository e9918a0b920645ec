import type { Environment } from './flag-reader.ts';
import { type ExporterVariables, VariableReader, readExporter } from './otlp-variables.ts';

/**
 * Reads the variables of OpenTelemetry that say where log records go. Unlike spans they go nowhere unless
 * `OTEL_LOGS_EXPORTER` is `otlp`: the log is on standard output already. Null where they go nowhere.
 */
export function readLogRecordVariables(env: Environment): {
  readonly variables: ExporterVariables | null;
  readonly warnings: readonly string[];
} {
  const read = new VariableReader(env, 'LOGS');
  const consequence = 'No log records are sent';
  const exporter = read.choice('OTEL_LOGS_EXPORTER', ['otlp', 'none'], 'none', consequence);
  if (exporter !== 'otlp' || read.bool('OTEL_SDK_DISABLED'))
    return { variables: null, warnings: read.warnings };
  const variables = readExporter(read, 'OTEL_BLRP');
  const speaks = read.protocol(consequence);
  if (speaks && variables.endpoint === null) {
    read.warnings.push(
      `OTEL_LOGS_EXPORTER is otlp, and no collector is named. ${consequence}: set OTEL_EXPORTER_OTLP_ENDPOINT.`,
    );
  }
  return { variables: speaks && variables.endpoint !== null ? variables : null, warnings: read.warnings };
}
