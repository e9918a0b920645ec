import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { stringify } from 'yaml';
import { runLoad } from './load.ts';
import { POLICY_SCENARIOS, type PolicyScenario } from './policy-scenarios.ts';
import { cpuMs, rssMb } from './process-figures.ts';
import {
  CADDY,
  LOAD_CORE,
  type Ports,
  type Running,
  type Subject,
  file,
  missingProgram,
  pinSelf,
  porticoCommand,
  start,
  stop,
} from './subjects.ts';

/**
 * `npm run bench:policies`: what each policy costs beside nginx with the configuration that ingress-nginx renders for the
 * same annotations, and beside Caddy where it can do the same; and what annotated Ingresses take of memory. `BENCH_SECONDS`
 * and `BENCH_ONLY=cors,gzip` make it short. `BENCH_BASELINE=dist-of-before/portico.js` measures another build, too.
 */

const PORTS = { proxy: 18_080, upstream: 18_081 };
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 4);
const ROUNDS = 4;
const ONLY = process.env['BENCH_ONLY']?.split(',');
const BASELINE = process.env['BENCH_BASELINE'];
const SCENARIOS = POLICY_SCENARIOS.filter(({ name }) => !ONLY || ONLY.includes(name));

const SUBJECTS: readonly Subject[] = [
  {
    name: 'nginx',
    missing: () => missingProgram('nginx', 'nginx-light'),
    command: (ports) => ['nginx', '-e', 'stderr', '-c', file('policies.conf', nginxConf(ports))],
  },
  {
    name: 'caddy',
    missing: () => missingProgram(CADDY, 'caddy'),
    command: (ports) => [
      ...[CADDY, 'run', '--adapter', 'caddyfile', '--config'],
      file('Caddyfile.policies', caddyfile(ports)),
    ],
  },
  {
    name: 'portico',
    missing: () => null,
    command: (ports) => portico(ports, file('policies.yaml', manifests(ports))),
  },
  ...(BASELINE === undefined
    ? []
    : [
        {
          name: 'baseline',
          missing: () => null,
          command: (ports: Ports) => portico(ports, file('policies.yaml', manifests(ports)), BASELINE),
        },
      ]),
];

async function main(): Promise<void> {
  pinSelf();
  const upstream = spawn(
    'taskset',
    [
      '-c',
      LOAD_CORE,
      process.execPath,
      new URL('upstream.ts', import.meta.url).pathname,
      `${PORTS.upstream}`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(upstream.stdout, 'data');
  const running: Measured[] = [];
  try {
    for (const [index, subject] of SUBJECTS.entries()) {
      // Caddy does not start without a site.
      if (subject.name === 'caddy' && SCENARIOS.every(({ caddy }) => caddy === null)) continue;
      const missing = subject.missing();
      if (missing) {
        console.log(`not measured: ${missing}`);
        continue;
      }
      const ports = { ...PORTS, proxy: PORTS.proxy + 10 * (index + 1) };
      running.push({ name: subject.name, port: ports.proxy, process: await start(subject, ports) });
    }
    // Just-in-time compilers first.
    for (const { port } of running)
      for (const scenario of SCENARIOS.slice(0, 2))
        await runLoad({ port, request: requestOf(scenario), connections: 64, durationMs: SECONDS * 500 });
    const figures = new Map<string, ReadonlyMap<string, number>>();
    for (const scenario of SCENARIOS) figures.set(scenario.name, await measure(scenario, running));
    print(figures);
    for (const { process } of running.splice(0)) await process.stop();
    if (!ONLY) await printMemory();
  } finally {
    for (const { process } of running) await process.stop();
    await stop(upstream);
  }
}

interface Measured {
  readonly name: string;
  readonly port: number;
  readonly process: Running;
}

/** CPU microseconds for each request, by subject. They take turns, so that what else the machine does meets all alike. */
async function measure(
  scenario: PolicyScenario,
  subjects: readonly Measured[],
): Promise<ReadonlyMap<string, number>> {
  const { name, target } = scenario;
  const connections = target === '/large' ? 4 : 64;
  const cpu = new Map<string, { ms: number; requests: number }>();
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { name: subject, port, process } of subjects) {
      if (subject === 'caddy' && scenario.caddy === null) continue;
      if (round === 0 && !(await responds(scenario, port))) {
        console.log(`${subject} does not do ${name}`);
        cpu.set(subject, { ms: Number.NaN, requests: 1 });
      }
      if (Number.isNaN(cpu.get(subject)?.ms)) continue;
      const load = { port, request: requestOf(scenario), connections };
      const before = cpuMs(process.pid);
      const { requests } = await runLoad({ ...load, durationMs: (SECONDS * 1_000) / ROUNDS });
      const ms = cpuMs(process.pid) - before;
      const sum = cpu.get(subject) ?? { ms: 0, requests: 0 };
      // The first round is for just-in-time compilers.
      cpu.set(
        subject,
        round === 0 ? { ms: 0, requests: 0 } : { ms: sum.ms + ms, requests: sum.requests + requests },
      );
    }
  }
  return new Map([...cpu].map(([subject, { ms, requests }]) => [subject, (ms * 1_000) / requests]));
}

