import type { Logger } from 'pino';
import type { Metrics } from '../admin/metrics.ts';
import { readMetricVariables } from '../config/metric-variables.ts';
import { openExporter } from './open-exporter.ts';
import { METRICS, type OtlpCounts } from './otlp-exporter.ts';

/** The metrics, sent to a collector of OpenTelemetry beside being scraped. */
export interface MetricExport {
  /** How long the counters of what is deleted are kept, so that one more export and one more scrape have them. */
  readonly keepMs: number;
  /** From now on they are sent, time after time. */
  start(metrics: Pick<Metrics, 'otlp'>): void;
  counts(): OtlpCounts;
  /** Sends them once more, for a bounded time. */
  end(): Promise<void>;
}

const OFF: MetricExport = {
  keepMs: 0,
  start: () => {},
  counts: () => ({ exported: 0, queueFull: 0, failed: 0 }),
  end: () => Promise.resolve(),
};

/** Most Prometheus servers scrape every minute or more often. */
const SCRAPED_WITHIN_MS = 120_000;

/** What may be spent on the last export. */
const END_TIMEOUT_MS = 2_000;

/** Sends them where the variables of OpenTelemetry say. What is wrong with these is logged, a line for each value. */
export function openMetricExport(env: NodeJS.ProcessEnv, logger: Logger): MetricExport {
  const { variables, warnings } = readMetricVariables(env);
  for (const warning of warnings) logger.warn(warning);
  const exporter = variables === null ? null : openExporter(METRICS, variables.exporter, env, logger);
  if (variables === null || exporter === null) return OFF;
  const { intervalMs, timeoutMs, histograms } = variables;
  const { endpoint } = variables.exporter;
  if (endpoint !== null)
    logger.info(`metrics go to ${endpoint.origin}${endpoint.pathname} every ${intervalMs / 1000} s`);

  let source: Pick<Metrics, 'otlp'> | null = null;
  let timer: NodeJS.Timeout | undefined;
  let exporting: Promise<void> | null = null;
  /** Part by part: a part is made when the one before is sent, so that no more than that waits. */
  const sendAll = async (metrics: Pick<Metrics, 'otlp'>, sendBy: number): Promise<void> => {
    try {
      for await (const { json, count } of metrics.otlp(histograms)) {
        exporter.add({ bytes: Buffer.from(json), count, sendBy });
        await exporter.flush();
      }
    } catch (error) {
      logger.error(`metrics could not be gathered for the collector: ${(error as Error).message}`);
    }
  };
  const send = (withinMs: number): Promise<void> => {
    if (source === null) return Promise.resolve();
    exporting ??= sendAll(source, performance.now() + withinMs).finally(() => (exporting = null));
    return exporting;
  };

  return {
    keepMs: Math.max(intervalMs + timeoutMs, SCRAPED_WITHIN_MS),
    start(metrics) {
      source = metrics;
      timer = setInterval(() => void send(timeoutMs), intervalMs).unref();
    },
    counts: () => exporter.counts(),
    async end() {
      clearInterval(timer);
      const last = (exporting ?? Promise.resolve()).then(() => send(END_TIMEOUT_MS));
      let timeout: NodeJS.Timeout | undefined;
      await Promise.race([last, new Promise((resolve) => (timeout = setTimeout(resolve, END_TIMEOUT_MS)))]);
      clearTimeout(timeout);
      await exporter.end(0);
    },
  };
}
