import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { percentile, runLoad } from './load.ts';
import { cpuMs, rssMb } from './process-figures.ts';
import type { FromCluster, ToCluster } from './scale-cluster.ts';
import { IMAGE_ENVIRONMENT, LOAD_CORE, PROXY_CORE, porticoCommand, stop } from './subjects.ts';

/**
 * `npm run bench:scale`: what the size of a cluster costs. For each size a scripted API server with as many Ingresses,
 * each with its Service and EndpointSlice; Portico on one core, everything else on the other. Prints a Markdown table.
 * BENCH_SIZES chooses the sizes, BENCH_WORKERS the data-plane threads.
 */
const SIZES = (process.env['BENCH_SIZES'] ?? '100,1000,10000,50000').split(',').map(Number);
const WORKERS = process.env['BENCH_WORKERS'] ?? '2';
const PORTS = { proxy: 18_094, status: 18_095, upstream: 18_096 };
const CHANGES = 100;
const ENDPOINT_INTERVAL_MS = 20;
/** Longer than changes of routes are held off for, so that each is compiled on its own. */
const INGRESS_INTERVAL_MS = 60;
const RATE = 500;
const LOAD_SECONDS = 3;
const RUNS = 3;
const folder = mkdtempSync(join(tmpdir(), 'portico-scale-'));
const root = new URL('..', import.meta.url).pathname;

interface Figures {
  readonly objects: number;
  readonly readySeconds: number;
  readonly startMb: number;
  readonly rssMb: number;
  readonly heapMb: number;
  readonly endpointMs: number;
  readonly ingressMs: number;
  readonly relistMs: number;
  readonly relistMb: number;
  readonly p99: { readonly calm: number; readonly changes: number; readonly relist: number };
  readonly failures: number;
}

interface Running {
  readonly pid: number;
  readonly size: number;
  readonly tell: (message: ToCluster) => void;
  readonly bytes: () => Promise<number>;
  /** Has everything listed again, and returns when it is. */
  readonly relist: () => Promise<void>;
}

