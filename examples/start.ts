/**
 * `npm start`: Portico on a folder of manifests, with an upstream for every endpoint the manifests name, until Ctrl-C.
 *
 *     npm start -- [folder] [--http-port 8080] [--status-port 10254]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { values } from '../src/model/sharded-map.ts';
import type { Backend, BackendKey, Route } from '../src/routing/table.ts';
import { type ManifestSet, readManifests } from '../src/watch/manifests.ts';
import { type ServedRoute, screen } from './screen.ts';
import { startUpstream } from './upstream.ts';

const LOOPBACK = '127.0.0.1';
const READY_WITHIN_MS = 30_000;

/** The part of the answer of /routes that is shown. */
interface RoutesAnswer {
  readonly hosts: readonly {
    readonly host: string;
    readonly port?: number;
    readonly routes: readonly Route[];
  }[];
  readonly backends: Readonly<Record<BackendKey, Backend>>;
}

/** Said to the user without a stack: what is in the way and what to do about it. */
class Obstacle extends Error {}

interface Arguments {
  readonly folder: string;
  readonly http: WantedPort;
  readonly status: WantedPort;
}

/** A port that was asked for is used or is in the way; the usual one may give way to the next. */
interface WantedPort {
  readonly port: number;
  readonly isAskedFor: boolean;
}

function readArguments(args: readonly string[]): Arguments {
  try {
    const options = { 'http-port': { type: 'string' }, 'status-port': { type: 'string' } } as const;
    const { values: flags, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const [folder = 'examples/quickstart', ...others] = positionals;
    if (others.length > 0) throw new Error(`unexpected argument '${others.join(' ')}'`);
    return {
      folder,
      http: wantedPort(flags['http-port'], process.env['PORTICO_HTTP_PORT'] ?? '8080'),
      status: wantedPort(flags['status-port'], process.env['PORTICO_STATUS_PORT'] ?? '10254'),
    };
  } catch (cause) {
    const usage = 'npm start -- [folder] [--http-port <port>] [--status-port <port>]';
    // After its first sentence Node tells of arguments that begin with a hyphen.
    const [message = ''] = (cause instanceof Error ? cause.message : String(cause)).split('. To ');
    throw new Obstacle(`${message}; write ${usage}`);
  }
}

function wantedPort(askedFor: string | undefined, usual: string): WantedPort {
  const written = askedFor ?? usual;
  const port = Number(written);
  if (!/^\d{1,5}$/.test(written) || port < 1 || port > 65_535) throw new Error(`'${written}' is not a port`);
  return { port, isAskedFor: askedFor !== undefined };
}

async function main(args: readonly string[]): Promise<number> {
  const { folder, http, status } = readArguments(args);
  const manifests = await readManifests({ paths: [folder] });
  if (manifests.empty.length > 0) throw new Obstacle(manifests.empty.join('; '));
  const upstreams = await startUpstreams(manifests, folder);
  const httpPort = await freePort(http);
  const statusPort = await freePort(status);
  const portico = startPortico(folder, httpPort, statusPort);
  const exited = once(portico, 'exit') as Promise<[number | null]>;
  stopOnSignals(portico);

  if (await ready(statusPort, portico)) {
    const routes = await servedRoutes(statusPort);
    console.log(screen({ folder, httpPort, preferredPort: http.port, statusPort, routes }));
  }
  const [code] = await exited;
  for (const upstream of upstreams) {
    upstream.close();
    upstream.closeAllConnections();
  }
  return code ?? 1;
}

/** One upstream for each endpoint that is on this machine, named like the Pod it stands for. */
async function startUpstreams({ snapshot }: ManifestSet, folder: string): Promise<readonly Server[]> {
  const started: Server[] = [];
  for (const slice of values(snapshot.endpointSlices)) {
    const ports = (slice.ports ?? []).flatMap(({ port }) => port ?? []);
    for (const { addresses, targetRef } of slice.endpoints ?? []) {
      const name = targetRef?.name ?? slice.metadata?.name ?? 'upstream';
      const [address] = addresses;
      if (address !== LOOPBACK) continue;
      for (const port of ports) {
        const upstream = startUpstream(name, address, port).catch((cause: unknown) => {
          if (!isInUse(cause)) throw cause;
          const where = `${address}:${port}`;
          const doing = `stop what uses it, or change the port in ${folder}`;
          throw new Obstacle(`the example upstream ${name} needs ${where}, which is in use: ${doing}`);
        });
        started.push((await upstream).unref());
      }
    }
  }
  return started;
}

/** The wanted port, or the next that nobody listens on by IPv4 or IPv6: `localhost` may mean either. */
async function freePort({ port: wanted, isAskedFor }: WantedPort): Promise<number> {
  const last = isAskedFor ? wanted : wanted + 99;
  for (let port = wanted; port <= last; port++) {
    if ((await canListen(port, LOOPBACK)) && (await canListen(port, '::'))) return port;
  }
  if (isAskedFor) throw new Obstacle(`port ${wanted} is in use: stop what uses it, or choose another one`);
  throw new Obstacle(`no port from ${wanted} to ${last} is free: stop what uses one of them`);
}

async function canListen(port: number, address: string): Promise<boolean> {
  const probe = createServer().listen({ port, host: address, exclusive: true });
  try {
    await once(probe, 'listening');
    return true;
  } catch (cause) {
    // A machine without IPv6 has nobody listening there.
    return !isInUse(cause);
  } finally {
    probe.close();
  }
}

function isInUse(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE';
}

function startPortico(folder: string, httpPort: number, statusPort: number): ChildProcess {
  const flags = {
    '--manifests': folder,
    '--bind-address': LOOPBACK,
    '--http-port': String(httpPort),
    '--https-port': '0',
    '--status-port': String(statusPort),
    '--access-log': 'text',
    '--log-format': 'text',
    '--drain-timeout': '5s',
  };
  const main = join(import.meta.dirname, '../src/main.ts');
  // In a group of its own: Ctrl-C in a terminal comes here only, and is passed on once.
  return spawn(process.execPath, [main, 'run', ...Object.entries(flags).flat()], {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
}

/**
 * The first signal asks Portico to drain and stop, a later one does not ask. Ctrl-C under npm comes twice at once: from
 * the terminal and from npm.
 */
function stopOnSignals(portico: ChildProcess): void {
  let impatientFrom = Infinity;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (impatientFrom === Infinity) {
        impatientFrom = performance.now() + 1_000;
        portico.kill('SIGTERM');
      } else if (performance.now() >= impatientFrom) {
        portico.kill('SIGKILL');
      }
    });
  }
  process.on('exit', () => portico.kill('SIGKILL'));
}

