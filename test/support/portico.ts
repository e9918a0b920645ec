import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { BUNDLE } from './bundle.ts';
import { environment } from './daemon.ts';
import { happens } from './until.ts';

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Surroundings {
  /** What it reads from standard input. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A command line for the thread. */
export interface CommandLine {
  readonly args: readonly string[];
  readonly input: string;
  readonly env: NodeJS.ProcessEnv;
}

/** One for all test files of this process: it starts when a command is first run. */
let thread: Worker | null = null;
/** The commands before the next one, each of which has the environment and the output for itself. */
let before: Promise<unknown> = Promise.resolve();

/**
 * Runs a command of Portico to its end, from its arguments to its exit code, in a thread that has loaded the program
 * already: a process of its own takes ten times as long. What only a process has, such as pipes, signals and ports, is
 * a matter for `runPortico`.
 */
export function portico(
  args: readonly string[],
  { input = '', env = {} }: Surroundings = {},
): Promise<Finished> {
  const run = async (): Promise<Finished> => {
    thread ??= startThread();
    thread.postMessage({ args, input, env: environment(env) } satisfies CommandLine);
    const [finished] = (await happens(thread, 'message')) as [Finished];
    return finished;
  };
  const result = before.then(run);
  before = result.catch(() => {
    void thread?.terminate();
    thread = null;
  });
  return result;
}

function startThread(): Worker {
  const started = new Worker(new URL('portico-thread.ts', import.meta.url), { workerData: programModule() });
  // It does not keep the process of the tests.
  started.unref();
  return started;
}

/** The module of the command line in the bundle, or in the source. */
function programModule(): string {
  if (BUNDLE === null) return new URL('../../src/cli/program.ts', import.meta.url).href;
  const chunks = join(BUNDLE, 'chunks');
  const name = readdirSync(chunks).find((file) => file.startsWith('program-'));
  return pathToFileURL(join(chunks, `${name}`)).href;
}
