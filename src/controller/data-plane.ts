import { randomBytes } from 'node:crypto';
import { healthCheck, httpsRedirect } from '../config/compile-settings.ts';
import type { AccessLogSettings } from '../proxy/access-log/access-log-lines.ts';
import type { Config } from '../config/config.ts';
import { createDefaultCertificate } from './default-certificate.ts';
import { listenFailure, portFailureLine } from './listen-failure.ts';
import type { LogRecords } from './log-records.ts';
import type { LogSink } from './log-sink.ts';
import type { ListenFailure } from '../proxy/threads/messages.ts';
import { type ThreadFailure, type Threads, startThreads } from '../proxy/threads/threads.ts';
import { createNameResolver, dnsResolve } from '../proxy/balance/name-resolver.ts';
import type { NameFault } from '../model/name-fault.ts';
import { DebugSessions } from './debug-sessions.ts';
import type { Tracing } from './open-tracing.ts';
import type { ObjectKey } from '../model/objects.ts';

export interface DataPlaneOptions {
  readonly config: Config;
  readonly tracing: Tracing;
  readonly logRecords: LogRecords;
  readonly log: LogSink;
  /** The module that a data-plane thread runs. */
  readonly threadEntry: URL;
  /** Called when nothing can be served, with the exit code; why has been said in one line. */
  readonly onFatal: (exitCode: number) => void;
  /** An ExternalName does not resolve, or does again. */
  readonly onNameFault: (service: ObjectKey, fault: NameFault | null) => void;
  /** As `ThreadsOptions.onPortChange`. */
  readonly onPortChange?: (key: string) => void;
}

/** The threads that serve, as the flags say. */
export interface DataPlane extends Pick<
  Threads,
  | 'distribute'
  | 'listening'
  | 'serving'
  | 'adoptedGeneration'
  | 'report'
  | 'inspect'
  | 'portFailures'
  | 'portFacts'
  | 'forget'
  | 'drain'
  | 'hasStuckThread'
> {
  /** What is told of requests while they are served. */
  readonly debug: DebugSessions;
  /** From the moment `drain` was called. */
  draining(): boolean;
}

/** AES-128 and HMAC keys and their name, as OpenSSL has it. */
const TICKET_KEY_BYTES = 48;
/**
 * Tickets sealed with the key before are not understood any more: their clients make a full handshake, once. Who
 * gets hold of a key can read no more than which session was resumed, since resumption agrees on fresh keys (RFC 8446 2.2).
 */
const TICKET_KEY_LIFETIME_MS = 12 * 60 * 60 * 1000;

const DESCRIPTORS_LOG_MS = 60_000;

