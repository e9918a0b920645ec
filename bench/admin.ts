import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type ClusterBench, withCluster, withUpstream } from './cluster-bench.ts';
import { estimateOf, verdictOf } from './estimate.ts';
import { cpuMs } from './process-figures.ts';
import { medianOf } from './spread.ts';

/**
 * `npm run bench:admin`: what it costs that somebody looks. Two processes with 5,000 Ingresses, each with a route and
 * requests: nobody looks at one of them; at the other the page is open at its list of routes, or `portico top` runs, or
 * both. Their CPU time is compared in the same windows, so that what else the machine does meets both alike, until it is
 * decided whether the aim is met.
 */

const LOOKED_AT = { proxy: 18_090, status: 18_091, upstream: 18_092 };
const ADMIN = 18_093;
const LEFT_ALONE = { proxy: 18_094, status: 18_095, upstream: LOOKED_AT.upstream };
const INGRESSES = Number(process.env['BENCH_INGRESSES'] ?? 5_000);
const PER_SECOND = 500;
const AIM_PERCENT = 2;
/** As often in it as in any other the page and `top` ask for something. */
const WINDOW_MS = 6_000;
const LEAST_WINDOWS = 6;
/** Of each way to look: at most so many seconds. */
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 60);

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
const LOOKING = { page: PAGE, top: TOP, both: [...PAGE, ...TOP] } as const;
type Who = keyof typeof LOOKING;

async function measure(lookedAt: ClusterBench, leftAlone: ClusterBench): Promise<void> {
  const stop = new AbortController();
  const loading = [LOOKED_AT, LEFT_ALONE].map(({ proxy }) => load(proxy, stop.signal));
  await delay(5_000);
  console.log(`${INGRESSES} routes, ${PER_SECOND} requests/s over all of them; CPU more in % of a core`);
  for (const who of ['page', 'top', 'both'] as const) {
    const looking = look(who);
    // Until counting has begun.
    await delay(3_000);
    const more: number[] = [];
    const alone: number[] = [];
    for (const endsAt = performance.now() + SECONDS * 1_000; performance.now() < endsAt;) {
      const before = [cpuMs(lookedAt.pid), cpuMs(leftAlone.pid)] as const;
      await delay(WINDOW_MS);
      const [percent, percentAlone] = [
        ((cpuMs(lookedAt.pid) - before[0]) / WINDOW_MS) * 100,
        ((cpuMs(leftAlone.pid) - before[1]) / WINDOW_MS) * 100,
      ];
      more.push(percent - percentAlone);
      alone.push(percentAlone);
      if (more.length >= LEAST_WINDOWS && verdictOf(estimateOf(more), AIM_PERCENT) !== 'not decided') break;
    }
    looking.abort();
    const estimate = estimateOf(more);
    const { lower, median, upper } = estimate;
    console.log(
      `  ${who.padEnd(6)}${median.toFixed(2)} % (${lower.toFixed(2)} to ${upper.toFixed(2)} with 95 %, ${more.length} windows)` +
        `; ${medianOf(alone).toFixed(1)} % where nobody looks` +
        `; aim below ${AIM_PERCENT} %: ${verdictOf(estimate, AIM_PERCENT)}`,
    );
  }
  stop.abort();
  await Promise.all(loading);
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
async function load(port: number, signal: AbortSignal): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  for (let sent = 0; !signal.aborted; sent += PER_SECOND / 50) {
    for (let i = 0; i < PER_SECOND / 50; i++) {
      const headers = { host: `app-${(sent + i) % INGRESSES}.example.com` };
      get({ host: '127.0.0.1', port, agent, headers, path: '/small' }, (response) => response.resume()).on(
        'error',
        () => {},
      );
    }
    await delay(20);
  }
  agent.destroy();
}

const cluster = { ingresses: INGRESSES, workers: '2' };
await withUpstream(LOOKED_AT.upstream, () =>
  withCluster({ ...cluster, ports: LEFT_ALONE, flags: ['--admin-address', 'off'] }, (leftAlone) =>
    withCluster(
      { ...cluster, ports: LOOKED_AT, flags: ['--admin-address', `127.0.0.1:${ADMIN}`] },
      (lookedAt) => measure(lookedAt, leftAlone),
    ),
  ),
);