/** Waits for /readyz; false when Portico ended instead, which it has said why. */
async function ready(statusPort: number, portico: ChildProcess): Promise<boolean> {
  const deadline = AbortSignal.timeout(READY_WITHIN_MS);
  while (portico.exitCode === null && portico.signalCode === null) {
    const response = await fetch(`http://${LOOPBACK}:${statusPort}/readyz`).catch(() => null);
    await response?.body?.cancel();
    if (response?.ok) return true;
    if (deadline.aborted) {
      portico.kill('SIGTERM');
      throw new Obstacle(`Portico was not ready within ${READY_WITHIN_MS / 1000} s`);
    }
    await delay(50);
  }
  return false;
}

/** What the running Portico says it serves, host by host. */
async function servedRoutes(statusPort: number): Promise<readonly ServedRoute[]> {
  const response = await fetch(`http://${LOOPBACK}:${statusPort}/routes`);
  const { hosts, backends } = (await response.json()) as RoutesAnswer;
  return hosts.flatMap(({ host, port, routes }) =>
    routes.map((route) => ({
      ...route,
      host,
      port,
      endpoints: backends[route.backend]?.endpoints.length ?? 0,
    })),
  );
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (cause) {
  if (!(cause instanceof Obstacle)) throw cause;
  console.error(`npm start: ${cause.message}`);
  process.exitCode = 1;
}
