import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A proxy to measure: how it is started in front of one upstream, on one core. */
export interface Subject {
  readonly name: string;
  /** Null when it is not installed; then `missing` says which package has it. */
  readonly command: (ports: Ports) => readonly string[];
  readonly missing: () => string | null;
}

export interface Ports {
  readonly proxy: number;
  readonly upstream: number;
}

export interface Running {
  readonly pid: number;
  stop(): Promise<void>;
}

/** `BENCH_CADDY` names another one than Debian's: `go install github.com/caddyserver/caddy/v2/cmd/caddy@latest` makes the newest. */
export const CADDY = process.env['BENCH_CADDY'] ?? 'caddy';

export const PROXY_CORE = '0';
export const LOAD_CORE = '1';

const folder = mkdtempSync(join(tmpdir(), 'portico-bench-'));
const root = new URL('..', import.meta.url).pathname;

/** The environment that the image sets. */
export const IMAGE_ENVIRONMENT = Object.fromEntries(
  readFileSync(join(root, 'Dockerfile'), 'utf8')
    .matchAll(/^ENV (\w+)=(\S+)$/gm)
    .map(([, name = '', value = '']) => [name, value]),
);

/** Portico as the image runs it: the bundle, with the flags of the Dockerfile's ENTRYPOINT. */
export function porticoCommand(): readonly string[] {
  const bundle = join(folder, 'bundle');
  if (!existsSync(bundle)) execFileSync(process.execPath, [join(root, 'scripts/build.ts'), bundle]);
  const [, entrypoint = '[]'] =
    /^ENTRYPOINT (\[.*\])$/m.exec(readFileSync(join(root, 'Dockerfile'), 'utf8')) ?? [];
  const [, ...flags] = JSON.parse(entrypoint) as string[];
  return [process.execPath, ...flags.slice(0, -1), join(bundle, 'portico.js')];
}

export const SUBJECTS: readonly Subject[] = [
  {
    name: 'nginx',
    missing: () => missingProgram('nginx', 'nginx-light'),
    command: (ports) => ['nginx', '-e', 'stderr', '-c', file('nginx.conf', nginxConf(ports))],
  },
  {
    name: 'haproxy',
    missing: () => missingProgram('haproxy', 'haproxy'),
    command: (ports) => ['haproxy', '-db', '-f', file('haproxy.cfg', haproxyConf(ports))],
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
  portico('http-proxy'),
  portico('relay'),
];

/** Starts a subject pinned to its core; resolves when its port answers. */
export async function start(subject: Subject, ports: Ports): Promise<Running> {
  const child = spawn('taskset', ['-c', PROXY_CORE, ...subject.command(ports)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      ...IMAGE_ENVIRONMENT,
      HOME: folder,
      XDG_CONFIG_HOME: folder,
      XDG_DATA_HOME: folder,
    },
  });
  // Whatever goes wrong here, it does not outlive the benchmark.
  process.on('exit', () => child.kill('SIGKILL'));
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-2000)));
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`${subject.name} ended at start: ${stderr}`);
    if (await answers(ports.proxy)) return { pid: child.pid ?? 0, stop: () => stop(child) };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await stop(child);
  throw new Error(`${subject.name} did not listen on ${ports.proxy}: ${stderr}`);
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await ended;
  clearTimeout(timer);
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** What to say when a program is not installed; null when it is. */
export function missingProgram(program: string, debianPackage: string): string | null {
  try {
    execFileSync('which', [program]);
    return null;
  } catch {
    return `${program} is not installed (Debian: apt-get install ${debianPackage})`;
  }
}

function portico(engine: string): Subject {
  return {
    name: engine === 'relay' ? 'portico' : `portico (${engine})`,
    missing: () => null,
    command: ({ proxy, upstream }) => [
      ...porticoCommand(),
      'run',
      `--manifests=${file('portico.yaml', manifests(upstream))}`,
      `--http-port=${proxy}`,
      '--https-port=0',
      '--status-port=0',
      '--bind-address=127.0.0.1',
      '--workers=1',
      `--engine=${engine}`,
      '--access-log=off',
      '--log-level=warn',
      '--drain-timeout=1s',
    ],
  };
}

/** A file of the benchmark's own folder. */
export function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function nginxConf({ proxy, upstream }: Ports): string {
  return `
daemon off; user root; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; client_max_body_size 0; keepalive_requests 10000000;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  upstream pod { server 127.0.0.1:${upstream}; keepalive 256; keepalive_requests 10000000; }
  server {
    listen 127.0.0.1:${proxy} backlog=4096;
    location / {
      proxy_pass http://pod; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Forwarded-Port ${proxy};
      proxy_set_header X-Forwarded-Proto http; proxy_set_header X-Request-ID $request_id;
      proxy_request_buffering off; proxy_max_temp_file_size 0;
    }
  }
}`;
}

function haproxyConf({ proxy, upstream }: Ports): string {
  return `
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend in
  bind 127.0.0.1:${proxy}
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Port ${proxy}
  http-request set-header X-Request-ID %[uuid]
  default_backend pod
backend pod
  server a 127.0.0.1:${upstream} pool-max-conn 256
`;
}

function caddyfile({ proxy, upstream }: Ports): string {
  return `{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
http://127.0.0.1:${proxy}, http://bench.example.com:${proxy} {
  reverse_proxy 127.0.0.1:${upstream} {
    transport http {
      keepalive_idle_conns_per_host 256
    }
  }
}
`;
}

function manifests(upstream: number): string {
  return `
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: portico }
spec: { controller: portico.dev/ingress-controller }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: bench, namespace: bench }
spec:
  ingressClassName: portico
  rules:
    - host: bench.example.com
      http:
        paths: [{ path: /, pathType: Prefix, backend: { service: { name: pod, port: { number: 80 } } } }]
---
apiVersion: v1
kind: Service
metadata: { name: pod, namespace: bench }
spec: { ports: [{ port: 80, targetPort: ${upstream} }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: pod-1, namespace: bench, labels: { kubernetes.io/service-name: pod } }
addressType: IPv4
endpoints: [{ addresses: ['127.0.0.1'] }]
ports: [{ port: ${upstream} }]
`;
}

/** The load is this process: it moves to its core. */
export function pinSelf(): void {
  spawn('taskset', ['-a', '-p', '-c', LOAD_CORE, `${process.pid}`], { stdio: 'ignore' });
}
