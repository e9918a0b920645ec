import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { BUNDLE } from './bundle.ts';
import { type RawClient, rawClient } from './raw-client.ts';
import { soon, until } from './until.ts';
import type { WireMessage } from './wire.ts';
import { heldPort, loopbackAddress } from './loopback.ts';

/** The program that is tested. */
export const MAIN = BUNDLE ? join(BUNDLE, 'portico.js') : join(import.meta.dirname, '../../src/main.ts');
/** The same for every daemon of a test process, each on an address of its own. */
export const [HTTP_PORT, HTTPS_PORT, STATUS_PORT] = await Promise.all([heldPort(), heldPort(), heldPort()]);

/** A process that lives for a second collects nothing of what it loads. */
const NODE_FLAGS = ['--min-semi-space-size=8'];

/** To ask a process that is starting without pause costs as much as to start it. */
const ASK_EVERY_MS = 25;
/** Metrics are up to a second old, and dear to write and to read. */
const METRICS_EVERY_MS = 100;

/** The whole process, as users start it. Disposing it kills what is left of it. */
export interface Daemon extends AsyncDisposable {
  /** A loopback address of its own, on which it has HTTP_PORT and STATUS_PORT. */
  readonly address: string;
  readonly pid: number;
  /** What it wrote to standard output and standard error, if the test reads them. */
  output(): string;
  /** The first line, from `offset` of the output on, that matches; waits for it. */
  line(pattern: RegExp, offset?: number): Promise<string>;
  /** Resolves when /readyz answers 200. */
  ready(): Promise<void>;
  /** A connection to the HTTP port. */
  connect(): Promise<RawClient>;
  /** One request on a connection of its own. */
  request(host: string, path?: string, more?: RequestParts): Promise<WireMessage>;
  /** GET on the status port. */
  status(path: string): Promise<{ readonly status: number; readonly body: string }>;
  /**
   * The value of one sample of /metrics, such as `portico_routes` or `x_total{a="b"}`; 0 when it is not there. It may
   * be that of a second ago.
   */
  metric(sample: string): Promise<number>;
  /** Resolves when a sample of /metrics has this value. */
  metricBecomes(sample: string, value: number): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** The exit code, or the signal that ended it; the output is complete then. */
  readonly exited: Promise<number | NodeJS.Signals>;
  /** Sends the signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>;
}

export interface RequestParts {
  readonly method?: string;
  readonly fields?: readonly string[];
  readonly body?: string;
}

export interface DaemonOptions {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly address?: string;
  readonly stdio?: StdioOptions;
  /** A command that becomes the rest of its line, such as `setpriv`. */
  readonly through?: readonly string[];
}

