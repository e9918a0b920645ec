import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { type Socket, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import { createPod } from './pod.ts';
import { QUIET_MS } from '../src/proxy/closing-listeners.ts';

/**
 * `npm run takeover`: a new Portico takes the port over from an old one, again and again, under load; what fails is
 * counted. Twice: with net.ipv4.tcp_migrate_req, where nothing may fail, and without it, where nothing may fail on a
 * connection that was accepted. WebSockets live until the old one ends, get a close, and open again. In a network namespace of its own, which needs root.
 *
 *     node bench/takeover.ts [take-overs]
 */

const PORTS = { proxy: 18_100, status: 18_101, upstream: 18_110, webSockets: 18_111 };
/** Values of net.ipv4.tcp_migrate_req, in the order in which they are tried. */
const MIGRATE = [true, false];
const SYSCTL = '/proc/sys/net/ipv4/tcp_migrate_req';
const NEW_CONNECTION_LANES = 8;
const KEEP_ALIVE_LANES = 8;
const WEBSOCKET_LANES = 8;
/** WebSockets stay for all of it; requests must be over by then, and are soon on a machine that is not overloaded. */
const DRAIN_TIMEOUT_MS = 1_500;
const WEBSOCKET_PAUSE_MS = 250;
/** Of a lane, between its requests: the machine is for the two processes, too. */
const LANE_PAUSE_MS = 25;
/** Of a connection that is used again: what happens to it does not hang on how often that is. */
const KEPT_PAUSE_MS = 75;
/** A response that takes longer will not come. */
const ANSWER_TIMEOUT_MS = 30_000;
const root = fileURLToPath(new URL('..', import.meta.url));

export interface TakeoverResult {
  readonly migrate: boolean;
  readonly takeovers: number;
  /** A connection for each request, or for the handshake of a WebSocket: how many, and how many got no whole response. */
  readonly newConnections: { readonly requests: number; readonly failures: number };
  /** Connections that had a response before, and are used again until Portico says `Connection: close`. */
  readonly acceptedConnections: { readonly requests: number; readonly failures: number };
  /** Open WebSockets that a process took leave of: how many, and how many of them without a close (RFC 6455 7.4.1). */
  readonly webSockets: { readonly closed: number; readonly abnormal: number };
  readonly exitCodes: readonly (number | null)[];
}

/**
 * Runs so many take-overs with the kernel's migration, and as many without, in a network namespace of their own; null, with
 * the reason on stderr, where that is not possible. Throws when they do not come to their end, as when a request is never
 * answered.
 */
export function takeoversInNamespace(
  takeovers: number,
  main = join(root, 'src/main.ts'),
  drainTimeoutMs = DRAIN_TIMEOUT_MS,
): readonly TakeoverResult[] | null {
  const prepare = `ip link set lo up && { echo 1 > ${SYSCTL}; }`;
  const probe = spawnSync('unshare', ['--net', 'sh', '-c', prepare], { encoding: 'utf8' });
  if (probe.status !== 0) {
    console.error(`no network namespace for the take-over (root and Linux 5.14 are needed): ${probe.stderr}`);
    return null;
  }
  const program = [
    process.execPath,
    fileURLToPath(import.meta.url),
    `${takeovers}`,
    '--inside',
    main,
    `${drainTimeoutMs}`,
  ];
  const inside = `${prepare} && exec "$0" "$@"`;
  const { status, signal, stdout, stderr } = spawnSync('unshare', ['--net', 'sh', '-c', inside, ...program], {
    encoding: 'utf8',
    timeout: 60_000 + MIGRATE.length * takeovers * (15_000 + drainTimeoutMs),
  });
  if (status === 0) return JSON.parse(stdout) as readonly TakeoverResult[];
  throw new Error(`the take-overs did not come to their end (${signal ?? `exit code ${status}`}): ${stderr}`);
}

/** Each process takes over from the one before, with the migration and without. */
async function runTakeovers(
  takeovers: number,
  main: string,
  drainTimeoutMs: number,
): Promise<readonly TakeoverResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'portico-takeover-'));
  writeFileSync(join(folder, 'manifests.yaml'), manifests());
  const upstream = createPod().listen(PORTS.upstream, '127.0.0.1');
  const echo = await echoServer();
  let statusPort = PORTS.status;
  const start = async (): Promise<ChildProcess> => {
    // Two processes hold the port of the requests together, but each has its own status.
    statusPort = statusPort === PORTS.status ? PORTS.status + 1 : PORTS.status;
    return startPortico(main, join(folder, 'manifests.yaml'), statusPort, drainTimeoutMs);
  };

  const results: TakeoverResult[] = [];
  let current = await start();
  for (const migrate of MIGRATE) {
    // The kernel looks at it when a listener closes.
    writeFileSync(SYSCTL, migrate ? '1' : '0');
    const load = putLoad(Math.min(QUIET_MS, drainTimeoutMs / 2));
    const exitCodes: (number | null)[] = [];
    for (let i = 0; i < takeovers; i++) {
      const next = await start();
      const ended = once(current, 'exit');
      current.kill('SIGTERM');
      const [code] = (await ended) as [number | null];
      exitCodes.push(code);
      current = next;
    }
    results.push({
      migrate: readFileSync(SYSCTL, 'utf8').trim() === '1',
      takeovers,
      ...(await load.stop()),
      exitCodes,
    });
  }
  current.kill('SIGTERM');
  await once(current, 'exit');
  upstream.close();
  echo.close();
  return results;
}

