import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { withCluster, withUpstream } from './cluster-bench.ts';
import type { Verdict } from './estimate.ts';
import { medianOf } from './spread.ts';

/**
 * `npm run bench:scrape`: how long a scrape takes, and how long the event loop of any thread is blocked meanwhile. Every Ingress
 * has been asked, so that each has all of its series. Windows with a scrape and without one take turns. Prints the longest
 * block of each thread in them, and whether the aim is met.
 */
const PORTS = { proxy: 18_097, status: 18_098, upstream: 18_099 };
const INGRESSES = Number(process.env['BENCH_INGRESSES'] ?? 10_000);
const SCRAPES = Number(process.env['BENCH_SCRAPES'] ?? 8);
const AIM_MS = 20;
const FOLDER = mkdtempSync(join(tmpdir(), 'portico-scrape-'));
const BLOCKS = join(FOLDER, 'blocks');
/** Reads the longest blocks of a second after it is over. */
const SETTLE_MS = 1_100;

async function measure(): Promise<void> {
  await askEveryHost();
  await delay(3_000);
  await scrape();
  const times: number[] = [];
  const calm: Blocks[] = [];
  const scraped: Blocks[] = [];
  let bytes = 0;
  for (let i = 0; i < SCRAPES; i++) {
    calm.push(await blocksDuring(() => delay(SETTLE_MS)));
    const startedAt = performance.now();
    scraped.push(
      await blocksDuring(async () => {
        bytes = await scrape();
        times.push(performance.now() - startedAt - SETTLE_MS);
      }),
    );
  }
  console.log(
    `${INGRESSES} Ingresses: ${(bytes / 1e6).toFixed(1)} MB in ${medianOf(times).toFixed(0)} ms (median)`,
  );
  console.log('longest block in a window     with a scrape      without       longest of all');
  const threads = [...new Set(scraped.flatMap((blocks) => [...blocks.keys()]))].toSorted();
  for (const thread of threads) {
    const [during, without] = [scraped, calm].map((windows) => windows.map((each) => each.get(thread) ?? 0));
    const name = thread === '0' ? 'control thread' : `data-plane thread ${thread}`;
    console.log(
      `  ${name.padEnd(24)}${told(during)}${told(without)}${Math.max(...(during ?? []))
        .toFixed(1)
        .padStart(12)} ms`,
    );
  }
  const ofAll = scraped.map((blocks) => Math.max(...blocks.values()));
  console.log(`aim: no block of more than ${AIM_MS} ms: ${verdict(ofAll)}`);
}

function told(values: readonly number[] = []): string {
  return `${medianOf(values).toFixed(1)} ms (median)`.padStart(18);
}

/** One window of many may be that in which something else emptied the caches. */
function verdict(blocks: readonly number[]): Verdict {
  if (Math.max(...blocks) < AIM_MS) return 'met';
  return medianOf(blocks) > AIM_MS ? 'not met' : 'not decided';
}

/** The longest block of each thread, in milliseconds. */
type Blocks = ReadonlyMap<string, number>;

/** The longest block of each thread while something is done. */
async function blocksDuring(work: () => Promise<unknown>): Promise<Blocks> {
  await delay(SETTLE_MS);
  writeFileSync(BLOCKS, '');
  await work();
  await delay(SETTLE_MS);
  const longest = new Map<string, number>();
  for (const line of readFileSync(BLOCKS, 'utf8').split('\n')) {
    const [thread, ms] = line.split(' ');
    if (thread && ms) longest.set(thread, Math.max(longest.get(thread) ?? 0, Number(ms)));
  }
  return new Map([...longest].toSorted(([a], [b]) => Number(a) - Number(b)));
}

function scrape(): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: PORTS.status, path: '/metrics', agent: false }, (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => (bytes += chunk.length));
      response.on('end', () => resolve(bytes));
    }).on('error', reject);
  });
}

async function askEveryHost(): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  let next = 0;
  const askOn = async (): Promise<void> => {
    while (next < INGRESSES) {
      const headers = { host: `app-${next++}.example.com` };
      await new Promise<void>((resolve, reject) => {
        get({ host: '127.0.0.1', port: PORTS.proxy, agent, headers, path: '/small' }, (response) => {
          if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
          response.resume().on('end', resolve);
        }).on('error', reject);
      });
    }
  };
  await Promise.all(Array.from({ length: 16 }, askOn));
  agent.destroy();
}

process.env['BENCH_EVENT_LOOP'] = BLOCKS;
try {
  await withUpstream(PORTS.upstream, () =>
    withCluster(
      {
        ingresses: INGRESSES,
        workers: '2',
        ports: PORTS,
        nodeOptions: `--import ${join(import.meta.dirname, 'event-loop.ts')}`,
      },
      measure,
    ),
  );
} finally {
  rmSync(FOLDER, { recursive: true });
}