/** Starts `portico run`, without waiting for anything; with one data-plane thread, since most tests are not about threads. */
export function startDaemon({
  args,
  env = {},
  address = loopbackAddress(),
  stdio = ['ignore', 'pipe', 'pipe'],
  through = [],
}: DaemonOptions): Daemon {
  const place = ['--bind-address', address, '--http-port', `${HTTP_PORT}`, '--status-port', `${STATUS_PORT}`];
  const threads = args.includes('--workers') ? [] : ['--workers', '1'];
  // Without TLS unless a test is about it: hosts with TLS are served over http then, too.
  const tls = args.includes('--https-port') ? [] : ['--https-port', '0'];
  const admin = args.includes('--admin-address') ? [] : ['--admin-address', 'off'];
  const flags = [...place, ...threads, ...tls, ...admin, ...args];
  const [command = '', ...rest] = [...through, process.execPath, ...NODE_FLAGS, MAIN, 'run', ...flags];
  const child = spawn(command, rest, { env: environment(env), stdio });
  const { output, line, exited } = observe(child);

  const daemon: Daemon = {
    address,
    pid: child.pid ?? 0,
    output,
    line,
    async ready() {
      await eventually(async () => (await daemon.status('/readyz')).status === 200, exited);
    },
    connect: () => rawClient(HTTP_PORT, address),
    async request(host, path = '/', { method = 'GET', fields = [], body = '' } = {}) {
      using client = await daemon.connect();
      const length = body === '' ? [] : [`Content-Length: ${body.length}`];
      client.send(
        [
          `${method} ${path} HTTP/1.1`,
          `Host: ${host}`,
          'Connection: close',
          ...length,
          ...fields,
          '',
          body,
        ].join('\r\n'),
      );
      return await client.message({ toHead: method === 'HEAD' });
    },
    async status(path) {
      // Asked again and again while something is waited for; fetch would take twice the time.
      using client = await rawClient(STATUS_PORT, address);
      client.send(`GET ${path} HTTP/1.1\r\nHost: ${address}:${STATUS_PORT}\r\nConnection: close\r\n\r\n`);
      const { status, body } = await client.message();
      return { status, body: Buffer.from(body, 'latin1').toString() };
    },
    async metric(sample) {
      const { body } = await daemon.status('/metrics');
      const found = body.split('\n').find((text) => text.startsWith(`${sample} `));
      return Number(found?.slice(sample.length + 1) ?? 0);
    },
    metricBecomes: (sample, value) =>
      eventually(async () => (await daemon.metric(sample)) === value, exited, METRICS_EVERY_MS),
    signal: (signal) => void child.kill(signal),
    exited,
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      return await exited;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
  return daemon;
}

export interface Finished {
  readonly code: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** A command that runs the rest of its line, such as `setpriv`. */
  readonly through?: readonly string[];
  /** What it reads from standard input; nothing if it is not given. */
  readonly input?: string;
}

/** Runs `portico` with these arguments to its end. */
export async function runPortico(
  args: readonly string[],
  { env = {}, through = [], input }: RunOptions = {},
): Promise<Finished> {
  const [command = '', ...rest] = [...through, process.execPath, ...NODE_FLAGS, MAIN, ...args];
  const stdin = input === undefined ? 'ignore' : 'pipe';
  const child = spawn(command, rest, { env: environment(env), stdio: [stdin, 'pipe', 'pipe'] });
  child.stdin?.end(input);
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => (written[name] += text));
  }
  const { exited } = observe(child);
  return { code: await exited, ...written };
}

/** Asks again until the answer is yes; a refused connection is a no. Fails when what is asked ends, or in the end. */
export async function eventually(
  ask: () => Promise<boolean>,
  over: Promise<unknown> = new Promise(() => {}),
  everyMs = ASK_EVERY_MS,
): Promise<void> {
  let ended = false;
  void over.then(() => (ended = true));
  await until(
    async () => {
      const met = await ask().catch(() => false);
      if (!met && ended) throw new Error(`ended before ${ask.toString()}`);
      return met;
    },
    ask.toString(),
    everyMs,
  );
}

/** Nothing of the machine that runs the tests decides what is served. */
export function environment(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(?:PORTICO_|KUBE|OTEL_)/.test(name) && name !== 'HOME',
  );
  return { ...Object.fromEntries(inherited), HOME: '/nonexistent', ...more };
}

function observe(child: ChildProcess): Pick<Daemon, 'output' | 'line' | 'exited'> {
  const kill = (): void => void child.kill('SIGKILL');
  // The test process may be ended while a test is under way.
  process.on('exit', kill);
  let output = '';
  const looks = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      for (const look of looks) look();
    });
  }
  const exited = once(child, 'close').then(([code, signal]: (number | NodeJS.Signals | null)[]) => {
    process.off('exit', kill);
    return code ?? signal ?? 0;
  });
  return {
    output: () => output,
    exited,
    line: (pattern, offset = 0) => {
      const said = new Promise<string>((resolve, reject) => {
        const look = (): void => {
          const lines = output.slice(offset).split('\n').slice(0, -1);
          const found = lines.find((text) => pattern.test(text));
          if (found === undefined) return;
          looks.delete(look);
          resolve(found);
        };
        looks.add(look);
        void exited.then((code) =>
          reject(new Error(`ended with ${code} without saying ${String(pattern)}:\n${output}`)),
        );
        look();
      });
      return soon(said, () => `${String(pattern)} in the output:\n${output}`);
    },
  };
}