type LoadResult = Pick<TakeoverResult, 'newConnections' | 'acceptedConnections' | 'webSockets'>;

/** Clients of every kind, until they are stopped. */
function putLoad(quietMs: number): { stop(): Promise<LoadResult> } {
  const counts = { fresh: { requests: 0, failures: 0 }, accepted: { requests: 0, failures: 0 } };
  const webSockets = { closed: 0, abnormal: 0 };
  const stopping = new AbortController();
  const { signal } = stopping;
  const lanes = [
    ...Array.from({ length: NEW_CONNECTION_LANES }, () => newConnections(counts.fresh, signal)),
    ...Array.from({ length: KEEP_ALIVE_LANES }, () => keptConnections(counts, quietMs, signal)),
    ...Array.from({ length: WEBSOCKET_LANES }, () => openWebSockets(counts.fresh, webSockets, signal)),
  ];
  return {
    async stop() {
      stopping.abort();
      await Promise.all(lanes);
      return { newConnections: counts.fresh, acceptedConnections: counts.accepted, webSockets };
    },
  };
}

async function startPortico(
  main: string,
  manifestFile: string,
  statusPort: number,
  drainTimeoutMs: number,
): Promise<ChildProcess> {
  const child = spawn(
    process.execPath,
    [
      ...[main, 'run', '--manifests', manifestFile, '--bind-address', '127.0.0.1', '--workers', '2'],
      ...[
        '--http-port',
        `${PORTS.proxy}`,
        '--https-port',
        '0',
        '--status-port',
        `${statusPort}`,
        '--access-log',
        'off',
        '--log-level',
        'warn',
        '--drain-timeout',
        `${drainTimeoutMs}ms`,
      ],
    ],
    // Standard output is for the result.
    { stdio: ['ignore', 2, 2] },
  );
  children.push(child);
  for (;;) {
    if (child.exitCode !== null) throw new Error(`Portico ended at start with ${child.exitCode}`);
    const response = await fetch(`http://127.0.0.1:${statusPort}/readyz`).catch(() => null);
    if (response?.status === 200) return child;
    await delay(50);
  }
}

/** Everything that was started. */
const children: ChildProcess[] = [];

interface Count {
  requests: number;
  failures: number;
}

/** An error means something to the request it happens in, and nothing between two. */
function open(): Socket {
  return connect(PORTS.proxy, '127.0.0.1').on('error', () => undefined);
}

async function newConnections(count: Count, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const socket = open();
    const answer = await ask(socket, 'Connection: close\r\n');
    socket.destroy();
    count.requests++;
    if (answer === 'failed') count.failures++;
    await delay(LANE_PAUSE_MS);
  }
}

/**
 * Portico closes a connection that was quiet for `quietMs` while it drains. On a machine that is overloaded a lane may be so
 * late with its next request, and that one is not counted.
 */
async function keptConnections(
  counts: { fresh: Count; accepted: Count },
  quietMs: number,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const socket = open();
    let since = performance.now();
    const first = await ask(socket, '');
    counts.fresh.requests++;
    if (first === 'failed') counts.fresh.failures++;
    let last = first;
    while (last === 'kept' && !signal.aborted) {
      await delay(KEPT_PAUSE_MS);
      const isLate = performance.now() - since >= quietMs;
      since = performance.now();
      last = await ask(socket, '');
      if (last === 'failed' && isLate) break;
      counts.accepted.requests++;
      if (last === 'failed') counts.accepted.failures++;
    }
    socket.destroy();
  }
}

