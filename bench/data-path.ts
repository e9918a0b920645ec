import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { createDefaultCertificate } from '../src/controller/default-certificate.ts';
import { droppedPackets, roomForConnections } from './connection-tracking.ts';
import { type Figures, printAims, printBeside, printFigures } from './data-path-report.ts';
import { DATA_PATH_SUBJECTS, type DataPathSubject, versionOf } from './data-path-subjects.ts';
import { holdIdle, percentile } from './load.ts';
import { OtherLoad } from './machine.ts';
import { runPacedLoad } from './paced-load.ts';
import { createPod } from './pod.ts';
import { cpuMs, rssMb } from './process-figures.ts';
import { type Client, type Doors, type Work, secureConnection } from './protocol-load.ts';
import { type CpuOptions, GROUPS, ROWS, type Row, isAimed } from './rows.ts';
import { HOST, type Pods } from './site.ts';
import { medianOf } from './spread.ts';
import {
  LOAD_CORE,
  PROXY_CORE,
  type Running,
  endWithThis,
  folder,
  launch,
  pinSelf,
  stop,
} from './subjects.ts';
import { type Rounds, type Window, takeTurns } from './turns.ts';

/**
 * `npm run bench:aims`, `bench:proxies` and `bench:protocols`: nginx, HAProxy, Caddy, Traefik, Envoy and Portico serve the same
 * site. All run at the same time on one core and take turns in short windows, so that what else the machine does meets all alike;
 * load and Pods have the other core. What counts are the ratios within a round. The arguments are groups of rows, or `aims` for
 * the rows that have one. `BENCH_ROWS=upload,gRPC`, `BENCH_ONLY=nginx,portico`, `BENCH_ROUNDS` and `BENCH_SECONDS` (of one
 * window) make it shorter.
 */

const PODS: Pods = { plain: 18_131, paced: 18_132, grpc: 18_133, socket: 18_134 };
const FIRST_PORT = 18_140;
const SECONDS = positive('BENCH_SECONDS', 0.5);
const ROUNDS = positive('BENCH_ROUNDS', 7);
/** A 99th percentile varies more than CPU time does. */
const P99_ROUNDS = 3 * ROUNDS;
const P99_CONNECTIONS = 64;
/**
 * So long a proxy works in its turn before it is measured: for the first tenth of a second after the turns of others a request
 * costs more, for some more than for others. A proxy under load does not take turns.
 */
const SETTLED_MS = 300;
/** Done before it is measured by what has a just-in-time compiler for its own code. */
const WARM_UP = 20_000;
const LONGEST_WARM_UP_MS = 12_000;
/** How much longer than it should a window may last. */
const GRACE_MS = 30_000;
const CONNECTING_AT_ONCE = 32;
const LONGEST_CONNECTING_MS = 120_000;
const IDLE_MS = 5_000;
/** Until a proxy has accepted all of a thousand connections. */
const ACCEPTING_MS = 300;
/** After something happened, until nothing does. */
const SETTLING_MS = 2_000;

/** A subject that runs. */
interface Served extends Doors {
  readonly name: string;
  readonly running: Running;
  readonly warmsUp: boolean;
}

