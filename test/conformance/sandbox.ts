import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { buildBinaries, whatIsMissing } from './binaries.ts';

const VARIABLE = 'PORTICO_CLUSTER_BINARIES';

/**
 * The folder of the binaries where this process is in the sandbox already; null otherwise. Commands that it starts are
 * not told.
 */
export function binariesOfSandbox(): string | null {
  const binaries = process.env[VARIABLE] ?? null;
  delete process.env[VARIABLE];
  return binaries;
}

/**
 * Runs this program again, with the same arguments, in a network namespace of its own, which no packet leaves; gives its
 * exit code, or `skipped` where this machine lacks something for that, which it names.
 */
export async function enterSandbox(skipped: number): Promise<number> {
  const missing = whatIsMissing();
  if (missing !== null) {
    process.stdout.write(`skipped: ${missing}\n`);
    return skipped;
  }
  const program = [process.execPath, ...process.argv.slice(1)];
  return runCommand('unshare', ['--net', '--map-root-user', '--kill-child=SIGTERM', ...program], {
    ...process.env,
    [VARIABLE]: buildBinaries(),
  });
}

/** Runs a command and gives its exit code. Signals go to the command, and what is here ends after it. */
export async function runCommand(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const child = spawn(file, args, { env, stdio: 'inherit' });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, pass);
  const [code] = (await once(child, 'close')) as [number | null];
  for (const signal of signals) process.off(signal, pass);
  return code ?? 1;
}