async function echoServer(): Promise<WebSocketServer> {
  const server = new WebSocketServer({ port: PORTS.webSockets, host: '127.0.0.1' });
  server.on('connection', (socket) => {
    socket.on('message', (message, binary) => socket.send(message, { binary }));
    socket.on('error', () => undefined);
  });
  await once(server, 'listening');
  return server;
}

/** Opens a WebSocket as often as it is closed, and keeps messages going both ways on it. */
async function openWebSockets(
  fresh: Count,
  count: { closed: number; abnormal: number },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const socket = new WebSocket(`ws://127.0.0.1:${PORTS.proxy}/socket`);
    socket.on('error', () => undefined);
    const closed = once(socket, 'close') as Promise<[number]>;
    fresh.requests++;
    const isOpen = await Promise.race([once(socket, 'open').then(() => true), closed.then(() => false)]);
    if (!isOpen) {
      fresh.failures++;
      continue;
    }
    const talk = setInterval(() => {
      if (socket.readyState === WebSocket.OPEN) socket.send('a message');
    }, WEBSOCKET_PAUSE_MS);
    const stop = (): void => socket.close(OWN_CLOSE);
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    const [code] = await closed;
    signal.removeEventListener('abort', stop);
    clearInterval(talk);
    if (code === OWN_CLOSE) continue;
    count.closed++;
    if (code !== GOING_AWAY && code !== NORMAL_CLOSURE) count.abnormal++;
  }
}

/** Codes of closes: ours at the end, and those that a client takes for an orderly end. */
const OWN_CLOSE = 4000;
const NORMAL_CLOSURE = 1000;
const GOING_AWAY = 1001;

/** One request; whether it got its whole response, and whether the connection may be used again. */
function ask(socket: Socket, more: string): Promise<'kept' | 'closing' | 'failed'> {
  return new Promise((resolve) => {
    // Closed since the last request: no event will say so.
    if (socket.destroyed) return resolve('failed');
    let text = '';
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      const head = text.indexOf('\r\n\r\n');
      if (head < 0 || text.length < head + 4 + BODY_BYTES) return;
      done(
        !text.startsWith('HTTP/1.1 200 ')
          ? 'failed'
          : /\r\nconnection: close\r\n/i.test(text)
            ? 'closing'
            : 'kept',
      );
    };
    const onEnd = (): void => done('failed');
    const timer = setTimeout(onEnd, ANSWER_TIMEOUT_MS);
    const done = (outcome: 'kept' | 'closing' | 'failed'): void => {
      clearTimeout(timer);
      socket.off('data', onData);
      for (const event of ['end', 'close', 'error']) socket.off(event, onEnd);
      resolve(outcome);
    };
    socket.on('data', onData);
    for (const event of ['end', 'close', 'error']) socket.on(event, onEnd);
    socket.write(`GET /soon HTTP/1.1\r\nHost: bench.example.com\r\n${more}\r\n`);
  });
}

const BODY_BYTES = 1024;

function manifests(): string {
  return `
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: portico}, spec: {controller: portico.dev/ingress-controller}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: bench}
spec:
  ingressClassName: portico
  defaultBackend: {service: {name: pod, port: {number: 80}}}
  rules: [{http: {paths: [{path: /socket, pathType: Exact, backend: {service: {name: sockets, port: {number: 80}}}}]}}]
---
{apiVersion: v1, kind: Service, metadata: {name: sockets}, spec: {ports: [{port: 80}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sockets-1, labels: {kubernetes.io/service-name: sockets}}
addressType: IPv4
endpoints: [{addresses: ['127.0.0.1']}]
ports: [{port: ${PORTS.webSockets}}]
---
{apiVersion: v1, kind: Service, metadata: {name: pod}, spec: {ports: [{port: 80}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: pod-1, labels: {kubernetes.io/service-name: pod}}
addressType: IPv4
endpoints: [{addresses: ['127.0.0.1']}]
ports: [{port: ${PORTS.upstream}}]
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const takeovers = Number(process.argv[2] ?? 20);
  if (process.argv[3] === '--inside') {
    // Whatever is still running then ends with this process, and nobody waits for it.
    process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
    process.on('SIGTERM', () => process.exit(1));
    console.log(
      JSON.stringify(await runTakeovers(takeovers, process.argv[4] ?? '', Number(process.argv[5]))),
    );
  } else console.log(JSON.stringify(takeoversInNamespace(takeovers), null, 2));
}
