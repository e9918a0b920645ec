import { randomBytes } from 'node:crypto';
import { createAdmin } from './admin/server.ts';
import { type Metrics, createMetrics } from './admin/metrics.ts';
import type { Config } from './config.ts';
import { startControl } from './control.ts';
import { certificateExpiries } from './certificate-expiry.ts';
import { EXIT } from './exit.ts';
import type { LogSink } from './log.ts';
import { createProblemLog } from './problem-log.ts';
import { LATENCY_BOUNDS_SECONDS } from './proxy/accounting.ts';
import { type ThreadTrouble, startThreads } from './proxy/threads.ts';
import { type KeyPair, listProblems } from './routing/compile.ts';
import type { Publisher } from './publish/publish.ts';
import { endPublishing, openPublishing } from './publishing.ts';
import { readiness } from './readiness.ts';
import { openSource } from './source.ts';
import { countTable, tableView } from './table-view.ts';
import { tcpMigrationNotice } from './tcp-migration.ts';
import { VERSION } from './version.ts';
import type { SourceEvent } from './watch/source.ts';

export interface DaemonOptions {
  readonly config: Config;
  readonly env: NodeJS.ProcessEnv;
  readonly log: LogSink;
  /** The module that a data-plane thread runs. */
  readonly threadEntry: URL;
  /** Resolves with the name of the signal that asks to stop. */
  readonly stopRequested: Promise<string>;
}

/** AES-128 and HMAC keys and their name, as OpenSSL has it. */
const TICKET_KEY_BYTES = 48;
/**
 * Tickets sealed with the key before are not understood any more: their clients make a full handshake, once. Who
 * gets hold of a key can read no more than which session was resumed, since resumption agrees on fresh keys (RFC 8446 2.2).
 */
const TICKET_KEY_LIFETIME_MS = 12 * 60 * 60 * 1000;

/** What the source is waited for before the log says what is missing. */
const SYNC_PATIENCE_MS = 5_000;

/**
 * Starts the parts in the order in which the data flows, serves, and stops them in reverse when asked to. Resolves
 * with the exit code; every reason to end early has been said in one line by then.
 */
