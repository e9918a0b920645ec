import type { Logger } from 'pino';
import { readLogRecordVariables } from '../config/log-record-variables.ts';
import { openExporter } from './open-exporter.ts';
import { LOGS, type OtlpCounts } from './otlp-exporter.ts';

/** The access log as log records of OpenTelemetry, beside its lines. */
export interface LogRecords {
  /** Whether data-plane threads are to send them. */
  readonly areWanted: boolean;
  /** Records, one on each line. */
  add(lines: string): void;
  counts(): OtlpCounts;
  /** Sends what is left, for a bounded time. */
  end(): Promise<void>;
}

const OFF: LogRecords = {
  areWanted: false,
  add: () => {},
  counts: () => ({ exported: 0, queueFull: 0, failed: 0 }),
  end: () => Promise.resolve(),
};

/** What may be spent on the last records. */
const END_TIMEOUT_MS = 2_000;

/** Sends them where the variables of OpenTelemetry say. What is wrong with these is logged, a line for each value. */
export function openLogRecords(env: NodeJS.ProcessEnv, logger: Logger): LogRecords {
  const { variables, warnings } = readLogRecordVariables(env);
  for (const warning of warnings) logger.warn(warning);
  const exporter = variables === null ? null : openExporter(LOGS, variables, env, logger);
  if (variables === null || exporter === null) return OFF;
  const { endpoint } = variables;
  if (endpoint !== null) logger.info(`log records of requests go to ${endpoint.origin}${endpoint.pathname}`);
  return {
    areWanted: true,
    add(lines) {
      const records = lines.slice(0, -1).split('\n');
      exporter.add({ bytes: Buffer.from(records.join(',')), count: records.length });
    },
    counts: () => exporter.counts(),
    end: () => exporter.end(END_TIMEOUT_MS),
  };
}
