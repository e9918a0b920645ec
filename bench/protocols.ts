import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { Client, credentials } from '@grpc/grpc-js';
import { WebSocket } from 'ws';
import { createDefaultCertificate } from '../src/controller/default-certificate.ts';
import { roomForConnections } from './connection-tracking.ts';
import { rssMb } from './process-figures.ts';
import {
  CADDY,
  type Ports,
  type Subject,
  LOAD_CORE,
  missingProgram,
  pinSelf,
  porticoCommand,
  start,
  stop,
} from './subjects.ts';
import { type Done, type Turner, printRounds, takeTurns } from './turns.ts';

/**
 * `npm run bench:protocols [words of rows]`: TLS handshakes, HTTPS, HTTP/2, gRPC and WebSockets through nginx, Caddy and
 * Portico, which share one core and take turns in short windows; clients and pods have the other. `BENCH_ROUNDS` and
 * `BENCH_SECONDS` (of one window) make it short.
 */

const UPSTREAM = 18_131;
/** The pods that speak gRPC and WebSocket. */
const GRPC_POD = 18_134;
const SOCKET_POD = 18_135;
/** Of the first subject; its HTTPS port is the next one. */
const FIRST_PORT = 18_140;
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 1);
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 7);
/** Done by each subject before any is measured: V8 compiles what was called often. A busy machine takes longer for it. */
const WARM_UP = 20_000;
/** A handshake goes through so much of Node that V8 has compiled it only after some ten thousand of them. */
const HANDSHAKE_WARM_UP = 10_000;
const LARGE_WARM_UP = 40;
const LONGEST_WARM_UP_MS = 30_000;
const IDLE_CONNECTIONS = 5_000;
const CONNECTING_AT_ONCE = 32;
const NAME = 'bench.example.com';
const folder = mkdtempSync(join(tmpdir(), 'portico-bench-'));

/** A subject that runs. */
interface Measured extends Turner {
  readonly http: number;
  readonly https: number;
}

/** Does one kind of work through a subject until `endsAt` and says how often it was done. */
type Work = (subject: Measured, endsAt: number) => Promise<number>;

interface Scenario {
  readonly name: string;
  readonly work: Work;
  readonly warmUp?: number;
  /** A connection for each, of which the kernel remembers so many. */
  readonly connects?: boolean;
}

const HANDSHAKES = { warmUp: HANDSHAKE_WARM_UP, connects: true };

const ALL_SCENARIOS: readonly Scenario[] = [
  { name: 'full TLS 1.3 handshake + GET', work: lanes(16, handshake('full')), ...HANDSHAKES },
  { name: 'the same, hybrid group offered', work: lanes(16, handshake('hybrid')), ...HANDSHAKES },
  { name: 'resumed TLS 1.3 handshake + GET', work: lanes(16, handshake('resumed')), ...HANDSHAKES },
  { name: 'HTTPS GET 1 KiB, keep-alive', work: lanes(32, httpsLane) },
  { name: 'HTTP/2 GET 1 KiB, 1 stream × 32', work: lanes(32, http2Lane(1)) },
  { name: 'HTTP/2 GET 1 KiB, 100 streams × 1', work: http2Lane(100) },
  { name: 'HTTP/2 GET 16 MiB, 4 streams × 1', work: http2Lane(4, '/large'), warmUp: LARGE_WARM_UP },
  {
    name: 'HTTP/2 POST 16 MiB, 4 streams × 1',
    work: http2Lane(4, '/', Buffer.alloc(16 * 1024 * 1024, 'p')),
    warmUp: LARGE_WARM_UP,
  },
  { name: 'gRPC unary, 1 connection, 32 calls', work: grpcCalls(32) },
  { name: 'WebSocket echo, 32 sockets', work: lanes(32, webSocketLane) },
];

const chosen = process.argv.slice(2);

const SCENARIOS = ALL_SCENARIOS.filter(
  ({ name }) => chosen.length === 0 || chosen.some((word) => name.includes(word)),
);

/** So many of a kind at once. */
function lanes(count: number, lane: Work): Work {
  return async (subject, endsAt) => {
    const counts = await Promise.all(Array.from({ length: count }, () => lane(subject, endsAt)));
    return sum(counts);
  };
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, each) => total + each, 0);
}

