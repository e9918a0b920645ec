import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { readTracingVariables } from '../config/tracing-variables.ts';
import type { SentSpans } from '../proxy/tracing/span-batch.ts';
import type { TracingVariables } from '../proxy/tracing/tracing-settings.ts';
import type { GlobalTracing } from '../routing/global-tracing.ts';
import { VERSION } from '../version.ts';
import { type SpanCounts, SpanExporter } from './span-exporter.ts';

/** The tracing of the process, as the control thread has it. */
export interface Tracing {
  /** For the data-plane threads; null where nothing is traced. */
  readonly variables: TracingVariables | null;
  add(spans: SentSpans): void;
  useGlobal(global: GlobalTracing | undefined): void;
  counts(): SpanCounts;
  /** Sends what is left, for a bounded time. */
  end(): Promise<void>;
}

const NO_COUNTS: SpanCounts = { exported: 0, queueFull: 0, failed: 0 };
const OFF: Tracing = {
  variables: null,
  add: () => {},
  useGlobal: () => {},
  counts: () => NO_COUNTS,
  end: () => Promise.resolve(),
};

/** What may be spent on the last spans. */
const END_TIMEOUT_MS = 2_000;
const TROUBLE_LOG_MS = 60_000;

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
  const exporter = openExporter();
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

  function openExporter(): SpanExporter | null {
    let loggedAt = Number.NEGATIVE_INFINITY;
    const onTrouble = (reason: string | null): void => {
      if (reason === null) {
        logger.info('resolved: spans reach the collector again');
        loggedAt = Number.NEGATIVE_INFINITY;
        return;
      }
      if (performance.now() - loggedAt < TROUBLE_LOG_MS) return;
      loggedAt = performance.now();
      logger.warn(
        `spans cannot be sent to the collector: ${reason}; requests are served, and spans are dropped`,
      );
    };
    try {
      if (variables === null) return null;
      return new SpanExporter({ variables: variables.exporter, resource: resourceOf(env), onTrouble });
    } catch (error) {
      logger.warn(`requests are not traced: a file of OTEL_EXPORTER_OTLP_…: ${(error as Error).message}`);
      return null;
    }
  }
}

/** What the spans come from, as far as it is known. */
function resourceOf(env: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  const known: Readonly<Record<string, string | undefined>> = {
    'service.version': VERSION,
    'service.instance.id': randomUUID(),
    'host.name': hostname(),
    'k8s.pod.name': env['POD_NAME'],
    'k8s.namespace.name': env['POD_NAMESPACE'],
    'k8s.node.name': env['PORTICO_NODE_NAME'],
    'process.runtime.name': 'nodejs',
    'process.runtime.version': process.versions.node,
    'telemetry.sdk.name': 'portico',
    'telemetry.sdk.language': 'nodejs',
    'telemetry.sdk.version': VERSION,
  };
  return Object.fromEntries(
    Object.entries(known).flatMap(([key, value]) => (value ? [[key, value] as const] : [])),
  );
}
