import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installed } from './installed-proxies.ts';

/** A proxy to measure: how it is started in front of one upstream, on one core. */
export interface Subject {
  readonly name: string;
  /** Null when it is not installed; then `missing` says which package has it. */
  readonly command: (ports: Ports) => readonly string[];
  readonly missing: () => string | null;
}

export interface Ports {
  readonly proxy: number;
  readonly upstream: number;
}

export interface Running {
  readonly pid: number;
  stop(): Promise<void>;
}

/** `BENCH_CADDY` names another one than that of `npm run bench:install`, which goes before Debian's. */
export const CADDY = process.env['BENCH_CADDY'] ?? installed('caddy') ?? 'caddy';

export const PROXY_CORE = '0';
export const LOAD_CORE = '1';

/** Of the benchmark's own files. */
export const folder = mkdtempSync(join(tmpdir(), 'portico-bench-'));
const root = new URL('..', import.meta.url).pathname;

/** The environment that the image sets. */
export const IMAGE_ENVIRONMENT = Object.fromEntries(
  readFileSync(join(root, 'Dockerfile'), 'utf8')
    .matchAll(/^ENV (\w+)=(\S+)$/gm)
    .map(([, name = '', value = '']) => [name, value]),
);

/** Portico as the image runs it: the bundle, with the flags of the Dockerfile's ENTRYPOINT. */
export function porticoCommand(): readonly string[] {
  const bundle = join(folder, 'bundle');
  if (!existsSync(bundle)) execFileSync(process.execPath, [join(root, 'scripts/build.ts'), bundle]);
  const [, entrypoint = '[]'] =
    /^ENTRYPOINT (\[.*\])$/m.exec(readFileSync(join(root, 'Dockerfile'), 'utf8')) ?? [];
  const [, ...flags] = JSON.parse(entrypoint) as string[];
  return [process.execPath, ...flags.slice(0, -1), join(bundle, 'portico.js')];
}

/** Starts a subject pinned to its core; resolves when its port answers. */
export async function start(subject: Subject, ports: Ports): Promise<Running> {
  return launch(subject.name, subject.command(ports), [ports.proxy]);
}

/** Starts a proxy on a core, or on several such as `0,1`; resolves when all of its ports answer. */
export async function launch(
  name: string,
  command: readonly string[],
  ports: readonly number[],
  cores = PROXY_CORE,
): Promise<Running> {
  // Otherwise what is left of an earlier run would be measured.
  for (const port of ports)
    if (await answers(port)) throw new Error(`${name}: something else listens on ${port}`);
  const child = spawn('taskset', ['-c', cores, ...command], {
    stdio: ['ignore', 'ignore', 'pipe'],
    // In a process group of its own, which ends as a whole: nginx leaves its workers behind.
    detached: true,
    env: {
      ...process.env,
      ...IMAGE_ENVIRONMENT,
      HOME: folder,
      XDG_CONFIG_HOME: folder,
      XDG_DATA_HOME: folder,
    },
  });
  endWithThis(child);
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-2000)));
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`${name} ended at start: ${stderr}`);
    const answer = await Promise.all(ports.map(answers));
    if (answer.every(Boolean)) return { pid: child.pid ?? 0, stop: () => stop(child) };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await stop(child);
  throw new Error(`${name} did not listen on ${ports.join(' and ')}: ${stderr}`);
}

const children = new Set<ChildProcess>();
process.on('exit', () => children.forEach(kill));

function kill(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

/** Whatever goes wrong, it does not outlive the benchmark. */
export function endWithThis(child: ChildProcess): void {
  children.add(child);
  child.once('exit', () => children.delete(child));
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await ended;
  clearTimeout(timer);
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** What to say when a program is not installed; null when it is. */
export function missingProgram(program: string, debianPackage: string): string | null {
  try {
    execFileSync('which', [program]);
    return null;
  } catch {
    return `${program} is not installed (Debian: apt-get install ${debianPackage})`;
  }
}

/** A file of the benchmark's own folder. */
export function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** The load is this process: it moves to its core. */
export function pinSelf(): void {
  spawn('taskset', ['-a', '-p', '-c', LOAD_CORE, `${process.pid}`], { stdio: 'ignore' });
}