const GET = `GET /small HTTP/1.1\r\nHost: ${NAME}\r\n`;

/**
 * A connection for each request. All agree on keys by X25519, so that every server does the same work; only 'hybrid'
 * offers X25519MLKEM768 as well, which not all of them have. 'resumed' takes the session of the last one along.
 */
function handshake(kind: 'full' | 'hybrid' | 'resumed'): Work {
  const resume = kind === 'resumed';
  return async ({ https }, endsAt) => {
    let done = 0;
    let session: Buffer | undefined;
    while (performance.now() < endsAt) {
      const socket = tls.connect({
        host: '127.0.0.1',
        port: https,
        servername: NAME,
        rejectUnauthorized: false,
        ...(kind !== 'hybrid' && { ecdhCurve: 'X25519' }),
        ...(resume && session && { session }),
      });
      let resumed = false;
      socket.on('session', (fresh) => (session = fresh));
      socket.on('secureConnect', () => (resumed = socket.isSessionReused()));
      socket.on('error', () => undefined);
      socket.write(`${GET}Connection: close\r\n\r\n`);
      let bytes = 0;
      socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
      await new Promise((resolve) => socket.once('close', resolve));
      if (bytes > 1024 && (resumed || !resume)) done++;
    }
    return done;
  };
}

async function httpsLane({ https }: Measured, endsAt: number): Promise<number> {
  const socket = await secureConnection(https);
  let done = 0;
  while (performance.now() < endsAt) {
    socket.write(`${GET}\r\n`);
    let text = '';
    do {
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      text += chunk.toString('latin1');
    } while (text.indexOf('\r\n\r\n') < 0 || text.length < text.indexOf('\r\n\r\n') + 4 + 1024);
    if (text.startsWith('HTTP/1.1 200')) done++;
  }
  socket.destroy();
  return done;
}

