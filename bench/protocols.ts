import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { Client, credentials } from '@grpc/grpc-js';
import { WebSocket } from 'ws';
import { createDefaultCertificate } from '../src/controller/default-certificate.ts';
import { cpuMs } from './process-figures.ts';
import {
  type Ports,
  type Subject,
  LOAD_CORE,
  missingProgram,
  pinSelf,
  porticoCommand,
  start,
  stop,
} from './subjects.ts';

/**
 * `npm run bench:protocols`: TLS handshakes, HTTPS, HTTP/2, gRPC and WebSockets through nginx, Caddy and Portico, side
 * by side in one run. Each proxy on one core; clients and pods on the other.
 */

const PORTS = { proxy: 18_130, upstream: 18_131 };
/** Beside the HTTP port: HTTPS, and the pods that speak gRPC and WebSocket. */
const HTTPS = 18_133;
const GRPC_POD = 18_134;
const SOCKET_POD = 18_135;
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 4);
/** A handshake goes through so much of Node that V8 has compiled it only after some ten thousand of them. */
const WARM_UP_MS = 10_000;
const NAME = 'bench.example.com';
const folder = mkdtempSync(join(tmpdir(), 'portico-bench-'));

/** Does one kind of work until `endsAt` and says how often it was done. */
type Work = (endsAt: number) => Promise<number>;

const ALL_SCENARIOS: readonly { readonly name: string; readonly work: Work }[] = [
  { name: 'full TLS 1.3 handshake + GET', work: (endsAt) => lanes(16, endsAt, handshake('full')) },
  { name: 'the same, hybrid group offered', work: (endsAt) => lanes(16, endsAt, handshake('hybrid')) },
  { name: 'resumed TLS 1.3 handshake + GET', work: (endsAt) => lanes(16, endsAt, handshake('resumed')) },
  { name: 'HTTPS GET 1 KiB, keep-alive', work: (endsAt) => lanes(32, endsAt, httpsLane) },
  { name: 'HTTP/2 GET 1 KiB, 1 stream × 32', work: (endsAt) => lanes(32, endsAt, http2Lane(1)) },
  { name: 'HTTP/2 GET 1 KiB, 100 streams × 1', work: (endsAt) => lanes(1, endsAt, http2Lane(100)) },
  { name: 'HTTP/2 GET 16 MiB, 4 streams × 1', work: (endsAt) => lanes(1, endsAt, http2Lane(4, '/large')) },
  { name: 'HTTP/2 POST 16 MiB, 4 streams × 1', work: (endsAt) => lanes(1, endsAt, http2Lane(4, '/', LARGE)) },
  { name: 'gRPC unary, 1 connection, 32 calls', work: grpcCalls(32) },
  { name: 'WebSocket echo, 32 sockets', work: (endsAt) => lanes(32, endsAt, webSocketLane) },
];

const chosen = process.argv.slice(2);

const SCENARIOS = ALL_SCENARIOS.filter(
  ({ name }) => chosen.length === 0 || chosen.some((word) => name.includes(word)),
);

/** `lane` runs until `endsAt` and counts; the sum of all lanes. */
async function lanes(count: number, endsAt: number, lane: Work): Promise<number> {
  const counts = await Promise.all(Array.from({ length: count }, () => lane(endsAt)));
  return counts.reduce((sum, each) => sum + each, 0);
}

const LARGE = Buffer.alloc(16 * 1024 * 1024, 'p');
const GET = `GET /small HTTP/1.1\r\nHost: ${NAME}\r\n`;

/**
 * A connection for each request. All agree on keys by X25519, so that every server does the same work; only 'hybrid'
 * offers X25519MLKEM768 as well, which not all of them have. 'resumed' takes the session of the last one along.
 */
