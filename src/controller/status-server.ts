import { type ControlFigures, type Metrics, createMetrics } from '../admin/metrics.ts';
import type { Compatibility } from '../admin/ingress-nginx-metrics.ts';
import { type Admin, createAdmin } from '../admin/server.ts';
import { inTurns } from '../admin/in-turns.ts';
import { runInSlices } from '../admin/slices.ts';
import { boundedExpiries, certificateExpiries } from './certificate-expiry.ts';
import type { Config } from '../config/config.ts';
import type { DataPlane } from './data-plane.ts';
import { EXIT } from '../config/exit-codes.ts';
import { listenFailure } from './listen-failure.ts';
import type { LogSink } from './log-sink.ts';
import type { Problem } from '../model/problem.ts';
import { values } from '../model/sharded-map.ts';
import { LATENCY_BOUNDS_SECONDS } from '../proxy/latency-bounds.ts';
import { RequestSums } from './request-sums.ts';
import type { Compilation } from '../routing/compile/compile.ts';
import { readiness } from './readiness.ts';
import { countTableInSteps, tableJson } from '../routing/table-view.ts';
import type { LogRecords } from './log-records.ts';
import type { MetricExport } from './metric-export.ts';
import type { Tracing } from './open-tracing.ts';
import { VERSION } from '../version.ts';
import type { Source } from '../watch/source.ts';

/** The parts that are asked how they are. */
export interface StatusOptions {
  readonly source: Source;
  readonly dataPlane: DataPlane;
  readonly tracing: Tracing;
  readonly logRecords: LogRecords;
  readonly metricExport: MetricExport;
  readonly compilation: () => Compilation | null;
  readonly log: LogSink;
}

/** The metrics of the whole process. `compilation` is not called before the first scrape. */
export function openMetrics(
  options: StatusOptions & { readonly compatibility: Compatibility | null },
): Metrics {
  const { source, dataPlane } = options;
  const inTurn = inTurns();
  const sums = new RequestSums((gone) => dataPlane.forget(gone), options.metricExport.keepMs);
  return createMetrics({
    version: VERSION,
    latencyBoundsSeconds: LATENCY_BOUNDS_SECONDS,
    // Two readers at once: what one has the threads forget would be new to the other.
    dataPlane: () =>
      inTurn(async () => {
        const askedAt = Date.now();
        const report = await dataPlane.report();
        const snapshot = options.compilation()?.snapshot ?? null;
        const requests = await sums.sum(report.counters, snapshot, askedAt);
        return { ...report, ...requests };
      }),
    watch: () => source.states(),
    compatibility: options.compatibility,
    control: () => runInSlices(controlFigures(options)),
    now: Date.now,
  });
}

function* controlFigures({
  source,
  compilation,
  log,
  tracing,
  logRecords,
  metricExport,
}: StatusOptions): Generator<void, ControlFigures> {
  const compiled = compilation();
  const problems = { error: 0, warning: 0, info: 0 };
  const problemReasons = new Map<string, number>();
  const count = ({ severity, code }: Problem): void => {
    const key = `${severity} ${code}`;
    problems[severity]++;
    problemReasons.set(key, (problemReasons.get(key) ?? 0) + 1);
  };
  source.problems().forEach(count);
  for (const ofObject of compiled ? values(compiled.problems) : []) {
    ofObject.forEach(count);
    yield;
  }
  const counts = compiled
    ? yield* countTableInSteps(compiled.table)
    : { hosts: 0, routes: 0, backends: 0, lastResort: 0 };
  const certificates = compiled ? yield* boundedExpiries(certificateExpiries(compiled)) : [];
  const generation = compiled?.table.generation ?? 0;
  return {
    generation,
    ...counts,
    problems,
    problemReasons,
    certificates,
    logDroppedBytes: log.droppedBytes(),
    spans: tracing.counts(),
    logRecords: logRecords.counts(),
    metricPoints: metricExport.counts(),
  };
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
    checks: () => readiness(source, dataPlane, Date.now()),
    metrics: metrics.scrape,
    routes() {
      const compiled = compilation();
      return compiled ? tableJson(compiled) : ['{"hosts":[]}\n'];
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