async function secureConnection(port: number): Promise<tls.TLSSocket> {
  const socket = tls.connect({ host: '127.0.0.1', port, servername: NAME, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  return socket;
}

function http2Lane(streams: number, path = '/small', body: Buffer | null = null): Work {
  return async ({ https }, endsAt) => {
    const session = http2.connect(`https://127.0.0.1:${https}`, {
      servername: NAME,
      rejectUnauthorized: false,
      // As browsers have them: large enough not to be what is measured.
      settings: { initialWindowSize: 6 * 1024 * 1024 },
      maxSessionMemory: 256,
    });
    session.on('connect', () => session.setLocalWindowSize(15 * 1024 * 1024));
    session.on('error', () => undefined);
    await once(session, 'connect');
    const lane = async (): Promise<number> => {
      let done = 0;
      while (performance.now() < endsAt) {
        const stream = session.request({
          ':path': path,
          ':authority': NAME,
          ...(body && { ':method': 'POST', 'content-length': body.length }),
        });
        if (body) stream.end(body);
        let ok = false;
        stream.on('response', (headers) => (ok = headers[':status'] === 200));
        stream.on('error', () => undefined);
        stream.resume();
        await once(stream, 'close');
        if (ok) done++;
      }
      return done;
    };
    const counts = await Promise.all(Array.from({ length: streams }, lane));
    session.destroy();
    return sum(counts);
  };
}

function grpcCalls(concurrency: number): Work {
  return async ({ https }, endsAt) => {
    const client = new Client(`127.0.0.1:${https}`, tlsCredentials(), {
      'grpc.ssl_target_name_override': 'grpc.example.com',
      'grpc.default_authority': 'grpc.example.com',
    });
    const same = (bytes: Buffer): Buffer => bytes;
    const message = Buffer.alloc(64, 'g');
    const call = (): Promise<boolean> =>
      new Promise((resolve) => {
        client.makeUnaryRequest('/bench.Echo/Unary', same, same, message, (error) => resolve(error === null));
      });
    const lane = async (): Promise<number> => {
      let done = 0;
      while (performance.now() < endsAt) if (await call()) done++;
      return done;
    };
    const counts = await Promise.all(Array.from({ length: concurrency }, lane));
    client.close();
    return sum(counts);
  };
}

function tlsCredentials(): ReturnType<typeof credentials.createSsl> {
  return credentials.createSsl(null, null, null, {
    checkServerIdentity: () => undefined,
    rejectUnauthorized: false,
  });
}

async function webSocketLane({ http }: Measured, endsAt: number): Promise<number> {
  const socket = new WebSocket(`ws://127.0.0.1:${http}/`, { headers: { Host: 'socket.example.com' } });
  await once(socket, 'open');
  let done = 0;
  while (performance.now() < endsAt) {
    socket.send('x'.repeat(64));
    await once(socket, 'message');
    done++;
  }
  socket.close();
  return done;
}

async function main(): Promise<void> {
  pinSelf();
  const certificate = await createDefaultCertificate(Date.now());
  writeFileSync(join(folder, 'tls.crt'), certificate.certificate);
  writeFileSync(join(folder, 'tls.key'), certificate.key);
  const pods = [pod('upstream.ts', UPSTREAM), pod('protocol-pods.ts', GRPC_POD, SOCKET_POD)];
  await Promise.all(pods.map((child) => once(child.stdout!, 'data')));
  const measured: Measured[] = [];
  try {
    for (const subject of subjects()) {
      const missing = subject.missing();
      if (missing) console.log(`not measured: ${missing}`);
      else measured.push(await begin(subject, FIRST_PORT + 10 * measured.length));
    }
    for (const scenario of SCENARIOS) {
      try {
        printRounds(scenario.name, await measure(scenario, measured));
      } catch (error) {
        console.log(`\n${scenario.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (chosen.length === 0 || chosen.includes('idle'))
      for (const each of measured) await printIdleMemory(each);
  } finally {
    for (const { running } of measured) await running.stop();
    await Promise.all(pods.map(stop));
  }
}

async function begin(subject: Subject, http: number): Promise<Measured> {
  const running = await start(subject, { proxy: http, upstream: UPSTREAM });
  return { name: subject.name, running, http, https: httpsOf(http) };
}

function httpsOf(http: number): number {
  return http + 1;
}

async function measure({ work, warmUp = WARM_UP, connects }: Scenario, subjects: readonly Measured[]) {
  const window = async (subject: Measured, isFirst: boolean): Promise<Done> => {
    const startedAt = performance.now();
    const atLeast = isFirst ? warmUp : 1;
    let count = 0;
    do {
      const done = await work(subject, performance.now() + SECONDS * 1_000);
      if (done === 0) throw new Error(`none through ${subject.name} succeeded`);
      count += done;
    } while (count < atLeast && performance.now() - startedAt < LONGEST_WARM_UP_MS);
    return { count, seconds: (performance.now() - startedAt) / 1_000 };
  };
  return takeTurns(subjects, ROUNDS, window, async () => {
    if (connects) await roomForConnections();
    return () => {};
  });
}

/** Memory of connections over TLS that have had a response each. */
async function printIdleMemory({ name, running, https }: Measured): Promise<void> {
  const before = rssMb(running.pid);
  const idle: tls.TLSSocket[] = [];
  while (idle.length < IDLE_CONNECTIONS) {
    const next = Array.from({ length: CONNECTING_AT_ONCE }, () => secureConnection(https));
    for (const socket of await Promise.all(next)) {
      socket.on('error', () => undefined).write(`${GET}\r\n`);
      await once(socket, 'data');
      idle.push(socket);
    }
  }
  await delay(2_000);
  const after = rssMb(running.pid);
  const open = idle.filter(({ destroyed }) => !destroyed).length;
  for (const socket of idle) socket.destroy();
  console.log(
    `\n${name}: RSS ${before.toFixed(0)} MB, with ${open} idle connections over TLS ${after.toFixed(0)} MB`,
  );
}

function pod(program: string, ...ports: readonly number[]): ChildProcess {
  const path = fileURLToPath(new URL(program, import.meta.url));
  return spawn('taskset', ['-c', LOAD_CORE, process.execPath, path, ...ports.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

function subjects(): readonly Subject[] {
  return [
    {
      name: 'nginx',
      missing: () => missingProgram('nginx', 'nginx-light'),
      command: (ports) => ['nginx', '-e', 'stderr', '-c', file('nginx.conf', nginxConf(ports))],
    },
    {
      name: 'caddy',
      missing: () => missingProgram(CADDY, 'caddy'),
      command: (ports) => [
        CADDY,
        'run',
        '--adapter',
        'caddyfile',
        '--config',
        file('Caddyfile', caddyfile(ports)),
      ],
    },
    {
      name: 'portico',
      missing: () => null,
      command: ({ proxy, upstream }) => [
        ...porticoCommand(),
        'run',
        `--manifests=${file('portico.yaml', manifests(upstream))}`,
        `--http-port=${proxy}`,
        `--https-port=${httpsOf(proxy)}`,
        '--ssl-redirect=false',
        '--status-port=0',
        '--bind-address=127.0.0.1',
        '--workers=1',
        '--access-log=off',
        '--log-level=error',
        '--drain-timeout=1s',
      ],
    },
  ];
}

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function nginxConf({ proxy, upstream }: Ports): string {
  const common = `
    proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Request-ID $request_id;`;
  const https = httpsOf(proxy);
  return `
daemon off; user root; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 16384; }
http {
  access_log off; keepalive_requests 10000000; http2_max_requests 10000000; client_max_body_size 0;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
  uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  ssl_certificate ${folder}/tls.crt; ssl_certificate_key ${folder}/tls.key; ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:tls:10m; ssl_session_tickets on;
  upstream pod { server 127.0.0.1:${upstream}; keepalive 256; keepalive_requests 10000000; }
  upstream grpc { server 127.0.0.1:${GRPC_POD}; keepalive 16; keepalive_requests 10000000; }
  server {
    listen 127.0.0.1:${proxy}; server_name socket.example.com;
    location / { proxy_pass http://127.0.0.1:${SOCKET_POD}; ${common}
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; }
  }
  server {
    listen 127.0.0.1:${https} ssl http2; server_name ${NAME};
    location / { proxy_pass http://pod; ${common} proxy_set_header Connection ""; }
  }
  server {
    listen 127.0.0.1:${https} ssl http2; server_name grpc.example.com;
    location / { grpc_pass grpc://grpc; }
  }
}`;
}

function caddyfile({ proxy, upstream }: Ports): string {
  const https = httpsOf(proxy);
  return `{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
http://socket.example.com:${proxy} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${SOCKET_POD}
}
https://${NAME}:${https} {
  bind 127.0.0.1
  tls ${folder}/tls.crt ${folder}/tls.key
  reverse_proxy 127.0.0.1:${upstream} {
    transport http {
      keepalive_idle_conns_per_host 256
    }
  }
}
https://grpc.example.com:${https} {
  bind 127.0.0.1
  tls ${folder}/tls.crt ${folder}/tls.key
  reverse_proxy h2c://127.0.0.1:${GRPC_POD}
}
`;
}

function manifests(upstream: number): string {
  const service = (name: string, port: number, appProtocol: string): string => `
---
{apiVersion: v1, kind: Service, metadata: {name: ${name}}, spec: {ports: [{port: 80, appProtocol: ${appProtocol}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}-1, labels: {kubernetes.io/service-name: ${name}}}
addressType: IPv4
endpoints: [{addresses: ['127.0.0.1']}]
ports: [{port: ${port}}]`;
  const rule = (host: string, name: string): string =>
    `{host: ${host}, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: ${name}, port: {number: 80}}}}]}}`;
  return `
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: portico}, spec: {controller: portico.dev/ingress-controller}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: bench}
spec:
  ingressClassName: portico
  tls: [{hosts: [${NAME}, grpc.example.com]}]
  rules:
    - ${rule(NAME, 'pod')}
    - ${rule('grpc.example.com', 'grpc')}
    - ${rule('socket.example.com', 'socket')}
${service('pod', upstream, 'http')}
${service('grpc', GRPC_POD, 'grpc')}
${service('socket', SOCKET_POD, 'kubernetes.io/ws')}
`;
}

await main();