function handshake(kind: 'full' | 'hybrid' | 'resumed'): Work {
  const resume = kind === 'resumed';
  return async (endsAt) => {
    let done = 0;
    let session: Buffer | undefined;
    while (performance.now() < endsAt) {
      const socket = tls.connect({
        host: '127.0.0.1',
        port: HTTPS,
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

async function httpsLane(endsAt: number): Promise<number> {
  const socket = tls.connect({ host: '127.0.0.1', port: HTTPS, servername: NAME, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
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

function http2Lane(streams: number, path = '/small', body: Buffer | null = null): Work {
  return async (endsAt) => {
    const session = http2.connect(`https://127.0.0.1:${HTTPS}`, {
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
    return counts.reduce((sum, each) => sum + each, 0);
  };
}

function grpcCalls(concurrency: number): Work {
  return async (endsAt) => {
    const client = new Client(`127.0.0.1:${HTTPS}`, tlsCredentials(), {
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
    return counts.reduce((sum, each) => sum + each, 0);
  };
}

function tlsCredentials(): ReturnType<typeof credentials.createSsl> {
  return credentials.createSsl(null, null, null, {
    checkServerIdentity: () => undefined,
    rejectUnauthorized: false,
  });
}

async function webSocketLane(endsAt: number): Promise<number> {
  const socket = new WebSocket(`ws://127.0.0.1:${PORTS.proxy}/`, { headers: { Host: 'socket.example.com' } });
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
  const pods = [pod('upstream.ts', PORTS.upstream), pod('protocol-pods.ts', GRPC_POD, SOCKET_POD)];
  await Promise.all(pods.map((child) => once(child.stdout!, 'data')));
  const table = new Map<string, Map<string, string>>();
  try {
    for (const subject of subjects()) {
      const missing = subject.missing();
      if (missing) {
        console.log(`not measured: ${missing}`);
        continue;
      }
      console.log(`measuring ${subject.name} …`);
      const running = await start(subject, PORTS);
      await lanes(16, performance.now() + WARM_UP_MS, handshake('full'));
      const column = new Map<string, string>();
      for (const { name, work } of SCENARIOS) column.set(name, await measure(running.pid, work));
      table.set(subject.name, column);
      await running.stop();
    }
  } finally {
    await Promise.all(pods.map(stop));
  }
  console.log(
    `\n${'CPU µs each (how many per second)'.padEnd(40)}${[...table.keys()].map((n) => n.padStart(20)).join('')}`,
  );
  for (const { name } of SCENARIOS) {
    console.log(
      `${name.padEnd(40)}${[...table.values()].map((c) => (c.get(name) ?? '-').padStart(20)).join('')}`,
    );
  }
}

/** CPU µs each, or why it could not be measured. */
async function measure(pid: number, work: Work): Promise<string> {
  try {
    await work(performance.now() + 1_000);
    const before = cpuMs(pid);
    const done = await work(performance.now() + SECONDS * 1_000);
    if (done === 0) return 'none succeeded';
    const cpuUs = ((cpuMs(pid) - before) * 1_000) / done;
    return `${cpuUs.toFixed(1)} (${(done / SECONDS).toFixed(done < 100 * SECONDS ? 1 : 0)}/s)`;
  } catch (error) {
    return `failed: ${(error as NodeJS.ErrnoException).code ?? String(error)}`;
  }
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
      missing: () => missingProgram('caddy', 'caddy'),
      command: (ports) => [
        'caddy',
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
        `--https-port=${HTTPS}`,
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
  return `
daemon off; user root; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
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
    listen 127.0.0.1:${HTTPS} ssl http2; server_name ${NAME};
    location / { proxy_pass http://pod; ${common} proxy_set_header Connection ""; }
  }
  server {
    listen 127.0.0.1:${HTTPS} ssl http2; server_name grpc.example.com;
    location / { grpc_pass grpc://grpc; }
  }
}`;
}

function caddyfile({ proxy, upstream }: Ports): string {
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
https://${NAME}:${HTTPS} {
  bind 127.0.0.1
  tls ${folder}/tls.crt ${folder}/tls.key
  reverse_proxy 127.0.0.1:${upstream} {
    transport http {
      keepalive_idle_conns_per_host 256
    }
  }
}
https://grpc.example.com:${HTTPS} {
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