async function main(): Promise<void> {
  if (cpus().length < 2)
    throw new Error('the benchmark wants two cores: one for the proxies, one for load and Pods');
  const rows = chosenRows();
  const subjects = chosenSubjects();
  const startedAt = performance.now();
  pinSelf();
  await writeCertificate();
  const pods = [pod('upstream.ts', PODS.plain), pod('protocol-pods.ts', PODS.grpc, PODS.socket)];
  await Promise.all(pods.map((child) => once(child.stdout!, 'data')));
  const served: Served[] = [];
  const figures: Figures[] = [];
  try {
    console.log(subjects.map(versionOf).filter(Boolean).join(', '));
    for (const subject of subjects)
      served.push(await serve(subject, FIRST_PORT + 10 * served.length, 1, PROXY_CORE));
    for (const row of rows) {
      try {
        const measured = await measureRow(row, served, subjects);
        figures.push(measured);
        printFigures(measured);
      } catch (error) {
        console.log(`\n${row.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  } finally {
    for (const { running } of served) await running.stop();
    await Promise.all(pods.map(stop));
  }
  printAims(figures);
  printBeside(figures);
  console.log(`\n${((performance.now() - startedAt) / 60_000).toFixed(1)} minutes`);
}

function positive(variable: string, otherwise: number): number {
  const text = process.env[variable];
  if (text === undefined) return otherwise;
  if (!(Number(text) > 0)) exitWith(`${variable} must be a number above 0, and is ${JSON.stringify(text)}`);
  return Number(text);
}

function exitWith(message: string): never {
  console.error(message);
  process.exit(1);
}

function chosenRows(): readonly Row[] {
  const groups = process.argv.slice(2);
  const words = process.env['BENCH_ROWS']?.split(',').map((word) => word.toLowerCase());
  for (const group of groups)
    if (group !== 'aims' && !GROUPS.some((each) => each === group))
      throw new Error(`no group of rows is named ${group}: there are aims, ${GROUPS.join(', ')}`);
  const rows = ROWS.filter(
    (row) =>
      (groups.length === 0 || groups.includes(row.group) || (groups.includes('aims') && isAimed(row))) &&
      (!words || words.some((word) => row.name.toLowerCase().includes(word))),
  );
  if (rows.length === 0)
    throw new Error(`BENCH_ROWS chooses nothing: the rows are\n${ROWS.map(({ name }) => name).join('\n')}`);
  return rows;
}

function chosenSubjects(): readonly DataPathSubject[] {
  const only = process.env['BENCH_ONLY']?.split(',');
  for (const name of only ?? [])
    if (!DATA_PATH_SUBJECTS.some((subject) => subject.name === name))
      throw new Error(
        `BENCH_ONLY names ${name}: there are ${DATA_PATH_SUBJECTS.map((each) => each.name).join(', ')}`,
      );
  const chosen = DATA_PATH_SUBJECTS.filter((each) =>
    only ? only.includes(each.name) : each.onlyIfNamed !== true,
  );
  return chosen.filter((subject) => {
    const missing = subject.missing();
    if (missing) console.log(`not measured: ${missing}`);
    return missing === null;
  });
}

async function writeCertificate(): Promise<void> {
  const { certificate, key } = await createDefaultCertificate(Date.now());
  writeFileSync(`${folder}/tls.crt`, certificate);
  writeFileSync(`${folder}/tls.key`, key);
  writeFileSync(`${folder}/tls.pem`, `${certificate}\n${key}`);
}

async function serve(
  subject: DataPathSubject,
  http: number,
  workers: number,
  cores: string,
): Promise<Served> {
  const https = http + 1;
  const command = subject.command({ http, https, pods: PODS, workers, folder });
  const running = await launch(subject.name, command, [http, https], cores);
  return { name: subject.name, running, http, https, warmsUp: subject.warmsUp === true };
}

async function measureRow(
  row: Row,
  served: readonly Served[],
  subjects: readonly DataPathSubject[],
): Promise<Figures> {
  const others = new OtherLoad();
  const droppedBefore = droppedPackets();
  const rounds = await roundsOf(row, served, subjects);
  if (droppedPackets() > droppedBefore)
    throw new Error('the kernel dropped packets, because its table of connections was full');
  return { row, rounds, otherCores: others.cores() };
}

function roundsOf(
  { measures }: Row,
  served: readonly Served[],
  subjects: readonly DataPathSubject[],
): Promise<Rounds> {
  switch (measures.kind) {
    case 'cpu':
      return measureCpu(measures.work, served, measures.options);
    case 'workers':
      return measureWorkers(measures.work, measures.workers, subjects);
    case 'p99':
      return measureP99(measures.request, measures.best, served);
    case 'memory':
      return measureMemory(measures.connections, served);
    case 'idle':
      return measureIdle(served);
  }
}

/** CPU for each, in turns; the clients keep their connections from the first turn to the last. */
async function measureCpu(work: Work, served: readonly Served[], options: CpuOptions): Promise<Rounds> {
  const { warmUp = WARM_UP, connects, idle = 0, share = 1 } = options;
  const clients = new Map<string, Client>();
  const clientOf = async (subject: Served): Promise<Client> => {
    const client = clients.get(subject.name) ?? (await inTime(work(subject), GRACE_MS));
    clients.set(subject.name, client);
    return client;
  };
  const window = async (subject: Served, isFirst: boolean): Promise<Window> => {
    if (connects) await roomForConnections();
    const client = await clientOf(subject);
    const release = await holdIdle(subject.http, idle);
    if (idle > 0) await pause(ACCEPTING_MS);
    const atLeast = isFirst && subject.warmsUp ? warmUp : 1;
    if (!isFirst) await inTime(client.run(SETTLED_MS * share), SETTLED_MS + GRACE_MS);
    const before = cpuMs(subject.running.pid);
    const startedAt = performance.now();
    let count = 0;
    do {
      const durationMs = SECONDS * 1_000 * share;
      const done = await inTime(client.run(durationMs), durationMs + GRACE_MS);
      if (done.failures > 0) throw new Error(`${done.failures} through ${subject.name} failed`);
      count += done.count;
    } while (count < atLeast && performance.now() - startedAt < LONGEST_WARM_UP_MS);
    const seconds = (performance.now() - startedAt) / 1_000;
    const value = ((cpuMs(subject.running.pid) - before) * 1_000) / count;
    release();
    return { value, perSecond: count / seconds };
  };
  try {
    return await takeTurns(served, ROUNDS, window);
  } finally {
    for (const client of clients.values()) client.close();
  }
}

async function inTime<T>(promise: Promise<T>, ms: number): Promise<T> {
  const timer = new AbortController();
  const late = pause(ms, null, { signal: timer.signal }).then(
    () => Promise.reject(new Error(`it did not end within ${(ms / 1_000).toFixed(0)} s`)),
    () => promise,
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

/** Proxies with more workers, which share all cores with the load: their CPU says something, their rates do not. */
async function measureWorkers(
  work: Work,
  workers: number,
  subjects: readonly DataPathSubject[],
): Promise<Rounds> {
  const served: Served[] = [];
  try {
    for (const subject of subjects) {
      const port = FIRST_PORT + 10 * (subjects.length + served.length);
      served.push(await serve(subject, port, workers, `${PROXY_CORE},${LOAD_CORE}`));
    }
    return await measureCpu(work, served, { warmUp: workers * WARM_UP });
  } finally {
    for (const { running } of served) await running.stop();
  }
}

/** The load and the Pod share this process, since the load keeps its core busy. */
async function measureP99(request: Buffer, best: Work, served: readonly Served[]): Promise<Rounds> {
  const caddy = served.find(({ name }) => name === 'caddy');
  if (!caddy) throw new Error('not measured without Caddy, whose best rate it needs');
  const bestRates = await measureCpu(best, [caddy], {});
  const ratePerSecond = medianOf((bestRates.get('caddy') ?? []).map(({ perSecond }) => perSecond)) / 2;
  console.log(`\nlatency at ${ratePerSecond.toFixed(0)} requests/s`);
  const pacedPod = createPod().listen(PODS.paced, '127.0.0.1');
  await once(pacedPod, 'listening');
  try {
    return await takeTurns(served, P99_ROUNDS, async ({ name, http, warmsUp }, isFirst) => {
      const seconds = isFirst && warmsUp ? WARM_UP / ratePerSecond : SECONDS;
      const load = { port: http, request, connections: P99_CONNECTIONS, ratePerSecond };
      const { latenciesMs, failures } = await runPacedLoad({ ...load, durationMs: seconds * 1_000 });
      if (failures > 0) throw new Error(`${failures} requests through ${name} failed or were not answered`);
      const p99 = percentile(
        latenciesMs.toSorted((a, b) => a - b),
        0.99,
      );
      return { value: p99, perSecond: latenciesMs.length / seconds };
    });
  } finally {
    pacedPod.close();
  }
}

async function measureMemory(connections: number, served: readonly Served[]): Promise<Rounds> {
  const rounds = new Map<string, readonly Window[]>();
  for (const subject of served) {
    const idle: TLSSocket[] = [];
    try {
      const value = await memoryWith(connections, subject, idle);
      rounds.set(subject.name, [{ value, perSecond: Number.NaN }]);
    } catch (error) {
      console.log(`not measured: ${subject.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    for (const socket of idle) socket.destroy();
  }
  return rounds;
}

async function memoryWith(count: number, { https, running }: Served, idle: TLSSocket[]): Promise<number> {
  const until = performance.now() + LONGEST_CONNECTING_MS;
  while (idle.length < count) {
    if (performance.now() > until) throw new Error(`${idle.length} connections took too long`);
    idle.push(...(await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, () => askedOnce(https)))));
  }
  await pause(SETTLING_MS);
  const closed = idle.filter(({ destroyed }) => destroyed).length;
  if (closed > 0) throw new Error(`${closed} of ${idle.length} connections were closed`);
  return rssMb(running.pid);
}

/** A connection that has had a response. */
async function askedOnce(port: number): Promise<TLSSocket> {
  const socket = secureConnection(port);
  socket.write(`GET /small HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  await once(socket, 'data');
  socket.on('error', () => undefined);
  return socket;
}

/** All at once, since none of them does anything. */
async function measureIdle(served: readonly Served[]): Promise<Rounds> {
  await pause(SETTLING_MS);
  const before = served.map(({ running }) => cpuMs(running.pid));
  await pause(IDLE_MS);
  const percents = served.map(
    ({ running }, index) => ((cpuMs(running.pid) - (before[index] ?? 0)) / IDLE_MS) * 100,
  );
  return new Map(
    served.map(({ name }, index) => [name, [{ value: percents[index] ?? 0, perSecond: Number.NaN }]]),
  );
}

function pod(program: string, ...ports: readonly number[]): ChildProcess {
  const path = fileURLToPath(new URL(program, import.meta.url));
  const child = spawn('taskset', ['-c', LOAD_CORE, process.execPath, path, ...ports.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithThis(child);
  return child;
}

// Children end with this process (`exit`), which a signal alone would not tell.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

try {
  await main();
} catch (error) {
  exitWith(error instanceof Error ? error.message : String(error));
}
