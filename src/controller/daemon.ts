import type { Compatibility } from '../admin/ingress-nginx-metrics.ts';
import type { Admin } from '../admin/server.ts';
import { type AdminApi, openAdminApi } from './admin-api.ts';
import { compileSettings } from '../config/compile-settings.ts';
import type { Config } from '../config/config.ts';
import { chooseSockets } from '../proxy/sockets/sockets.ts';
import { Reconciler } from './reconciler.ts';
import { type DataPlane, startDataPlane } from './data-plane.ts';
import { EXIT } from '../config/exit-codes.ts';
import type { LogSink } from './log-sink.ts';
import { localAddresses, ownAddresses } from './local-addresses.ts';
import { createChangeLog } from './change-log.ts';
import { createProblemLog } from './problem-log.ts';
import type { PortFacts } from '../routing/gateway/serving-facts.ts';
import type { Publisher } from '../publish/publisher.ts';
import { endPublishing, openPublishing } from './publishing.ts';
import { type OpenedCluster, openSource } from './open-source.ts';
import { type LogRecords, openLogRecords } from './log-records.ts';
import { type MetricExport, openMetricExport } from './metric-export.ts';
import { openMetrics, openStatusServer } from './status-server.ts';
import { countTable } from '../routing/table-view.ts';
import { tcpMigrationNotice } from './tcp-migration.ts';
import { plural } from '../model/plural.ts';
import { type Tracing, openTracing } from './open-tracing.ts';
import { VERSION } from '../version.ts';
import type { Source, SourceEvent } from '../watch/source.ts';

export interface DaemonOptions {
  readonly config: Config;
  readonly env: NodeJS.ProcessEnv;
  readonly log: LogSink;
  /** The module that a data-plane thread runs. */
  readonly threadEntry: URL;
  /** Resolves with the name of the signal that asks to stop. */
  readonly stopRequested: Promise<string>;
}

/** What was started, in the order in which the data flows. */
interface Parts {
  readonly source: Source;
  /** The API server, when objects come from one. */
  readonly cluster: OpenedCluster | null;
  readonly reconciler: Reconciler;
  /** From here on a change of the source is compiled. */
  readonly compileChanges: () => void;
  /** From here on it is told of what it may have to publish. */
  readonly publishChanges: (publisher: Publisher) => void;
  readonly dataPlane: DataPlane;
  readonly tracing: Tracing;
  readonly logRecords: LogRecords;
  readonly metricExport: MetricExport;
  readonly statusServer: Admin;
  readonly adminApi: AdminApi;
  /** Resolves with the exit code when one of them cannot go on. */
  readonly failed: Promise<number>;
}

/** What is under way while it serves. */
interface Serving {
  readonly syncWarning: NodeJS.Timeout;
  /** Null until it is known that something is to be published. */
  readonly publisher: () => Publisher | null;
}

/** How long to wait for the source before the log says what is missing. */
const SYNC_WARNING_MS = 5_000;

/**
 * Starts the parts in the order in which the data flows, serves, and stops them in reverse when asked to. Resolves
 * with the exit code; every reason to end early is logged in one line by then.
 */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const parts = await start(options);
  if (parts === null) return EXIT.noInput;
  const serving = serve(parts, options);
  const outcome = await Promise.race([options.stopRequested, parts.failed]);
  await stop(parts, serving, outcome, options);
  if (parts.dataPlane.hasStuckThread()) {
    options.log.logger.error('a thread did not end, so the process ends without it: please report this');
    return EXIT.killed;
  }
  return typeof outcome === 'string' ? EXIT.ok : outcome;
}

/** Null when there is no source. */
async function start({ config, env, log, threadEntry }: DaemonOptions): Promise<Parts | null> {
  const { logger } = log;
  const { snapshotFile: path, snapshotSecrets: withSecrets } = config;
  const cache = path === null ? null : { path, withSecrets };
  let dirty: (what: SourceEvent) => void = () => {};
  let publisher: Publisher | null = null;
  const opened = await openSource(config, env, logger, (what) => dirty(what), cache);
  if (opened.kind === 'failed') {
    logger.error(opened.message);
    return null;
  }
  const { source, cluster } = opened;
  logger.info(`Portico ${VERSION}: objects from ${opened.description}`);
  const { note } = chooseSockets(config.sockets);
  if (note && config.engine === 'relay') logger.warn(note);
  const notice = config.source.kind === 'cluster' ? tcpMigrationNotice(env) : null;
  if (notice) logger.info(notice);

  const failed = Promise.withResolvers<number>();
  const onFatal = failed.resolve;
  const tracing = openTracing(config, env, logger);
  const logRecords = openLogRecords(env, logger);
  const metricExport = openMetricExport(env, logger);
  const dataPlane = startDataPlane({
    ...{ config, tracing, logRecords, log, threadEntry, onFatal },
    onNameFault: (service, fault) => reconciler.nameFault(service, fault),
    onPortChange: () => publisher?.changed(),
  });
  const statusSources = {
    source,
    dataPlane,
    tracing,
    logRecords,
    metricExport,
    compilation: () => reconciler.compilation(),
    log,
  };
  const metrics = openMetrics({ ...statusSources, compatibility: compatibility(config, env) });
  const { locate } = opened;
  const pod = env['POD_NAME'] ?? '';
  const adminApi = await openAdminApi({ ...statusSources, config, locate, pod, entry: threadEntry }, onFatal);
  const reconciler: Reconciler = new Reconciler({
    source,
    settings: {
      ...compileSettings(config),
      hasLimitStore: config.rateLimitStore !== null,
      hasCollector: tracing.variables?.hasCollector ?? false,
      localAddresses: localAddresses(),
      ownAddresses: ownAddresses(config.bindAddress),
      adminPort: adminApi.port,
    },
    distribute: dataPlane.distribute,
    compiled: metrics.compiled,
    onCompilation: () => publisher?.changed(),
    problemLog: createProblemLog(logger, locate),
    changeLog: createChangeLog({
      logger,
      endpointLevel: config.source.kind === 'manifests' ? 'info' : 'debug',
    }),
    logger,
  });
  const compileChanges = (): void => {
    dirty = (what) => reconciler.dirty(what);
    reconciler.dirty('routes');
  };
  const publishChanges = (started: Publisher): void => void (publisher = started);
  metricExport.start(metrics);
  const statusServer = await openStatusServer(statusSources, metrics, config, onFatal);
  const served = { dataPlane, tracing, logRecords, metricExport, statusServer, adminApi };
  const flow = { source, cluster, reconciler, compileChanges, publishChanges };
  return { ...flow, ...served, failed: failed.promise };
}

