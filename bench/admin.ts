import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type ClusterBench, withCluster, withUpstream } from './cluster-bench.ts';
import { cpuMs } from './process-figures.ts';

/**
 * `npm run bench:admin`: what it costs that somebody looks. 5,000 Ingresses, each with a route and requests; the page open at
 * its list of routes, `portico top`, and both. The difference to nobody looking, in turns, by the CPU time of the process.
 */

const PORTS = { proxy: 18_090, status: 18_091, upstream: 18_092 };
const ADMIN = 18_093;
const INGRESSES = Number(process.env['BENCH_INGRESSES'] ?? 5_000);
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 15);
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3);
const PER_SECOND = 500;

/** What is asked, and how often: as page/ and src/cli/top.ts do. */
const PAGE = [
  ['overview', 3_000],
  ['routes?traffic=true&offset=0&limit=100', 2_000],
] as const;
const TOP = [
  ['traffic', 2_000],
  ['overview', 2_000],
  ['threads', 2_000],
] as const;
const LOOKING = { nobody: [], page: PAGE, top: TOP, both: [...PAGE, ...TOP] } as const;
type Who = keyof typeof LOOKING;

async function measure({ pid }: ClusterBench): Promise<void> {
  const stop = new AbortController();
  const loading = load(stop.signal);
  await delay(5_000);
  const percents: Record<Who, number[]> = { nobody: [], page: [], top: [], both: [] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const who of ['nobody', 'page', 'top', 'both'] as const) {
      const looking = look(who);
      // Until counting has begun, or has ended.
      await delay(who === 'nobody' ? 16_000 : 3_000);
      const before = cpuMs(pid);
      await delay(SECONDS * 1_000);
      percents[who].push((cpuMs(pid) - before) / SECONDS / 10);
      looking.abort();
    }
  }
  stop.abort();
  await loading;
  const nobody = median(percents.nobody);
  console.log(
    `${INGRESSES} routes, ${PER_SECOND} requests/s over all of them: ${nobody.toFixed(1)} % of a core`,
  );
  for (const who of ['page', 'top', 'both'] as const) {
    const more = percents[who].map((each, round) => each - (percents.nobody[round] ?? 0));
    console.log(
      `  ${who.padEnd(6)} ${median(more).toFixed(2)} % of a core more  (${more.map((each) => each.toFixed(2)).join(', ')})`,
    );
  }
}

function look(who: Who): AbortController {
  const stop = new AbortController();
  for (const [path, everyMs] of LOOKING[who]) {
    void (async () => {
      while (!stop.signal.aborted) {
        await ask(path);
        await delay(everyMs);
      }
    })();
  }
  return stop;
}

function ask(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: ADMIN, path: `/api/v1/${path}`, agent: false }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${path}: ${response.statusCode}`));
      response.resume().on('end', resolve);
    }).on('error', reject);
  });
}

/** Requests for one host after the other, at a fixed rate. */
async function load(signal: AbortSignal): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  for (let sent = 0; !signal.aborted; sent += PER_SECOND / 50) {
    for (let i = 0; i < PER_SECOND / 50; i++) {
      const headers = { host: `app-${(sent + i) % INGRESSES}.example.com` };
      get({ host: '127.0.0.1', port: PORTS.proxy, agent, headers, path: '/small' }, (response) =>
        response.resume(),
      ).on('error', () => {});
    }
    await delay(20);
  }
  agent.destroy();
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

await withUpstream(PORTS.upstream, () =>
  withCluster(
    { ingresses: INGRESSES, workers: '2', ports: PORTS, flags: ['--admin-address', `127.0.0.1:${ADMIN}`] },
    measure,
  ),
);
