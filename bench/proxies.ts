import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { holdIdle, percentile, runLoad } from './load.ts';
import { cpuMs, rssMb } from './process-figures.ts';
import { LOAD_CORE, SUBJECTS, type Subject, pinSelf, start, stop } from './subjects.ts';

/** `npm run bench`: nginx, HAProxy, Caddy and both engines of Portico, side by side in one run. */

const PORTS = { proxy: 18_080, upstream: 18_081 };
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 4);
const HOST = 'Host: bench.example.com\r\nUser-Agent: bench/1\r\nAccept: */*\r\n';

interface Scenario {
  readonly name: string;
  readonly request: Buffer;
  readonly connections: number;
  readonly connectEach?: boolean;
  readonly idle?: number;
}

const SCENARIOS: readonly Scenario[] = [
  { name: 'GET 1 KiB, keep-alive', request: get('/small'), connections: 64 },
  {
    name: 'GET 1 KiB, a connection each',
    request: get('/small', 'Connection: close\r\n'),
    connections: 32,
    connectEach: true,
  },
  { name: 'POST 16 KiB', request: post(16 * 1024), connections: 64 },
  { name: 'download 16 MiB', request: get('/large'), connections: 4 },
  { name: 'upload 16 MiB', request: post(16 * 1024 * 1024), connections: 4 },
  { name: 'GET 1 KiB, 1,000 idle + 64 busy', request: get('/small'), connections: 64, idle: 1000 },
];

interface Figures {
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly failures: number;
}

interface SubjectFigures {
  readonly scenarios: ReadonlyMap<string, Figures>;
  readonly rssIdleMb: number;
  readonly rssLoadMb: number;
}

async function main(): Promise<void> {
  if (cpus().length < 2)
    throw new Error('the benchmark wants two cores: one for the proxy, one for load and upstream');
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
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  await once(upstream.stdout, 'data');
  const results = new Map<string, SubjectFigures>();
  const latencies = new Map<string, { p50: number; p99: number }>();
  const only = process.env['BENCH_ONLY']?.split(',');
  const subjects = SUBJECTS.filter((subject) => !only || only.includes(subject.name));
  try {
    const present: Subject[] = [];
    for (const subject of subjects) {
      const missing = subject.missing();
      if (missing) console.log(`not measured: ${missing}`);
      else present.push(subject);
    }
    for (const subject of present) {
      console.log(`measuring ${subject.name} …`);
      results.set(subject.name, await measure(subject));
    }
    const caddy = results.get('caddy')?.scenarios.get(SCENARIOS[0]!.name)?.perSecond;
    const ratePerSecond = Math.round((caddy ?? 8_000) / 2);
    console.log(
      `measuring latencies at ${ratePerSecond} requests/s ${caddy ? "(half of Caddy's best)" : '(Caddy was not measured)'} …`,
    );
    for (const subject of present) latencies.set(subject.name, await measureLatency(subject, ratePerSecond));
    print(results, latencies, ratePerSecond);
  } finally {
    await stop(upstream);
  }
}

async function measure(subject: Subject): Promise<SubjectFigures> {
  const scenarios = new Map<string, Figures>();
  const running = await start(subject, PORTS);
  try {
    const rssIdleMb = rssMb(running.pid);
    let rssLoadMb = rssIdleMb;
    for (const { name, request, connections, connectEach, idle } of SCENARIOS) {
      const release = idle ? await holdIdle(PORTS.proxy, idle) : null;
      const load = { port: PORTS.proxy, request, connections, ...(connectEach && { connectEach }) };
      await runLoad({ ...load, durationMs: 1_000 });
      const cpuBefore = cpuMs(running.pid);
      const result = await runLoad({ ...load, durationMs: SECONDS * 1_000 });
      const cpuUs = ((cpuMs(running.pid) - cpuBefore) * 1_000) / result.requests;
      rssLoadMb = Math.max(rssLoadMb, rssMb(running.pid));
      scenarios.set(name, { cpuUs, perSecond: result.requests / result.seconds, failures: result.failures });
      release?.();
    }
    return { scenarios, rssIdleMb, rssLoadMb };
  } finally {
    await running.stop();
  }
}

async function measureLatency(
  subject: Subject,
  ratePerSecond: number,
): Promise<{ p50: number; p99: number }> {
  const running = await start(subject, PORTS);
  try {
    const load = { port: PORTS.proxy, request: get('/small'), connections: 64, ratePerSecond };
    // Until a just-in-time compiler has seen enough.
    await runLoad({ ...load, durationMs: 3_000 });
    const { latenciesMs } = await runLoad({ ...load, durationMs: SECONDS * 1_000 });
    const sorted = latenciesMs.toSorted((a, b) => a - b);
    return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) };
  } finally {
    await running.stop();
  }
}

function print(
  results: ReadonlyMap<string, SubjectFigures>,
  latencies: ReadonlyMap<string, { p50: number; p99: number }>,
  ratePerSecond: number,
): void {
  const names = [...results.keys()];
  const row = (label: string, cell: (name: string) => string): void =>
    console.log(
      [label.padEnd(44), ...names.map((name) => cell(name).padStart(Math.max(name.length, 10)))].join('  '),
    );
  console.log('');
  row('', (name) => name);
  for (const { name: scenario } of SCENARIOS) {
    const figures = (name: string) => results.get(name)?.scenarios.get(scenario);
    row(`${scenario}: CPU µs/request`, (name) => figures(name)?.cpuUs.toFixed(1) ?? '-');
    row(
      `${scenario}: requests/s`,
      (name) => figures(name)?.perSecond.toFixed(scenario.includes('MiB') ? 1 : 0) ?? '-',
    );
    if (names.some((name) => figures(name)?.failures))
      row(`${scenario}: failures`, (name) => `${figures(name)?.failures}`);
  }
  row(`p50 ms at ${ratePerSecond}/s`, (name) => latencies.get(name)?.p50.toFixed(2) ?? '-');
  row(`p99 ms at ${ratePerSecond}/s`, (name) => latencies.get(name)?.p99.toFixed(2) ?? '-');
  row('RSS MB idle', (name) => results.get(name)?.rssIdleMb.toFixed(0) ?? '-');
  row('RSS MB under load', (name) => results.get(name)?.rssLoadMb.toFixed(0) ?? '-');
  console.log(
    '\nEach proxy on one core, load and upstream on the other; access logs off; one data-plane thread.',
  );
  console.log("CPU is the scheduler's account of the whole process, all threads.");
}

function get(path: string, more = ''): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\n${HOST}${more}\r\n`);
}

function post(bytes: number): Buffer {
  const head = `POST /post HTTP/1.1\r\n${HOST}Content-Type: application/octet-stream\r\nContent-Length: ${bytes}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.alloc(bytes, 'c')]);
}

await main();
