import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { EXIT } from '../config/exit-codes.ts';

/** As in the image. */
const PORTICO = ['/usr/local/bin/node', '/portico/portico.js'];

/**
 * Runs the same command in a Pod with `kubectl exec`, where it asks the Portico there. `args` are those of the command
 * line after `portico`, without `--from`. Resolves with the exit code of kubectl.
 */
export async function runInPod(namespace: string, name: string, args: readonly string[]): Promise<number> {
  const terminal = process.stdin.isTTY && process.stdout.isTTY ? ['--stdin', '--tty'] : [];
  const exec = ['exec', ...terminal, '--namespace', namespace, name, '--', ...PORTICO, ...args];
  const kubectl = spawn('kubectl', exec, { stdio: 'inherit' });
  // Ctrl-C is for the command in the Pod.
  const ignore = (): void => {};
  process.on('SIGINT', ignore);
  try {
    const [code] = (await once(kubectl, 'close')) as [number | null];
    return code ?? EXIT.unavailable;
  } catch (error) {
    console.error(`portico: kubectl cannot be started: ${(error as Error).message}`);
    return EXIT.unavailable;
  } finally {
    process.off('SIGINT', ignore);
  }
}

/** The arguments without `--from` and its value. */
export function withoutFrom(args: readonly string[]): string[] {
  const at = args.indexOf('--from');
  const left = at < 0 ? args : args.toSpliced(at, 2);
  return left.filter((arg) => !arg.startsWith('--from='));
}
