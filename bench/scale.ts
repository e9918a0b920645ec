import { setTimeout as delay } from 'node:timers/promises';
import { type ClusterBench, type Load, withCluster, withUpstream } from './cluster-bench.ts';
import { ingress, slice } from './cluster-objects.ts';
import { cpuMs, rssMb } from './process-figures.ts';

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
const LOAD = { perSecond: 500, connections: 16, seconds: 3 };
/** Relists begin at a random point of two seconds, and are to be done before the load is. */
const LOAD_WITH_RELIST = { ...LOAD, seconds: 8 };
const RUNS = 3;

/** The columns of the table, and how each is read. */
const COLUMNS: readonly (readonly [head: string, cell: (figures: Figures) => string])[] = [
  ['Ingresses', ({ size }) => `${size}`],
  ['objects', ({ objects }) => `${objects}`],
  ['ready', ({ readySeconds }) => `${readySeconds.toFixed(1)} s`],
  ['bytes at start', ({ startMb }) => `${startMb.toFixed(1)} MB`],
  ['RSS', (figures) => `${figures.rssMb.toFixed(0)} MB`],
  ['control thread', ({ controlMb }) => `${controlMb.toFixed(0)} MB`],
  ['each data-plane thread', ({ threadMb }) => `${threadMb.toFixed(0)} MB`],
  ['CPU per endpoint change', ({ endpointMs }) => `${endpointMs.toFixed(1)} ms`],
  ['CPU per Ingress change', ({ ingressMs }) => `${ingressMs.toFixed(1)} ms`],
  ['CPU per relist', ({ relistMs }) => `${relistMs.toFixed(0)} ms`],
  ['bytes per relist', ({ relistMb }) => `${relistMb.toFixed(1)} MB`],
  ['p99 calm', ({ calm }) => `${calm.p99.toFixed(1)} ms`],
  ['p99 with changes', ({ changing }) => `${changing.p99.toFixed(1)} ms`],
  ['p99 with a relist', ({ relisting }) => `${relisting.p99.toFixed(1)} ms`],
  [
    'failed requests',
    ({ calm, changing, relisting }) => `${calm.failures + changing.failures + relisting.failures}`,
  ],
];

interface Figures {
  readonly size: number;
  readonly objects: number;
  readonly readySeconds: number;
  readonly startMb: number;
  readonly rssMb: number;
  /** Heap and buffers of the thread that holds the snapshot; and of each thread that serves. */
  readonly controlMb: number;
  readonly threadMb: number;
  readonly endpointMs: number;
  readonly ingressMs: number;
  readonly relistMs: number;
  readonly relistMb: number;
  readonly calm: Load;
  readonly changing: Load;
  readonly relisting: Load;
}

async function main(): Promise<void> {
  const line = (cells: readonly string[]): void => console.log(`| ${cells.join(' | ')} |`);
  line(COLUMNS.map(([head]) => head));
  line(COLUMNS.map(() => '---:'));
  for (const size of SIZES) {
    const figures = await withCluster({ ingresses: size, workers: WORKERS, ports: PORTS }, (bench) =>
      measure(size, bench),
    );
    line(COLUMNS.map(([, cell]) => cell(figures)));
  }
}

async function measure(size: number, bench: ClusterBench): Promise<Figures> {
  const { pid, api, secondsToReady: readySeconds } = bench;
  const startMb = (await api.bytesSent()) / 1e6;
  // What starting up has left to the garbage collector is not what idling costs.
  await delay(3_000);
  const idleBefore = cpuMs(pid);
  await delay(2_000);
  const idlePerMs = (cpuMs(pid) - idleBefore) / 2_000;
  const metric = await bench.scrape();
  const atRest = {
    objects: metric('portico_watch_objects'),
    rssMb: rssMb(pid),
    controlMb: (metric('nodejs_heap_size_total_bytes') + metric('nodejs_external_memory_bytes')) / 1e6,
    threadMb: metric('portico_data_plane_memory_bytes') / Number(WORKERS) / 1e6,
  };

  /** CPU time beyond that of idling, until nothing more happens. */
  const cost = async (work: () => Promise<void>): Promise<number> => {
    const [cpuBefore, startedAt] = [cpuMs(pid), performance.now()];
    await work();
    return Math.max(0, cpuMs(pid) - cpuBefore - idlePerMs * (performance.now() - startedAt));
  };
  const endpointMs = (await cost(() => changes(bench, size, 'slice', ENDPOINT_INTERVAL_MS))) / CHANGES;
  const ingressMs = (await cost(() => changes(bench, size, 'ingress', INGRESS_INTERVAL_MS))) / CHANGES;
  const relistedBytes = await api.bytesSent();
  const relistMs = await cost(() => relist(bench));
  const relistMb = ((await api.bytesSent()) - relistedBytes) / 1e6;

  await bench.load(LOAD);
  return {
    size,
    readySeconds,
    startMb,
    ...atRest,
    endpointMs,
    ingressMs,
    relistMs,
    relistMb,
    calm: await lowest(bench, async () => {}),
    changing: await lowest(bench, () => mixedChanges(bench, size)),
    relisting: await lowest(bench, () => delay(300).then(() => relist(bench)), LOAD_WITH_RELIST),
  };
}

/** One change after the other, of apps all over the cluster, and time for the last to be served. */
async function changes(
  { api }: ClusterBench,
  size: number,
  kind: 'slice' | 'ingress',
  intervalMs: number,
): Promise<void> {
  for (let made = 0; made < CHANGES; made++) {
    const n = (made * 7919) % size;
    api.apply(kind === 'slice' ? slice(n, PORTS.upstream, 2 + (made % 3)) : ingress(n, [`/version-${made}`]));
    await delay(intervalMs);
  }
  await delay(500);
}

async function mixedChanges({ api }: ClusterBench, size: number): Promise<void> {
  for (let made = 0; made < LOAD.seconds * 10; made++) {
    const n = made % 10 === 0 ? 7 : (made * 7919 + 1) % size;
    api.apply(made % 2 === 0 ? slice(n, PORTS.upstream, 1 + (made % 3)) : ingress(n, [`/mixed-${made}`]));
    await delay(100);
  }
}

/** Has everything listed again, and returns when it is. */
async function relist({ api, scrape }: ClusterBench): Promise<void> {
  const kinds = ['Ingress', 'Service', 'EndpointSlice', 'Secret'];
  /** The least of all kinds that cost something. */
  const relists = async (): Promise<number> => {
    const metric = await scrape();
    return Math.min(...kinds.map((kind) => metric('portico_watch_relists_total', `kind="${kind}"`)));
  };
  const before = await relists();
  await api.relist();
  for (let tries = 0; (await relists()) === before; tries++) {
    if (tries === 120) throw new Error('not everything was listed again within a minute');
    await delay(500);
  }
}

/** The lowest p99 of three runs with the same work beside them: the machine has other things to do as well. */
async function lowest(bench: ClusterBench, work: () => Promise<void>, load = LOAD): Promise<Load> {
  const runs: Load[] = [];
  while (runs.length < RUNS) runs.push((await Promise.all([bench.load(load), work()]))[0]);
  const total = (of: (run: Load) => number): number => runs.reduce((sum, run) => sum + of(run), 0);
  return {
    p99: Math.min(...runs.map(({ p99 }) => p99)),
    failures: total(({ failures }) => failures),
    requests: total(({ requests }) => requests),
  };
}

await withUpstream(PORTS.upstream, main);
