import { setTimeout as delay } from 'node:timers/promises';
import type { ApiProcess } from './api-process.ts';
import { type ClusterBench, type Load, withCluster, withUpstream } from './cluster-bench.ts';
import { ingress, slice } from './cluster-objects.ts';
import { percentile, runLoad } from './load.ts';
import { cpuMs, rssMb } from './process-figures.ts';

/**
 * `npm run bench:changes`: what changes of a large cluster cost while requests are served. A scripted API server with
 * 10,000 Ingresses, Portico on one core, API server, load and upstream on the other.
 */

const PORTS = { proxy: 18_090, status: 18_091, upstream: 18_092 };
const INGRESSES = Number(process.env['BENCH_INGRESSES'] ?? 10_000);
const LOAD_SECONDS = Number(process.env['BENCH_SECONDS'] ?? 60);
const CHANGES = Number(process.env['BENCH_CHANGES'] ?? 1_000);
const SAMPLES = 100;

async function main(): Promise<void> {
  await measured(100, async ({ pid }) => {
    line('RSS idle, two workers, 100 Ingresses', `${rssMb(pid).toFixed(0)} MB`, '≤ 150 MB');
  });
  await measured(INGRESSES, measureLarge);
}

async function measured(ingresses: number, use: (bench: ClusterBench) => Promise<void>): Promise<void> {
  await withCluster({ ingresses, workers: '2', ports: PORTS }, async (bench) => {
    // What starting up has left to the garbage collector is not what idling costs.
    await delay(3_000);
    await use(bench);
  });
}

async function measureLarge({ pid, api, secondsToReady, load: loadAt }: ClusterBench): Promise<void> {
  line(`cold start to ready, ${INGRESSES} Ingresses`, `${secondsToReady.toFixed(1)} s`, '≤ 5 s');
  line(`RSS idle, two workers, ${INGRESSES} Ingresses`, `${rssMb(pid).toFixed(0)} MB`, '≤ 350 MB');

  const load = (seconds: number): Promise<Load> => loadAt({ perSecond: 1_000, connections: 32, seconds });
  await load(5);
  const calm = await load(LOAD_SECONDS);
  const cpuBefore = cpuMs(pid);
  const changing = new AbortController();
  const changes = change(api, changing.signal);
  const busy = await load(LOAD_SECONDS);
  changing.abort();
  const made = await changes;
  const cpuMsTotal = cpuMs(pid) - cpuBefore;
  line('p99 without changes', `${calm.p99.toFixed(2)} ms`, '');
  line(
    `p99 with ${made} changes in ${LOAD_SECONDS} s`,
    `${busy.p99.toFixed(2)} ms (${(busy.p99 / calm.p99).toFixed(2)} ×)`,
    '≤ 1.5 ×',
  );
  line('failed requests with changes', `${busy.failures} of ${busy.requests}`, '0');
  line(
    'CPU of Portico meanwhile',
    `${((cpuMsTotal / LOAD_SECONDS / 1000) * 100).toFixed(0)} % of a core`,
    '',
  );

  const routes = await propagation(api, routeChange);
  line('Ingress change to first response, p50 / p99', milliseconds(routes), 'p99 ≤ 150 ms');
  line('RSS afterwards', `${rssMb(pid).toFixed(0)} MB`, '');
}

/** Every other change is of an Ingress, the others of endpoints; one in ten is of what the load asks for. */
async function change(api: ApiProcess, signal: AbortSignal): Promise<number> {
  const intervalMs = (LOAD_SECONDS * 1_000) / CHANGES;
  let made = 0;
  while (made < CHANGES && !signal.aborted) {
    const n = made % 10 === 0 ? 7 : (made * 7919) % INGRESSES;
    if (made % 2 === 0) api.apply(slice(n, PORTS.upstream, 1 + ((made / 2) % 3)));
    else api.apply(ingress(n, [`/version-${made}`]));
    made++;
    await delay(intervalMs);
  }
  return made;
}

/** Adds an Ingress for a host that nobody served and asks until it is served. */
function routeChange(api: ApiProcess, sample: number): { host: string } {
  const n = INGRESSES + sample;
  const object = ingress(n);
  const backend = { service: { name: 'app-7', port: { number: 80 } } };
  const rules = [
    { host: `app-${n}.example.com`, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } },
  ];
  api.apply({
    ...object,
    metadata: { name: `app-${n}`, namespace: 'team-7' },
    spec: { ingressClassName: 'portico', rules },
  });
  return { host: `app-${n}.example.com` };
}

async function propagation(api: ApiProcess, apply: typeof routeChange): Promise<number[]> {
  const samples: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    const startedAt = performance.now();
    const { host } = apply(api, sample);
    const request = Buffer.from(`GET /small HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    while (performance.now() - startedAt < 5_000) {
      const { requests } = await runLoad({ port: PORTS.proxy, request, connections: 1, durationMs: 1 });
      if (requests > 0) break;
    }
    samples.push(performance.now() - startedAt);
    await delay(300);
  }
  return samples.sort((a, b) => a - b);
}

function milliseconds(sorted: readonly number[]): string {
  return `${percentile(sorted, 0.5).toFixed(0)} / ${percentile(sorted, 0.99).toFixed(0)} ms`;
}

function line(what: string, figure: string, aim: string): void {
  console.log(`${what.padEnd(48)} ${figure.padStart(24)}   ${aim && `aim ${aim}`}`);
}

await withUpstream(PORTS.upstream, main);