function serve(parts: Parts, { config, env, log: { logger } }: DaemonOptions): Serving {
  const { source, cluster, reconciler, compileChanges, publishChanges, dataPlane } = parts;
  let publisher: Publisher | null = null;
  const syncWarning = setTimeout(() => {
    const awaited = source.states().filter((state) => !state.synced);
    const reasons = awaited.map(({ kind, lastError }) => `${kind}${lastError ? ` (${lastError})` : ''}`);
    logger.warn(`still waiting for the first list of ${reasons.join(', ')}; not ready until then`);
  }, SYNC_WARNING_MS).unref();

  // Before everything is listed the snapshot is incomplete, and the missing routes would answer 404.
  void source.synced.then(() => {
    clearTimeout(syncWarning);
    compileChanges();
    if (dataPlane.draining() || !cluster) return;
    // A cached snapshot is good enough to serve from, but not to publish.
    const compilation = () => (source.cached?.() ? null : reconciler.compilation());
    const portFacts = (): PortFacts => dataPlane.portFacts();
    publisher = openPublishing({ config, env, cluster, compilation, portFacts, logger });
    if (publisher) publishChanges(publisher);
  });
  void dataPlane.listening.then(
    ([port, httpsPort]) => {
      const compilation = reconciler.compilation();
      const { hosts, routes } = compilation ? countTable(compilation.table) : { hosts: 0, routes: 0 };
      const address = config.bindAddress ?? 'all addresses';
      const ports = httpsPort === undefined ? `port ${port}` : `ports ${port} and ${httpsPort} (https)`;
      const serving = `${plural(routes, 'route')} on ${plural(hosts, 'host')}`;
      logger.info(
        `ready: ${serving}; listening on ${ports} of ${address} with ${plural(config.workers, 'thread')}`,
      );
    },
    // The reason is logged already.
    () => {},
  );
  return { syncWarning, publisher: () => publisher };
}

/** Drains when a signal asked for it, and ends at once when a part failed. */
async function stop(
  { source, reconciler, dataPlane, tracing, logRecords, metricExport, statusServer, adminApi }: Parts,
  { syncWarning, publisher }: Serving,
  outcome: string | number,
  { config: { drainTimeoutMs }, log: { logger } }: DaemonOptions,
): Promise<void> {
  if (typeof outcome === 'string') logger.info(`${outcome}: draining for at most ${drainTimeoutMs} ms`);
  const drained = dataPlane.drain(typeof outcome === 'string' ? drainTimeoutMs : 0);
  // Another Portico publishes while this one drains.
  const publishing = publisher();
  const published = publishing ? endPublishing(publishing) : null;
  const aborted = await drained;
  // The threads have sent the last ones.
  const collected = Promise.all([tracing.end(), logRecords.end(), metricExport.end()]);
  if (typeof outcome === 'string') {
    logger.info(
      aborted === 0
        ? 'drained: every request was finished'
        : `drained: ${plural(aborted, 'request')} did not finish in time and ${aborted === 1 ? 'was' : 'were'} aborted`,
    );
  }
  clearTimeout(syncWarning);
  await published;
  await collected;
  await reconciler.stop();
  await source.stop();
  statusServer.close();
  adminApi.close();
}

/** What metrics under the names of ingress-nginx say of this controller; null when there are none. */
function compatibility(
  { metricsCompat, controllerName }: Config,
  env: NodeJS.ProcessEnv,
): Compatibility | null {
  if (metricsCompat === 'off') return null;
  return {
    version: VERSION,
    controllerNamespace: env['POD_NAMESPACE'] ?? '',
    controllerClass: controllerName,
    controllerPod: env['POD_NAME'] ?? '',
  };
}
