import { type Metrics, createMetrics } from '../admin/metrics.ts';
import { type Admin, createAdmin } from '../admin/server.ts';
import { certificateExpiries } from './certificate-expiry.ts';
import type { Config } from '../config/config.ts';
import type { Control } from './reconciler.ts';
import type { DataPlane } from './data-plane.ts';
import { EXIT } from '../config/exit-codes.ts';
import { listenFailure } from './listen-failure.ts';
import type { LogSink } from './log.ts';
import { LATENCY_BOUNDS_SECONDS } from '../proxy/request-metrics.ts';
import { listProblems } from '../routing/compile/compile.ts';
import { readiness } from './readiness.ts';
import { countTable, tableView } from '../routing/table-view.ts';
import { VERSION } from '../version.ts';
import type { Source } from '../watch/source.ts';

/** The parts that are asked how they are. */
export interface StatusOptions {
  readonly source: Source;
  readonly dataPlane: DataPlane;
  readonly compilation: Control['compilation'];
  readonly log: LogSink;
}

/** The metrics of the whole process. `compilation` is not called before the first scrape. */
export function openMetrics({ source, dataPlane, compilation, log }: StatusOptions): Metrics {
  return createMetrics({
    version: VERSION,
    latencyBoundsSeconds: LATENCY_BOUNDS_SECONDS,
    dataPlane: () => dataPlane.report(),
    watch: () => source.states(),
    control() {
      const compiled = compilation();
      const problems = { error: 0, warning: 0, info: 0 };
      for (const { severity } of compiled ? listProblems(compiled) : []) problems[severity]++;
      for (const { severity } of source.problems()) problems[severity]++;
      const counts = compiled
        ? countTable(compiled.table)
        : { hosts: 0, routes: 0, backends: 0, lastResort: 0 };
      const generation = compiled?.table.generation ?? 0;
      const certificates = compiled ? [...certificateExpiries(compiled)] : [];
      return { generation, ...counts, problems, certificates, logDroppedBytes: log.droppedBytes() };
    },
    now: Date.now,
  });
}

/**
 * Listens on the status port and the status socket. `onFatal` is called with the exit code for what cannot be listened
 * on; why has been said in one line.
 */
export async function openStatusServer(
  { source, dataPlane, compilation, log }: StatusOptions,
  metrics: Metrics,
  { statusSocket, statusPort, bindAddress }: Config,
  onFatal: (exitCode: number) => void,
): Promise<Admin> {
  const admin = createAdmin({
    checks: () => readiness(source, dataPlane.serving(), dataPlane.draining(), Date.now()),
    metrics: metrics.text,
    routes() {
      const compiled = compilation();
      return compiled ? tableView(compiled) : { hosts: [] };
    },
  });
  try {
    if (statusSocket !== null) await admin.listenOnSocket(statusSocket);
  } catch (error) {
    log.logger.error(`--status-socket ${statusSocket}: cannot listen there: ${(error as Error).message}`);
    onFatal(EXIT.unavailable);
  }
  try {
    if (statusPort !== 0) await admin.listen(statusPort, bindAddress);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const { line, exitCode } = listenFailure('--status-port', statusPort, code, message);
    log.logger.error(line);
    onFatal(exitCode);
  }
  return admin;
}
