import type { EndpointRow, RequestRow, ThreadRow, WatchRow } from '../admin/api/answers.ts';
import type { ApiSources } from '../admin/api/api.ts';
import { type AdminServer, createAdminServer } from '../admin/admin-server.ts';
import { healthCheck, httpsRedirect } from '../config/compile-settings.ts';
import type { Config } from '../config/config.ts';
import { EXIT } from '../config/exit-codes.ts';
import type { DataPlane } from './data-plane.ts';
import { readPage } from './admin-page.ts';
import { listenFailure } from './listen-failure.ts';
import type { SourceLocation } from '../model/format-problem.ts';
import type { Problem } from '../model/problem.ts';
import { readiness } from './readiness.ts';
import type { StatusOptions } from './status-server.ts';
import { TrafficWatch } from './traffic-watch.ts';
import { VERSION } from '../version.ts';
import type { BackendKey } from '../routing/table.ts';
import type { WatchState } from '../watch/source.ts';

export interface AdminApi {
  /** The port of the address; null when there is none. */
  readonly port: number | null;
  close(): void;
}

export interface AdminApiOptions extends StatusOptions {
  readonly config: Config;
  readonly locate: (problem: Problem) => SourceLocation | null;
  /** The name of the Pod; empty outside of a cluster. */
  readonly pod: string;
  /** The module that was started. */
  readonly entry: URL;
}

/** Where the page is for who starts Portico with files, if the port is free. */
const USUAL_PORT = 10_253;

/**
 * Listens for the admin API where the flags say. `onFatal` is called with the exit code for what cannot be listened on;
 * why has been said in one line.
 */
export async function openAdminApi(
  options: AdminApiOptions,
  onFatal: (exitCode: number) => void,
): Promise<AdminApi> {
  const { config, dataPlane, log, entry } = options;
  const traffic = new TrafficWatch(async () => {
    const answers = await dataPlane.inspect({ kind: 'traffic' });
    return answers.flatMap(({ answer }) => answer ?? []);
  });
  const server = createAdminServer({
    sources: sourcesOf(options, traffic),
    debug: dataPlane.debug,
    page: () => readPage(entry),
  });
  const { adminSocket, adminAddress } = config;
  let port: number | null = null;
  try {
    if (adminSocket !== null) await server.listenOnSocket(adminSocket);
  } catch (error) {
    log.logger.error(`--admin-socket ${adminSocket}: cannot listen there: ${(error as Error).message}`);
    onFatal(EXIT.unavailable);
  }
  try {
    if (adminAddress === 'auto') port = await listenAnywhere(server);
    else if (adminAddress !== null) port = await server.listen(adminAddress.host, adminAddress.port);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const wanted = adminAddress === 'auto' || adminAddress === null ? USUAL_PORT : adminAddress.port;
    const { line, exitCode } = listenFailure('--admin-address', wanted, code, message);
    log.logger.error(line);
    onFatal(exitCode);
  }
  const host = adminAddress === 'auto' || adminAddress === null ? '127.0.0.1' : adminAddress.host;
  if (port !== null)
    log.logger.info(`admin page: http://${host.includes(':') ? `[${host}]` : host}:${port}/`);
  return {
    port,
    close() {
      traffic.stop();
      server.close();
    },
  };
}

async function listenAnywhere(server: AdminServer): Promise<number> {
  try {
    return await server.listen('127.0.0.1', USUAL_PORT);
  } catch {
    // Another Portico has it.
    return await server.listen('127.0.0.1', 0);
  }
}

function sourcesOf(
  { config, source, dataPlane, compilation, locate, pod }: AdminApiOptions,
  traffic: TrafficWatch,
): ApiSources {
  return {
    version: VERSION,
    pod,
    startedAt: Date.now(),
    redirect: httpsRedirect(config),
    health: healthCheck(config),
    compilation,
    sourceProblems: () => source.problems(),
    locate,
    checks: () => readiness(source, dataPlane, Date.now()),
    watches: () => source.states().map(watchRow),
    threads: () => threadRows(dataPlane),
    endpointHealth: (backends, limit) => endpointHealth(dataPlane, backends, limit),
    requests: config.recentRequests === 0 ? null : (limit) => recentRequests(dataPlane, limit),
    traffic: () => traffic.figures(),
  };
}

function watchRow({ lastEventAt, ...state }: WatchState): WatchRow {
  return { ...state, lastEventAt: lastEventAt === null ? null : new Date(lastEventAt).toISOString() };
}

async function threadRows(dataPlane: DataPlane): Promise<readonly ThreadRow[]> {
  const all = await dataPlane.inspect({ kind: 'thread' });
  return all.map(({ thread, generation, listening, answer }) => ({
    thread,
    generation,
    listening,
    answered: answer !== null,
    utilization: answer && Math.round(answer.utilization * 1000) / 1000,
    memoryBytes: answer?.memoryBytes ?? null,
    inFlight: answer?.gauges.inFlight ?? null,
    clientConnections: answer?.gauges.clientConnections ?? null,
    upstreamConnections: answer?.gauges.upstreamConnections ?? null,
  }));
}

async function recentRequests(dataPlane: DataPlane, limit: number): Promise<readonly RequestRow[]> {
  const all = await dataPlane.inspect({ kind: 'requests', limit });
  return all
    .flatMap(({ answer }) => answer ?? [])
    .sort((a, b) => b.startedAt - a.startedAt)
    .slice(0, limit)
    .map(({ startedAt, durationMs, ...rest }) => ({
      startedAt: new Date(startedAt).toISOString(),
      durationMs: Math.round(durationMs * 100) / 100,
      ...rest,
    }));
}

type Health = NonNullable<EndpointRow['health']>;

/** Threads learn by themselves how endpoints fare: this is what they say together. */
async function endpointHealth(
  dataPlane: DataPlane,
  backends: readonly BackendKey[],
  limit: number,
): Promise<ReadonlyMap<BackendKey, ReadonlyMap<string, Health>>> {
  const found = new Map<BackendKey, Map<string, Health>>();
  for (const { answer } of await dataPlane.inspect({ kind: 'endpoints', backends, limit })) {
    for (const [key, endpoints] of answer ?? []) {
      let ofBackend = found.get(key);
      if (!ofBackend) found.set(key, (ofBackend = new Map()));
      for (const { endpoint, inFlight, latencyMs, ejectedForMs } of endpoints) {
        const known = ofBackend.get(endpoint) ?? { inFlight: 0, latencyMs: null, ejectedBy: 0, threads: 0 };
        const measured = latencyMs === 0 ? null : Math.round(latencyMs * 100) / 100;
        ofBackend.set(endpoint, {
          inFlight: known.inFlight + inFlight,
          latencyMs: measured === null ? known.latencyMs : Math.max(measured, known.latencyMs ?? 0),
          ejectedBy: known.ejectedBy + Number(ejectedForMs > 0),
          threads: known.threads + 1,
        });
      }
    }
  }
  return found;
}