/** Starts the threads. They listen as soon as they are given a table. */
export function startDataPlane(options: DataPlaneOptions): DataPlane {
  const { config, tracing, logRecords, log, threadEntry, onFatal } = options;
  const selfSigned = config.httpsPort === 0 ? null : createDefaultCertificate(Date.now());
  const place = { host: config.bindAddress ?? undefined, reusePort: process.platform === 'linux' };
  let draining = false;
  let isStoreAway = false;
  /** The failures of ports that are logged. */
  const portFailures = new Map<string, string>();
  let descriptorsLoggedAt = Number.NEGATIVE_INFINITY;

  const onFailure = (trouble: ThreadFailure): void => {
    switch (trouble.kind) {
      case 'died':
        log.logger.error(
          `a data-plane thread died; a new one starts in ${trouble.retryInMs} ms: ${trouble.reason}`,
        );
        return;
      case 'table-failed':
        log.logger.error(
          `a data-plane thread could not use a table and keeps the previous one; next try in ${trouble.retryInMs} ms: ${trouble.reason}`,
        );
        return;
      case 'left-out':
        log.logger.error(
          `these entries cannot be sent to data-plane threads and are left out (a bug in Portico, please report it): ${trouble.entries.join(', ')}`,
        );
        return;
      case 'limit-store-away':
        if (isStoreAway) return;
        isStoreAway = true;
        log.logger.error(
          `the store of --rate-limit-store cannot be used: ${trouble.reason}; every replica counts clients by itself until it can`,
        );
        return;
      case 'limit-store-back':
        if (isStoreAway) log.logger.info('resolved: the store of --rate-limit-store can be used again');
        isStoreAway = false;
        return;
      case 'out-of-descriptors':
        if (performance.now() - descriptorsLoggedAt < DESCRIPTORS_LOG_MS) return;
        descriptorsLoggedAt = performance.now();
        log.logger.error(
          'no file descriptor is left: idle connections are closed and new ones wait or are refused; raise the limit of open files (ulimit -n), or lower --limit connections',
        );
        return;
      case 'fault':
        log.logger.error(
          `a request or connection was ended by a fault in Portico, and no other; please report it: ${trouble.stack}`,
        );
        return;
      case 'listen-failed':
        return listenFailed(trouble);
    }
  };
  const onPortChange = (key: string): void => {
    const code = threads.portFailures().get(key) ?? null;
    const before = portFailures.get(key) ?? null;
    if (code === null) portFailures.delete(key);
    else portFailures.set(key, code);
    if (!draining && code !== before && code !== null) log.logger.error(portFailureLine(key, code));
    options.onPortChange?.(key);
  };
  const listenFailed = ({ address, code, message }: ListenFailure): void => {
    const flag = address.scheme === 'https' ? '--https-port' : '--http-port';
    const { line, exitCode } = listenFailure(flag, address.port, code, message);
    if (!draining) log.logger.error(line);
    onFatal(exitCode);
  };
  const threads = startThreads({
    count: config.workers,
    entry: threadEntry,
    settings: {
      engine: config.engine,
      sockets: config.sockets,
      limits: config.limits,
      streams: place,
      trustedProxies: config.trustedProxies,
      nameRules: {
        allowLoopback: config.allowLoopback,
        allowCrossNamespaceExternalNames: config.allowCrossNamespaceExternalNames,
      },
      h2c: config.h2c,
      underscoresInHeaders: config.underscoresInHeaders,
      ingressNginxFields: config.dropIn === 'ingress-nginx',
      bareLfInResponses: config.bareLfInResponses,
      proxyProtocolFrom: config.proxyProtocolFrom,
      proxyProtocolHttpsPorts: config.proxyProtocolHttpsPorts,
      // Gateways may have TLS ports where Ingresses have none.
      tls: { minVersion: config.tlsMinVersion, ciphers: config.tlsCiphers, selfSigned },
      healthCheck: healthCheck(config),
      httpsRedirect: selfSigned && httpsRedirect(config),
      strictTransportSecurity: config.hsts,
      returnRequestId: config.returnRequestId,
      accessLog: accessLogSettings(config.accessLog),
      logRecords: logRecords.areWanted,
      recentRequests: config.recentRequests,
      limitStore: config.rateLimitStore,
      tracing: tracing.variables,
    },
    addresses: [
      { ...place, port: config.httpPort, scheme: 'http' },
      ...(selfSigned ? [{ ...place, port: config.httpsPort, scheme: 'https' } as const] : []),
    ],
    names: createNameResolver({
      resolve: dnsResolve(),
      allowLoopback: config.allowLoopback,
      now: Date.now,
      onFault: options.onNameFault,
    }),
    onAccessLog(sink, lines, droppedBytes) {
      log.lines(sink === 'output' ? lines : '', droppedBytes);
      if (sink === 'collector') logRecords.add(lines);
    },
    onSpans: (spans) => tracing.add(spans),
    onDebugLine: (line) => debug.write(line),
    onFailure,
    onPortChange,
  });
  const debug = new DebugSessions({
    logger: log.logger,
    engine: config.engine,
    distribute: (sessions) => threads.debug(sessions),
    now: Date.now,
  });
  const newTicketKey = (): void => threads.useTicketKey(randomBytes(TICKET_KEY_BYTES));
  newTicketKey();
  const ticketKeyTimer = setInterval(newTicketKey, TICKET_KEY_LIFETIME_MS).unref();

  return {
    listening: threads.listening,
    debug,
    distribute(table, keys, secrets) {
      tracing.useGlobal(table.globals?.tracing);
      threads.distribute(table, keys, secrets);
    },
    serving: () => threads.serving(),
    adoptedGeneration: () => threads.adoptedGeneration(),
    report: () => threads.report(),
    inspect: (question) => threads.inspect(question),
    portFailures: () => threads.portFailures(),
    portFacts: () => threads.portFacts(),
    forget: (sources) => threads.forget(sources),
    draining: () => draining,
    hasStuckThread: () => threads.hasStuckThread(),
    async drain(timeoutMs) {
      draining = true;
      const aborted = await threads.drain(timeoutMs);
      clearInterval(ticketKeyTimer);
      return aborted;
    },
  };
}

/** `auto` is text for a person at a terminal, and JSON for everything else. */
function accessLogSettings({ format, ...rest }: Config['accessLog']): AccessLogSettings {
  if (format !== 'auto') return { ...rest, format };
  return { ...rest, format: process.stdout.isTTY ? 'text' : 'json' };
}
