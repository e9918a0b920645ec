import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { GatewayCluster } from './cluster-objects.ts';
import { type ApiProcess, startApiProcess } from './api-process.ts';
import { percentile, runLoad } from './load.ts';
import { IMAGE_ENVIRONMENT, LOAD_CORE, PROXY_CORE, porticoCommand, stop } from './subjects.ts';

/** Portico in front of a made-up cluster: Portico on one core; API server, load and upstream on the other. */
export interface ClusterBench {
  readonly pid: number;
  readonly api: ApiProcess;
  /** From starting the process to the first 200 of `/readyz`. */
  readonly secondsToReady: number;
  /** Scrapes the metrics once. */
  scrape(): Promise<Scrape>;
  /** Requests for one host of the cluster at a fixed rate; at the Gateway where there is one. */
  load(rate: {
    readonly perSecond: number;
    readonly connections: number;
    readonly seconds: number;
  }): Promise<Load>;
}

/** The sum of a metric, over the samples with exactly these labels if any are given. */
export type Scrape = (name: string, labels?: string) => number;

export interface Load {
  readonly p99: number;
  readonly failures: number;
  readonly requests: number;
}

export interface BenchPorts {
  readonly proxy: number;
  readonly status: number;
  readonly upstream: number;
}

const root = new URL('..', import.meta.url).pathname;

/** Puts the load, which is this process, on its core, and starts the one pod of every Service beside it. */
export async function withUpstream(port: number, use: () => Promise<void>): Promise<void> {
  spawn('taskset', ['-a', '-p', '-c', LOAD_CORE, `${process.pid}`], { stdio: 'ignore' });
  const upstream = spawn(
    'taskset',
    ['-c', LOAD_CORE, process.execPath, join(root, 'bench/upstream.ts'), `${port}`, '0.0.0.0'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(upstream.stdout, 'data');
  try {
    await use();
  } finally {
    await stop(upstream);
  }
}

/** What has a cluster of so many Ingresses in front of it, from start to stop. */
export async function withCluster<T>(
  cluster: {
    readonly ingresses: number;
    /** None unless said. */
    readonly gateways?: GatewayCluster;
    readonly workers: string;
    readonly ports: BenchPorts;
    readonly flags?: readonly string[];
    /** Of its Node, as in the variable NODE_OPTIONS. */
    readonly nodeOptions?: string;
  },
  use: (bench: ClusterBench) => Promise<T>,
): Promise<T> {
  const { ingresses, gateways = null, workers, ports, flags: more = [], nodeOptions } = cluster;
  const api = await startApiProcess(ingresses, ports.upstream, gateways);
  const folder = mkdtempSync(join(tmpdir(), 'portico-bench-'));
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, api.kubeconfig);
  const command = porticoCommand();
  const startedAt = performance.now();
  const flags = [
    ...['--kubeconfig', kubeconfig, '--allow-loopback', '--workers', workers, '--bind-address', '127.0.0.1'],
    ...['--http-port', `${ports.proxy}`, '--https-port', '0', '--status-port', `${ports.status}`],
    ...['--access-log', 'off', '--log-level', 'warn', '--drain-timeout', '1s'],
    ...['--publish-status', 'false', '--publish-events', 'false', ...more],
  ];
  const portico = spawn('taskset', ['-c', PROXY_CORE, ...command, 'run', ...flags], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      ...IMAGE_ENVIRONMENT,
      ...(nodeOptions !== undefined && { NODE_OPTIONS: nodeOptions }),
    },
  });
  try {
    await untilReady(portico, ports.status);
    const secondsToReady = (performance.now() - startedAt) / 1000;
    return await use({
      pid: portico.pid ?? 0,
      api,
      secondsToReady,
      scrape: () => scrape(ports.status),
      load: (rate) => load(gateways?.port ?? ports.proxy, rate),
    });
  } finally {
    await stop(portico);
    api.stop();
    rmSync(folder, { recursive: true });
  }
}

async function untilReady(portico: ChildProcess, statusPort: number): Promise<void> {
  for (let tries = 0; tries < 6_000; tries++) {
    if (portico.exitCode !== null) throw new Error('Portico ended at start');
    const response = await fetch(`http://127.0.0.1:${statusPort}/readyz`).catch(() => null);
    if (response?.status === 200) return;
    await delay(20);
  }
  throw new Error('Portico was not ready within two minutes');
}

async function load(
  port: number,
  { perSecond, connections, seconds }: Parameters<ClusterBench['load']>[0],
): Promise<Load> {
  const request = Buffer.from('GET /small HTTP/1.1\r\nHost: app-7.example.com\r\n\r\n');
  const durationMs = seconds * 1_000;
  const result = await runLoad({ port, request, connections, ratePerSecond: perSecond, durationMs });
  const sorted = result.latenciesMs.toSorted((a, b) => a - b);
  return { p99: percentile(sorted, 0.99), failures: result.failures, requests: result.requests };
}

async function scrape(statusPort: number): Promise<Scrape> {
  const response = await fetch(`http://127.0.0.1:${statusPort}/metrics`);
  const samples = (await response.text()).split('\n').map((line) => {
    const [, name, labels, value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    return { name, labels, value: Number(value) };
  });
  return (name, labels) =>
    samples
      .filter((sample) => sample.name === name && (labels === undefined || sample.labels === labels))
      .reduce((total, { value }) => total + value, 0);
}