/** Whether one request gets a response with what the policy is for. */
async function responds(scenario: PolicyScenario, port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.write(requestOf(scenario));
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  const head = bytes.toString('latin1').toLowerCase();
  return head.startsWith('http/1.1 200') && head.includes(scenario.expects ?? '');
}

function print(figures: ReadonlyMap<string, ReadonlyMap<string, number>>): void {
  const columns = ['nginx', 'caddy', ...(BASELINE ? ['baseline'] : []), 'portico', 'portico/nginx', 'aim'];
  console.log(`\n${['CPU µs/request'.padEnd(22), ...columns.map((name) => name.padStart(14))].join('')}`);
  for (const { name, aim } of SCENARIOS) {
    const of = (subject: string): number | undefined => figures.get(name)?.get(subject) || undefined;
    const [nginx, ours] = [of('nginx'), of('portico')];
    const measured = [nginx, of('caddy'), ...(BASELINE ? [of('baseline')] : []), ours];
    const cells = measured.map((value) => value?.toFixed(1) ?? '-');
    const ratio = nginx && ours ? (ours / nginx).toFixed(2) : '-';
    console.log(name.padEnd(22) + [...cells, ratio, `≤ ${aim}`].map((cell) => cell.padStart(14)).join(''));
  }
}

/** What 1,000 Ingresses take with and without annotations. */
async function printMemory(): Promise<void> {
  const annotations = Object.assign({}, ...POLICY_SCENARIOS.map((each) => each.annotations)) as Readonly<
    Record<string, string>
  >;
  const { 'whitelist-source-range': _, ...usual } = annotations;
  const none = await memoryOf(0, {});
  const plain = await memoryOf(1_000, {});
  const annotated = await memoryOf(1_000, usual);
  console.log(
    `\n1,000 Ingresses: ${(plain - none).toFixed(0)} MB; with ${Object.keys(usual).length} annotations each: ` +
      `${(annotated - none).toFixed(0)} MB (the process without any: ${none.toFixed(0)} MB)`,
  );
}

async function memoryOf(count: number, annotations: Readonly<Record<string, string>>): Promise<number> {
  const ingresses = Array.from({ length: count }, (_, n) =>
    ingress(`many-${n}`, annotations, PORTS.upstream),
  );
  const text = [CLASS, ...ingresses, ...service(PORTS.upstream)].map((each) => stringify(each)).join('---\n');
  const command = (ports: Ports): readonly string[] => portico(ports, file('many.yaml', text));
  const running = await start({ name: 'portico', missing: () => null, command }, PORTS);
  try {
    await pause(3_000);
    return rssMb(running.pid);
  } finally {
    await running.stop();
  }
}

