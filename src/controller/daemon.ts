import type { Admin } from '../admin/server.ts';
import { compileSettings } from '../config/compile-settings.ts';
import type { Config } from '../config/config.ts';
import { type Control, startControl } from './reconciler.ts';
import { type DataPlane, startDataPlane } from './data-plane.ts';
import { EXIT } from '../config/exit-codes.ts';
import type { LogSink } from './log.ts';
import { createProblemLog } from './problem-log.ts';
import type { Publisher } from '../publish/publisher.ts';
import { endPublishing, openPublishing } from './publishing.ts';
import { type OpenedCluster, openSource } from './open-source.ts';
import { openMetrics, openStatusServer } from './status-server.ts';
import { countTable } from '../routing/table-view.ts';
import { tcpMigrationNotice } from './tcp-migration.ts';
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
  readonly control: Control;
  /** From here on a change of the source is compiled. */
  readonly compileChanges: () => void;
  readonly dataPlane: DataPlane;
  readonly statusServer: Admin;
  /** Resolves with the exit code when one of them cannot go on. */
  readonly failed: Promise<number>;
}

/** What is under way while it serves. */
interface Service {
  readonly patience: NodeJS.Timeout;
  /** Null until it is known that something is to be published. */
  readonly publisher: () => Publisher | null;
}

/** What the source is waited for before the log says what is missing. */
const SYNC_PATIENCE_MS = 5_000;

/**
 * Starts the parts in the order in which the data flows, serves, and stops them in reverse when asked to. Resolves
 * with the exit code; every reason to end early has been said in one line by then.
 */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const parts = await start(options);
  if (parts === null) return EXIT.noInput;
  const service = serve(parts, options);
  const outcome = await Promise.race([options.stopRequested, parts.failed]);
  await stop(parts, service, outcome, options);
  return typeof outcome === 'string' ? EXIT.ok : outcome;
}

/** Null when there is no source. */
async function start({ config, env, log, threadEntry }: DaemonOptions): Promise<Parts | null> {
  const { logger } = log;
  const { snapshotFile: path, snapshotSecrets: withSecrets } = config;
  const cache = path === null ? null : { path, withSecrets };
  let dirty: (what: SourceEvent) => void = () => {};
  const opened = await openSource(config, env, logger, (what) => dirty(what), cache);
  if (opened.kind === 'failed') {
    logger.error(opened.message);
    return null;
  }
  const { source, cluster } = opened;
  logger.info(`Portico ${VERSION}: objects from ${opened.description}`);
  const notice = config.source.kind === 'cluster' ? tcpMigrationNotice(env) : null;
  if (notice) logger.info(notice);

  const failed = Promise.withResolvers<number>();
  const onFatal = failed.resolve;
  const dataPlane = await startDataPlane({
    ...{ config, log, threadEntry, onFatal },
    onNameFault: (service, fault) => control.nameFault(service, fault),
  });
  const asked = { source, dataPlane, compilation: () => control.compilation(), log };
  const metrics = openMetrics(asked);
  const control = startControl({
    source,
    settings: compileSettings(config),
    publish: dataPlane.publish,
    compiled: metrics.compiled,
    problemLog: createProblemLog(logger, opened.locate),
    logger,
  });
  const compileChanges = (): void => {
    dirty = control.dirty;
    control.dirty('routes');
  };
  const statusServer = await openStatusServer(asked, metrics, config, onFatal);
  return { source, cluster, control, compileChanges, dataPlane, statusServer, failed: failed.promise };
}

function serve(parts: Parts, { config, env, log: { logger } }: DaemonOptions): Service {
  const { source, cluster, control, compileChanges, dataPlane } = parts;
  let publisher: Publisher | null = null;
  const patience = setTimeout(() => {
    const awaited = source.states().filter((state) => !state.synced);
    const reasons = awaited.map(({ kind, lastError }) => `${kind}${lastError ? ` (${lastError})` : ''}`);
    logger.warn(`still waiting for the first list of ${reasons.join(', ')}; not ready until then`);
  }, SYNC_PATIENCE_MS).unref();

  // Before everything is listed a snapshot is half a truth, and half a table would answer 404 for the other half.
  void source.synced.then(() => {
    clearTimeout(patience);
    compileChanges();
    if (dataPlane.draining() || !cluster) return;
    // What is remembered of a cluster is good enough to serve by, but not to write down.
    const compilation = () => (source.cached?.() ? null : control.compilation());
    publisher = openPublishing({ config, env, cluster, compilation, logger });
  });
  void dataPlane.listening.then(
    ([port, httpsPort]) => {
      const compilation = control.compilation();
      const { hosts, routes } = compilation ? countTable(compilation.table) : { hosts: 0, routes: 0 };
      const address = config.bindAddress ?? 'all addresses';
      const tlsPort = httpsPort === undefined ? '' : ` and ${httpsPort} (https)`;
      logger.info(
        `ready: ${routes} routes of ${hosts} hosts on port ${port}${tlsPort} of ${address}, ${config.workers} threads`,
      );
    },
    // Why it cannot listen has been said.
    () => {},
  );
  return { patience, publisher: () => publisher };
}

/** Drains when a signal asked for it, and ends at once when a part failed. */
async function stop(
  { source, control, dataPlane, statusServer }: Parts,
  { patience, publisher }: Service,
  outcome: string | number,
  { config: { drainTimeoutMs }, log: { logger } }: DaemonOptions,
): Promise<void> {
  if (typeof outcome === 'string') logger.info(`${outcome}: draining for at most ${drainTimeoutMs} ms`);
  const drained = dataPlane.drain(typeof outcome === 'string' ? drainTimeoutMs : 0);
  // Another Portico publishes while this one drains.
  const publishing = publisher();
  const published = publishing ? endPublishing(publishing) : null;
  const cut = await drained;
  if (typeof outcome === 'string') {
    logger.info(
      cut === 0 ? 'drained: every request was finished' : `drained: ${cut} requests were cut at the deadline`,
    );
  }
  clearTimeout(patience);
  await published;
  await control.stop();
  await source.stop();
  statusServer.close();
}
