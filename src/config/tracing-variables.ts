import type { Propagator } from '../http/trace-context.ts';
import type { SamplerSettings } from '../http/sampler.ts';
import type { Environment } from './flag-reader.ts';
import { type ExporterVariables, VariableReader, readExporter } from './otlp-variables.ts';

export interface OpenTelemetryVariables {
  readonly exporter: ExporterVariables;
  readonly propagators: readonly Propagator[];
  readonly sampler: SamplerSettings | null;
}

export interface ReadVariables {
  /** Null where they turn tracing off, or ask for what Portico cannot do. */
  readonly variables: OpenTelemetryVariables | null;
  /** A line for each value that is not used as it is. */
  readonly warnings: readonly string[];
}

/**
 * Reads the variables of OpenTelemetry that say how requests are traced. A value that is not valid costs its default and
 * never the start: operators inject these variables into Pods.
 */
export function readTracingVariables(env: Environment): ReadVariables {
  const read = new VariableReader(env, 'TRACES');
  const exporters = read.names('OTEL_TRACES_EXPORTER', ['otlp', 'none'], 'otlp', 'Requests are not traced');
  const isOff = read.bool('OTEL_SDK_DISABLED') || !exporters.has('otlp');
  const variables = {
    exporter: readExporter(read, 'OTEL_BSP'),
    propagators: readPropagators(read),
    sampler: readSampler(read),
  };
  const speaks = read.protocol('Requests are not traced');
  return { variables: isOff || !speaks ? null : variables, warnings: read.warnings };
}

const SAMPLERS: Readonly<Record<string, Pick<SamplerSettings, 'root' | 'parentBased'>>> = {
  always_on: { root: 'always_on', parentBased: false },
  always_off: { root: 'always_off', parentBased: false },
  traceidratio: { root: 'traceidratio', parentBased: false },
  parentbased_always_on: { root: 'always_on', parentBased: true },
  parentbased_always_off: { root: 'always_off', parentBased: true },
  parentbased_traceidratio: { root: 'traceidratio', parentBased: true },
};

function readPropagators(read: VariableReader): readonly Propagator[] {
  const name = 'OTEL_PROPAGATORS';
  const written = (read.text(name) ?? 'tracecontext,baggage').split(',').map((each) => each.trim());
  const found = new Set<Propagator>();
  for (const each of written) {
    if (each === 'tracecontext' || each === 'b3' || each === 'b3multi') found.add(each);
    // Baggage goes on as it comes.
    else if (each !== 'baggage' && each !== 'none')
      read.bad(name, each, 'is not tracecontext, baggage, b3, b3multi or none', 'It is ignored');
  }
  return [...found];
}

function readSampler(read: VariableReader): SamplerSettings | null {
  const name = 'OTEL_TRACES_SAMPLER';
  const written = read.text(name);
  if (written === null) {
    if (read.text('OTEL_TRACES_SAMPLER_ARG') !== null)
      read.warnings.push(
        `OTEL_TRACES_SAMPLER_ARG counts only with ${name}, such as parentbased_traceidratio`,
      );
    return null;
  }
  const chosen = SAMPLERS[written.toLowerCase()];
  if (!chosen) {
    const names = Object.keys(SAMPLERS);
    read.bad(name, written, `is not one of ${names.join(', ')}`, 'parentbased_always_on is used');
    return null;
  }
  return { ...chosen, ratio: chosen.root === 'traceidratio' ? readRatio(read) : 1 };
}

function readRatio(read: VariableReader): number {
  const name = 'OTEL_TRACES_SAMPLER_ARG';
  const written = read.text(name);
  if (written === null) return 1;
  const ratio = /^[\d.]{1,20}(?:e-?\d{1,3})?$/i.test(written) ? Number(written) : Number.NaN;
  if (ratio >= 0 && ratio <= 1) return ratio;
  read.bad(name, written, 'is not a number from 0 to 1', '1 is used');
  return 1;
}
