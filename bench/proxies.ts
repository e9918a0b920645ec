import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { holdIdle, percentile, runLoad } from './load.ts';
import { rssMb } from './process-figures.ts';
import { roomForConnections } from './connection-tracking.ts';
import { LOAD_CORE, SUBJECTS, type Subject, pinSelf, start, stop } from './subjects.ts';
import { type Done, type Rounds, type Turner, printRounds, takeTurns } from './turns.ts';

/**
 * `npm run bench:proxies`: nginx, HAProxy, Caddy and both engines of Portico. All run at the same time and take turns in short
 * windows, so that what else the machine does meets all alike; what counts are the ratios within a round. `BENCH_ROUNDS`,
 * `BENCH_SECONDS` (of one window), `BENCH_ONLY=nginx,portico` and `BENCH_ROWS=upload` make it short.
 */

const PORTS = { proxy: 18_080, upstream: 18_081 };
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 1);
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 7);
const ROWS = process.env['BENCH_ROWS']?.split(',');
/** Windows that the first one is as long as. */
const WARM_UP = 4;
const HOST = 'Host: bench.example.com\r\nUser-Agent: bench/1\r\nAccept: */*\r\n';

interface Scenario {
  readonly name: string;
  readonly request: Buffer;
  readonly connections: number;
  readonly connectEach?: boolean;
  readonly idle?: number;
  /** Of a window. */
  readonly share?: number;
}

const ALL: readonly Scenario[] = [
  { name: 'GET 1 KiB, keep-alive', request: get('/small'), connections: 64 },
  {
    name: 'GET 1 KiB, a connection each',
    request: get('/small', 'Connection: close\r\n'),
    connections: 32,
    connectEach: true,
    share: 1 / 4,
  },
  { name: 'POST 16 KiB', request: post(16 * 1024), connections: 64 },
  { name: 'download 16 MiB', request: get('/large'), connections: 4 },
  { name: 'upload 16 MiB', request: post(16 * 1024 * 1024), connections: 4 },
  { name: 'GET 1 KiB, 1,000 idle + 64 busy', request: get('/small'), connections: 64, idle: 1000 },
];

const SCENARIOS = ALL.filter(({ name }) => !ROWS || ROWS.some((row) => name.includes(row)));

/** A subject that runs. */
interface Measured extends Turner {
  readonly port: number;
  readonly rssIdleMb: number;
}

async function main(): Promise<void> {
  if (cpus().length < 2)
    throw new Error('the benchmark wants two cores: one for the proxies, one for load and upstream');
  pinSelf();
  const entry = new URL('upstream.ts', import.meta.url).pathname;
  const upstream = spawn('taskset', ['-c', LOAD_CORE, process.execPath, entry, `${PORTS.upstream}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(upstream.stdout, 'data');
  const only = process.env['BENCH_ONLY']?.split(',');
  const subjects = SUBJECTS.filter((subject) => !only || only.includes(subject.name));
  const measured: Measured[] = [];
  try {
    for (const subject of subjects) {
      const missing = subject.missing();
      if (missing) console.log(`not measured: ${missing}`);
      else measured.push(await begin(subject, measured.length));
    }
    for (const scenario of SCENARIOS) printRounds(scenario.name, await measure(scenario, measured));
    console.log(
      `\nRSS MB, idle and now: ${measured.map(({ name, rssIdleMb, running }) => `${name} ${rssIdleMb.toFixed(0)}, ${rssMb(running.pid).toFixed(0)}`).join('; ')}`,
    );
    if (!ROWS) await printLatencies(measured);
    console.log(
      '\nAll proxies share one core by turns, load and upstream have the other; access logs off; one data-plane thread.',
    );
    console.log(
      "CPU is the scheduler's account of the whole process, all threads. Medians, [lower..upper quartile].",
    );
  } finally {
    for (const { running } of measured) await running.stop();
    await stop(upstream);
  }
}

async function begin(subject: Subject, index: number): Promise<Measured> {
  const port = PORTS.proxy + 10 * (index + 1);
  const running = await start(subject, { ...PORTS, proxy: port });
  return { name: subject.name, port, running, rssIdleMb: rssMb(running.pid) };
}

function measure(scenario: Scenario, subjects: readonly Measured[]): Promise<Rounds> {
  const { name, request, connections, connectEach, idle = 0, share = 1 } = scenario;
  const window = async (subject: Measured, isFirst: boolean): Promise<Done> => {
    const durationMs = SECONDS * 1_000 * share * (isFirst ? WARM_UP : 1);
    const load = {
      port: subject.port,
      request,
      connections,
      durationMs,
      ...(connectEach && { connectEach }),
    };
    const { requests, seconds, failures } = await runLoad(load);
    if (failures > 0 || requests === 0)
      throw new Error(`${name}: ${failures} requests through ${subject.name} failed, ${requests} did not`);
    return { count: requests, seconds };
  };
  return takeTurns(subjects, ROUNDS, window, async ({ port }) => {
    if (connectEach) await roomForConnections();
    return holdIdle(port, idle);
  });
}

async function printLatencies(subjects: readonly Measured[]): Promise<void> {
  const caddy = subjects.find(({ name }) => name === 'caddy');
  const best = caddy && (await runLoad({ ...SMALL, port: caddy.port, durationMs: 2_000 }));
  const ratePerSecond = Math.round((best ? best.requests / best.seconds : 8_000) / 2);
  console.log(`\nLatency at ${ratePerSecond} requests/s, ${best ? "half of Caddy's best" : 'without Caddy'}`);
  for (const { name, port } of subjects) {
    const load = { ...SMALL, port, ratePerSecond };
    // Until a just-in-time compiler has seen enough.
    await runLoad({ ...load, durationMs: 2_000 });
    const { latenciesMs } = await runLoad({ ...load, durationMs: 4_000 });
    const sorted = latenciesMs.toSorted((a, b) => a - b);
    const [p50, p99] = [percentile(sorted, 0.5), percentile(sorted, 0.99)];
    console.log(`${name.padEnd(22)}p50 ${p50.toFixed(2)} ms   p99 ${p99.toFixed(2)} ms`);
  }
}

function get(path: string, more = ''): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\n${HOST}${more}\r\n`);
}

function post(bytes: number): Buffer {
  const head = `POST /post HTTP/1.1\r\n${HOST}Content-Type: application/octet-stream\r\nContent-Length: ${bytes}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.alloc(bytes, 'c')]);
}

const SMALL = { request: get('/small'), connections: 64 };

await main();
