import { setTimeout as delay } from 'node:timers/promises';
import { type ClusterBench, type Load, withCluster, withUpstream } from './cluster-bench.ts';
import { type GatewayCluster, httpRoute } from './cluster-objects.ts';
import { percentile, runLoad } from './load.ts';
import { cpuMs, rssMb } from './process-figures.ts';

/**
 * The second part of `npm run bench:gateway`: what Gateways cost a Portico that serves, in the units of gateway-api-bench. A
 * scripted API server with as many HTTPRoutes on one Gateway, and with ListenerSets; Portico on one core, API server, load and
 * upstream on the other. Each figure is printed with its aim. BENCH_SECONDS bounds each load.
 */
const PORTS = { proxy: 18_097, status: 18_098, upstream: 18_099 };
const GATEWAY_PORT = 18_100;
const ROUTES = 5_000;
const LISTENER_SETS = 2_500;
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 15);
const SAMPLES = 100;
const CHANGES = 100;
/** Longer than changes of routes are held off for, so that each is compiled on its own. */
const INTERVAL_MS = 60;
const WORKERS = '2';

async function main(): Promise<void> {
  const none = await at({ routes: 0, listenerSets: 0 }, atRest);
  const cpu: number[] = [];
  for (const routes of [100, 1_000]) {
    cpu.push(await at({ routes, listenerSets: 0 }, (bench) => cpuOfChanges(bench, routes)));
  }
  await at({ routes: ROUTES, listenerSets: 0 }, async (bench) => {
    line(`time to ready, ${ROUTES} HTTPRoutes`, `${bench.secondsToReady.toFixed(1)} s`, '≤ 3 s');
    const rest = await atRest(bench);
    line('data-plane memory above idle', `${(rest.dataPlaneMb - none.dataPlaneMb).toFixed(0)} MB`, '≤ 60 MB');
    line('RSS of the process above idle', `${(rest.rssMb - none.rssMb).toFixed(0)} MB`, '');
    cpu.push(await cpuOfChanges(bench, ROUTES));
    await serving(bench, `${ROUTES} HTTPRoutes`);
  });
  const [few = 0, some = 0, many = 0] = cpu.map((ms) => Math.round(ms * 10) / 10);
  line(
    `CPU per route change, 100 / 1,000 / ${ROUTES} routes`,
    `${few} / ${some} / ${many} ms`,
    `flat (${(many / few).toFixed(1)} ×)`,
  );
  await at({ routes: 100, listenerSets: LISTENER_SETS }, async (bench) => {
    line(`time to ready, ${LISTENER_SETS} ListenerSets`, `${bench.secondsToReady.toFixed(1)} s`, '≤ 3 s');
    const rest = await atRest(bench);
    line('data-plane memory above idle', `${(rest.dataPlaneMb - none.dataPlaneMb).toFixed(0)} MB`, '≤ 60 MB');
    await serving(bench, `${LISTENER_SETS} ListenerSets`);
  });
}

/** A cluster with a Gateway, from start to stop. */
function at<T>(size: Omit<GatewayCluster, 'port'>, use: (bench: ClusterBench) => Promise<T>): Promise<T> {
  const gateways = { ...size, port: GATEWAY_PORT };
  return withCluster({ ingresses: 0, gateways, workers: WORKERS, ports: PORTS }, use);
}

interface AtRest {
  readonly rssMb: number;
  readonly dataPlaneMb: number;
}

/** When what starting up has left is collected. */
async function atRest({ pid, scrape }: ClusterBench): Promise<AtRest> {
  await delay(4_000);
  const metric = await scrape();
  return { rssMb: rssMb(pid), dataPlaneMb: metric('portico_data_plane_memory_bytes') / 1e6 };
}

/** Milliseconds of CPU for a route that changes, beyond those of idling. */
async function cpuOfChanges({ pid, api }: ClusterBench, routes: number): Promise<number> {
  await delay(2_000);
  const idleBefore = cpuMs(pid);
  await delay(2_000);
  const idlePerMs = (cpuMs(pid) - idleBefore) / 2_000;
  const [before, startedAt] = [cpuMs(pid), performance.now()];
  for (let made = 0; made < CHANGES; made++) {
    api.apply(httpRoute((made * 7919) % routes, made + 1));
    await delay(INTERVAL_MS);
  }
  await delay(500);
  return Math.max(0, cpuMs(pid) - before - idlePerMs * (performance.now() - startedAt)) / CHANGES;
}

/** How long a new route takes to be served while requests for another one go on. */
async function serving({ api, load }: ClusterBench, what: string): Promise<void> {
  const rate = { perSecond: 300, connections: 16, seconds: SECONDS };
  const changing = new AbortController();
  const samples: number[] = [];
  const sampling = (async (): Promise<void> => {
    for (let sample = 0; sample < SAMPLES && !changing.signal.aborted; sample++) {
      samples.push(await untilServed(ROUTES + sample, (n) => api.apply(httpRoute(n))));
      await delay(100);
    }
  })();
  const busy: Load = await load(rate);
  changing.abort();
  await sampling;
  samples.sort((a, b) => a - b);
  const p = (share: number): string => percentile(samples, share).toFixed(0);
  line(
    `route to first response, ${what}, p50 / p99`,
    `${p(0.5)} / ${p(0.99)} ms (${samples.length})`,
    'p99 ≤ 50 ms',
  );
  line('p99 of requests meanwhile', `${busy.p99.toFixed(1)} ms`, '');
  line('failed requests meanwhile', `${busy.failures} of ${busy.requests}`, '0');
}

async function untilServed(n: number, apply: (n: number) => void): Promise<number> {
  const request = Buffer.from(`GET /small HTTP/1.1\r\nHost: app-${n}.example.com\r\n\r\n`);
  const startedAt = performance.now();
  apply(n);
  while (performance.now() - startedAt < 5_000) {
    const { requests } = await runLoad({ port: GATEWAY_PORT, request, connections: 1, durationMs: 1 });
    if (requests > 0) break;
  }
  return performance.now() - startedAt;
}

function line(what: string, figure: string, aim: string): void {
  console.log(`${what.padEnd(56)} ${figure.padStart(24)}   ${aim && `aim ${aim}`}`);
}

await withUpstream(PORTS.upstream, main);