export async function runDaemon({
  config,
  env,
  log,
  threadEntry,
  stopRequested,
}: DaemonOptions): Promise<number> {
  const { logger } = log;
  let dirty: (what: SourceEvent) => void = () => {};
  const { snapshotFile: path, snapshotSecrets: withSecrets } = config;
  const memory = path === null ? null : { path, withSecrets };
  const opened = await openSource(config, env, logger, (what) => dirty(what), memory);
  if (opened.kind === 'failed') {
    logger.error(opened.message);
    return EXIT.noInput;
  }
  const { source } = opened;
  logger.info(`Portico ${VERSION}: objects from ${opened.description}`);
  const notice = config.source.kind === 'cluster' ? tcpMigrationNotice() : null;
  if (notice) logger.info(notice);

  const standIn = config.httpsPort === 0 ? null : await standInCertificate();
  const place = { host: config.bindAddress ?? undefined, reusePort: process.platform === 'linux' };
  const fatal = Promise.withResolvers<number>();
  let draining = false;
  const threads = startThreads({
    count: config.workers,
    entry: threadEntry,
    settings: {
      engine: config.engine,
      limits: config.limits,
      trustedProxies: config.trustedProxies,
      h2c: config.h2c,
      proxyProtocolFrom: config.proxyProtocolFrom,
      tls: standIn && { minVersion: config.tlsMinVersion, ciphers: config.tlsCiphers, standIn },
      httpsRedirect: standIn && config.sslRedirect ? { port: config.httpsPort } : null,
      strictTransportSecurity: config.hsts,
      accessLog: config.accessLog,
      allowLoopback: config.allowLoopback,
    },
    addresses: [
      { ...place, port: config.httpPort, scheme: 'http' },
      ...(standIn ? [{ ...place, port: config.httpsPort, scheme: 'https' } as const] : []),
    ],
    onAccessLog: (lines) => log.lines(lines),
    onTrouble: (trouble) => onTrouble(trouble),
  });
  const onTrouble = (trouble: ThreadTrouble): void => {
    if (trouble.kind === 'died') {
      logger.error(`a data-plane thread died and is replaced in ${trouble.retryInMs} ms: ${trouble.reason}`);
      return;
    }
    const { address, code: reason, message } = trouble;
    const flag = address.scheme === 'https' ? '--https-port' : '--http-port';
    const { line, code } = listenFailure(flag, address.port, reason, message);
    if (!draining) logger.error(line);
    fatal.resolve(code);
  };

  if (standIn) threads.useTicketKey(randomBytes(TICKET_KEY_BYTES));
  const ticketKeyTimer = setInterval(
    () => standIn && threads.useTicketKey(randomBytes(TICKET_KEY_BYTES)),
    TICKET_KEY_LIFETIME_MS,
  ).unref();

  const metrics: Metrics = createMetrics({
    version: VERSION,
    latencyBoundsSeconds: LATENCY_BOUNDS_SECONDS,
    dataPlane: () => threads.report(),
    watch: () => source.states(),
    control: () => {
      const compilation = control.compilation();
      const problems = { error: 0, warning: 0, info: 0 };
      for (const { severity } of compilation ? listProblems(compilation) : []) problems[severity]++;
      for (const { severity } of source.problems()) problems[severity]++;
      const counts = compilation ? countTable(compilation.table) : { hosts: 0, routes: 0, backends: 0 };
      const generation = compilation?.table.generation ?? 0;
      const certificates = compilation ? [...certificateExpiries(compilation)] : [];
      return { generation, ...counts, problems, certificates, logDroppedBytes: log.droppedBytes() };
    },
    now: Date.now,
  });
  const control = startControl({
    source,
    settings: {
      ingressClass: config.ingressClass,
      controllerName: config.controllerName,
      watchIngressWithoutClass: config.watchIngressWithoutClass,
      defaultBackend: config.defaultBackend,
      allowLoopback: config.allowLoopback,
      location: { node: config.nodeName, zone: config.zone },
      defaultTlsSecret: config.defaultTlsSecret,
    },
    publish: threads.publish,
    compiled: metrics.compiled,
    problemLog: createProblemLog(logger, opened.locate),
    logger,
  });

  const admin = createAdmin({
    checks: () => readiness(source, threads.serving(), draining, Date.now()),
    metrics: metrics.text,
    routes: () => {
      const compilation = control.compilation();
      return compilation ? tableView(compilation) : { hosts: [] };
    },
  });
  try {
    if (config.statusSocket !== null) await admin.listenOnSocket(config.statusSocket);
  } catch (error) {
    logger.error(`--status-socket ${config.statusSocket}: cannot listen there: ${(error as Error).message}`);
    fatal.resolve(EXIT.unavailable);
  }
  try {
    if (config.statusPort !== 0) await admin.listen(config.statusPort, config.bindAddress);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const failure = listenFailure('--status-port', config.statusPort, code, message);
    logger.error(failure.line);
    fatal.resolve(failure.code);
  }

  let publisher: Publisher | null = null;
  // Before everything is listed a snapshot is half a truth, and half a table would answer 404 for the other half.
  const patience = setTimeout(() => {
    const awaited = source.states().filter((state) => !state.synced);
    const reasons = awaited.map(({ kind, lastError }) => `${kind}${lastError ? ` (${lastError})` : ''}`);
    logger.warn(`still waiting for the first list of ${reasons.join(', ')}; not ready until then`);
  }, SYNC_PATIENCE_MS).unref();
  void source.synced.then(() => {
    clearTimeout(patience);
    dirty = control.dirty;
    control.dirty('routes');
    const { cluster } = opened;
    if (draining || !cluster) return;
    // What is remembered of a cluster is good enough to serve by, but not to write down.
    const compilation = () => (source.restored?.() ? null : control.compilation());
    publisher = openPublishing({ config, env, cluster, compilation, logger });
  });
  void threads.listening.then(
    ([port, httpsPort]) => {
      const counts = control.compilation();
      const { hosts, routes } = counts ? countTable(counts.table) : { hosts: 0, routes: 0 };
      const address = config.bindAddress ?? 'all addresses';
      const tlsPort = httpsPort === undefined ? '' : ` and ${httpsPort} (https)`;
      logger.info(
        `ready: ${routes} routes of ${hosts} hosts on port ${port}${tlsPort} of ${address}, ${config.workers} threads`,
      );
    },
    () => {},
  );

  const outcome = await Promise.race([stopRequested, fatal.promise]);
  draining = true;
  // Another Portico publishes while this one drains.
  const published = publisher ? endPublishing(publisher) : null;
  if (typeof outcome === 'string') {
    logger.info(`${outcome}: draining for at most ${config.drainTimeoutMs} ms`);
    const cut = await threads.drain(config.drainTimeoutMs);
    logger.info(
      cut === 0 ? 'drained: every request was finished' : `drained: ${cut} requests were cut at the deadline`,
    );
  } else {
    await threads.drain(0);
  }
  clearTimeout(patience);
  clearInterval(ticketKeyTimer);
  await published;
  await control.stop();
  await source.stop();
  admin.close();
  return typeof outcome === 'string' ? EXIT.ok : outcome;
}

async function standInCertificate(): Promise<KeyPair> {
  // The library behind it is worth loading only where there is TLS.
  const { createStandInCertificate } = await import('./stand-in-certificate.ts');
  return createStandInCertificate(Date.now());
}

function listenFailure(
  flag: string,
  port: number,
  code: string,
  message: string,
): { line: string; code: number } {
  switch (code) {
    case 'EADDRINUSE':
      return {
        line: `${flag} ${port}: the port is in use by another process; stop it or choose another port`,
        code: EXIT.unavailable,
      };
    case 'EACCES':
      return {
        line: `${flag} ${port}: this user may not listen there; choose a port from 1024 up, or grant NET_BIND_SERVICE`,
        code: EXIT.noPermission,
      };
    case 'EADDRNOTAVAIL':
      return {
        line: `${flag} ${port}: this machine does not have the address of --bind-address; choose one of its own`,
        code: EXIT.unavailable,
      };
    default:
      return { line: `${flag} ${port}: cannot listen: ${message}`, code: EXIT.unavailable };
  }
}