async function main(): Promise<void> {
  spawn('taskset', ['-a', '-p', '-c', LOAD_CORE, `${process.pid}`], { stdio: 'ignore' });
  const upstream = spawn(
    'taskset',
    ['-c', LOAD_CORE, process.execPath, join(root, 'bench/upstream.ts'), `${PORTS.upstream}`, '0.0.0.0'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(upstream.stdout, 'data');
  const head = [
    ...['Ingresses', 'objects', 'ready', 'bytes at start', 'RSS', 'control heap', 'CPU per endpoint change'],
    ...['CPU per Ingress change', 'CPU per relist', 'bytes per relist', 'p99 calm', 'p99 with changes'],
    ...['p99 with a relist', 'failed requests'],
  ];
  console.log(`| ${head.join(' | ')} |\n|${' ---: |'.repeat(head.length)}`);
  try {
    for (const size of SIZES) console.log(row(size, await measureSize(size)));
  } finally {
    await stop(upstream);
    rmSync(folder, { recursive: true });
  }
}

async function measureSize(size: number): Promise<Figures> {
  const cluster = fork(join(root, 'bench/scale-cluster.ts'), [`${size}`, `${PORTS.upstream}`]);
  try {
    const [ready] = (await once(cluster, 'message')) as [FromCluster];
    if (ready.kind !== 'ready') throw new Error('the cluster did not start');
    const kubeconfig = join(folder, 'kubeconfig');
    writeFileSync(kubeconfig, ready.kubeconfig);
    const startedAt = performance.now();
    const portico = startPortico(kubeconfig);
    try {
      await untilReady(portico);
      const readySeconds = (performance.now() - startedAt) / 1000;
      const running: Running = {
        pid: portico.pid ?? 0,
        size,
        tell: (message) => void cluster.send(message),
        async relist() {
          const before = await relists();
          cluster.send({ kind: 'relist' } satisfies ToCluster);
          await once(cluster, 'message');
          for (let tries = 0; (await relists()) === before; tries++) {
            if (tries === 120) throw new Error('not everything was listed again within a minute');
            await delay(500);
          }
        },
        async bytes() {
          cluster.send({ kind: 'bytes' } satisfies ToCluster);
          const [answer] = (await once(cluster, 'message')) as [FromCluster];
          return answer.kind === 'bytes' ? answer.sent : 0;
        },
      };
      return { objects: ready.objects, readySeconds, ...(await measure(running)) };
    } finally {
      await stop(portico);
    }
  } finally {
    cluster.disconnect();
    await once(cluster, 'exit');
  }
}

async function measure(running: Running): Promise<Omit<Figures, 'objects' | 'readySeconds'>> {
  const { pid, bytes, relist } = running;
  const startMb = (await bytes()) / 1e6;
  // What starting up has left to the garbage collector is not what idling costs.
  await delay(3_000);
  const idleBefore = cpuMs(pid);
  await delay(2_000);
  const idlePerMs = (cpuMs(pid) - idleBefore) / 2_000;
  const rss = rssMb(pid);
  const heapMb = sample(await metrics(), 'nodejs_heap_size_used_bytes') / 1e6;

  /** CPU time beyond that of idling, until nothing more happens. */
  const cost = async (work: () => Promise<void>): Promise<number> => {
    const [cpuBefore, startedAt] = [cpuMs(pid), performance.now()];
    await work();
    return Math.max(0, cpuMs(pid) - cpuBefore - idlePerMs * (performance.now() - startedAt));
  };
  const endpointMs = (await cost(() => changes(running, 'slice', ENDPOINT_INTERVAL_MS))) / CHANGES;
  const ingressMs = (await cost(() => changes(running, 'ingress', INGRESS_INTERVAL_MS))) / CHANGES;
  const relistedBytes = await bytes();
  const relistMs = await cost(relist);
  const relistMb = ((await bytes()) - relistedBytes) / 1e6;

  await load();
  const calm = await lowest(async () => {});
  const changing = await lowest(() => mixedChanges(running));
  const relisting = await lowest(() => delay(300).then(relist));
  return {
    startMb,
    rssMb: rss,
    heapMb,
    endpointMs,
    ingressMs,
    relistMs,
    relistMb,
    p99: { calm: calm.p99, changes: changing.p99, relist: relisting.p99 },
    failures: calm.failures + changing.failures + relisting.failures,
  };
}

/** One change after the other, of apps all over the cluster, and time for the last to be served. */
async function changes(
  { tell, size }: Running,
  kind: 'slice' | 'ingress',
  intervalMs: number,
): Promise<void> {
  for (let made = 0; made < CHANGES; made++) {
    const n = (made * 7919) % size;
    if (kind === 'slice') tell({ kind, n, endpoints: 2 + (made % 3) });
    else tell({ kind, n, paths: [`/version-${made}`] });
    await delay(intervalMs);
  }
  await delay(500);
}

async function mixedChanges({ tell, size }: Running): Promise<void> {
  for (let made = 0; made < LOAD_SECONDS * 10; made++) {
    const n = made % 10 === 0 ? 7 : (made * 7919 + 1) % size;
    if (made % 2 === 0) tell({ kind: 'slice', n, endpoints: 1 + (made % 3) });
    else tell({ kind: 'ingress', n, paths: [`/mixed-${made}`] });
    await delay(100);
  }
}

/** How often everything has been listed again: the least of all kinds that cost something. */
async function relists(): Promise<number> {
  const body = await metrics();
  const kinds = ['Ingress', 'Service', 'EndpointSlice', 'Secret'];
  return Math.min(...kinds.map((kind) => sample(body, `portico_watch_relists_total{kind="${kind}"}`)));
}

interface Load {
  readonly p99: number;
  readonly failures: number;
}

/** The lowest p99 of three runs with the same work beside them: the machine has other things to do as well. */
async function lowest(work: () => Promise<void>): Promise<Load> {
  const runs: Load[] = [];
  while (runs.length < RUNS) runs.push((await Promise.all([load(), work()]))[0]);
  return {
    p99: Math.min(...runs.map(({ p99 }) => p99)),
    failures: runs.reduce((sum, { failures }) => sum + failures, 0),
  };
}

async function load(): Promise<Load> {
  const request = Buffer.from('GET /small HTTP/1.1\r\nHost: app-7.example.com\r\n\r\n');
  const { latenciesMs, failures } = await runLoad({
    port: PORTS.proxy,
    request,
    connections: 16,
    ratePerSecond: RATE,
    durationMs: LOAD_SECONDS * 1_000,
  });
  return {
    p99: percentile(
      latenciesMs.toSorted((a, b) => a - b),
      0.99,
    ),
    failures,
  };
}

function startPortico(kubeconfig: string): ChildProcess {
  const flags = [
    ...['--kubeconfig', kubeconfig, '--allow-loopback', '--workers', WORKERS],
    ...['--bind-address', '127.0.0.1', '--http-port', `${PORTS.proxy}`, '--status-port', `${PORTS.status}`],
    ...['--access-log', 'off', '--log-level', 'warn', '--drain-timeout', '1s'],
    ...['--publish-status', 'false', '--publish-events', 'false'],
  ];
  return spawn('taskset', ['-c', PROXY_CORE, ...porticoCommand(), 'run', ...flags], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...IMAGE_ENVIRONMENT },
  });
}

async function untilReady(portico: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 6_000; tries++) {
    if (portico.exitCode !== null) throw new Error('Portico ended at start');
    const response = await fetch(`http://127.0.0.1:${PORTS.status}/readyz`).catch(() => null);
    if (response?.status === 200) return;
    await delay(20);
  }
  throw new Error('Portico was not ready within two minutes');
}

async function metrics(): Promise<string> {
  return (await fetch(`http://127.0.0.1:${PORTS.status}/metrics`)).text();
}

function sample(body: string, name: string): number {
  const found = body.split('\n').find((text) => text.startsWith(`${name} `));
  return Number(found?.slice(name.length + 1) ?? 0);
}

function row(size: number, figures: Figures): string {
  const { p99 } = figures;
  const cells = [
    ...[`${size}`, `${figures.objects}`, `${figures.readySeconds.toFixed(1)} s`],
    ...[
      `${figures.startMb.toFixed(1)} MB`,
      `${figures.rssMb.toFixed(0)} MB`,
      `${figures.heapMb.toFixed(0)} MB`,
    ],
    ...[`${figures.endpointMs.toFixed(1)} ms`, `${figures.ingressMs.toFixed(1)} ms`],
    ...[`${figures.relistMs.toFixed(0)} ms`, `${figures.relistMb.toFixed(1)} MB`],
    ...[p99.calm, p99.changes, p99.relist].map((ms) => `${ms.toFixed(1)} ms`),
    `${figures.failures}`,
  ];
  return `| ${cells.join(' | ')} |`;
}

await main();