function requestOf({ name, target, fields = [] }: PolicyScenario): Buffer {
  const lines = [
    `GET ${target} HTTP/1.1`,
    `Host: ${name}.test`,
    'User-Agent: bench/1',
    'Accept: */*',
    ...fields,
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
}

function portico({ proxy }: Ports, manifest: string, script?: string): readonly string[] {
  const command = porticoCommand();
  return [
    ...(script === undefined ? command : [...command.slice(0, -1), script]),
    ...[
      'run',
      `--manifests=${manifest}`,
      '--drop-in=ingress-nginx',
      `--http-port=${proxy}`,
      '--https-port=0',
    ],
    ...[
      '--status-port=0',
      '--bind-address=127.0.0.1',
      '--workers=1',
      '--access-log=off',
      '--log-level=error',
    ],
    '--drain-timeout=1s',
  ];
}

const CLASS = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'IngressClass',
  metadata: { name: 'nginx' },
  spec: { controller: 'k8s.io/ingress-nginx' },
};

function manifests({ upstream }: Ports): string {
  const objects = SCENARIOS.map(({ name, annotations, path }) => ingress(name, annotations, upstream, path));
  return [CLASS, ...objects, ...service(upstream)]
    .map((each) => stringify(each, { lineWidth: 0 }))
    .join('---\n');
}

function ingress(
  name: string,
  annotations: Readonly<Record<string, string>>,
  upstream: number,
  path: PolicyScenario['path'] = { path: '/', pathType: 'Prefix' },
): object {
  const entries = Object.entries(annotations).map(([key, value]) => [
    key.includes('/') ? key : `nginx.ingress.kubernetes.io/${key}`,
    value.replaceAll('{upstream}', String(upstream)),
  ]);
  const backend = { service: { name: 'pod', port: { number: 80 } } };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name, namespace: 'bench', annotations: Object.fromEntries(entries) },
    spec: {
      ingressClassName: 'nginx',
      rules: [{ host: `${name}.test`, http: { paths: [{ ...path, backend }] } }],
    },
  };
}

function service(upstream: number): readonly object[] {
  const labels = { 'kubernetes.io/service-name': 'pod' };
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'pod', namespace: 'bench' },
      spec: { ports: [{ port: 80, targetPort: upstream }] },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'pod-1', namespace: 'bench', labels },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['127.0.0.1'] }],
      ports: [{ port: upstream }],
    },
  ];
}

function nginxConf({ proxy, upstream }: Ports): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (each) => `${each}_temp_path /tmp/portico-bench-${each};`,
  );
  const servers = SCENARIOS.map(
    ({ name, nginx }) => `
${nginx.http ?? ''}
server {
  listen 127.0.0.1:${proxy}; server_name ${name}.test;
  location = /_auth {
    internal; proxy_pass http://pod/small; proxy_pass_request_body off; proxy_set_header Content-Length "";
    proxy_http_version 1.1; proxy_set_header Connection "";
  }
  location ${nginx.location} {
    set $pass_host $http_host; set $cors "";
    ${nginx.directives}
    proxy_pass http://pod; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $pass_host;
    proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Port ${proxy};
    proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Scheme $scheme;
    proxy_set_header X-Scheme $scheme; proxy_set_header X-Request-ID $request_id;
    proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for; proxy_set_header Proxy "";
    proxy_buffering off; proxy_max_temp_file_size 0;
  }
}`,
  ).join('\n');
  return `
daemon off; user root; worker_processes 1; pid /tmp/portico-bench-nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; client_max_body_size 1m; keepalive_requests 10000000; server_names_hash_bucket_size 128;
  ${temporary.join(' ')}
  upstream pod { server 127.0.0.1:${upstream}; keepalive 256; keepalive_requests 10000000; }
  ${servers}
}`;
}

function caddyfile({ proxy, upstream }: Ports): string {
  const sites = SCENARIOS.filter(({ caddy }) => caddy !== null).map(
    ({ name, caddy }) => `http://${name}.test:${proxy} {
${(caddy ?? '').replaceAll('{upstream}', String(upstream))}
reverse_proxy 127.0.0.1:${upstream} {
transport http {
keepalive_idle_conns_per_host 256
}
}
}`,
  );
  return `{
admin off
auto_https off
log {
level ERROR
}
}
${sites.join('\n')}
`;
}

await main();
