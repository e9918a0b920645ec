import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpuMs } from './process-figures.ts';

/** `_SC_CLK_TCK` of Linux. */
const TICK_MS = 10;
/** Of a core: what others may use on a machine that counts as quiet. */
const QUIET = 0.1;

/** How much of the machine other programs use, from the moment it is made. */
export class OtherLoad {
  readonly #startedAt = performance.now();
  readonly #othersMs = othersMs();

  /** Cores that others used, on average. */
  cores(): number {
    return Math.max(0, (othersMs() - this.#othersMs) / (performance.now() - this.#startedAt));
  }
}

export function isQuiet(cores: number): boolean {
  return cores < QUIET;
}

/** CPU time of all that is not this process or a descendant; what a hypervisor took away counts, interrupts do not. */
function othersMs(): number {
  const [, user = 0, nice = 0, system = 0, , , , , steal = 0] = readFileSync('/proc/stat', 'latin1')
    .split('\n', 1)[0]!
    .split(/\s+/)
    .map(Number);
  return (user + nice + system + steal) * TICK_MS - cpuMs(process.pid) - endedChildrenMs();
}

/** CPU time of children that have ended. */
function endedChildrenMs(): number {
  const [, afterName = ''] = readFileSync('/proc/self/stat', 'latin1').split(') ');
  const fields = afterName.split(' ').map(Number);
  // `cutime` and `cstime`, the 16th and 17th field of proc_pid_stat(5); the third is the first here.
  return ((fields[13] ?? 0) + (fields[14] ?? 0)) * TICK_MS;
}

/** The commit that is checked out; with a `+` if files differ from it. */
export function checkedOut(): string {
  const git = (...args: readonly string[]): string =>
    execFileSync('git', args, { cwd: new URL('..', import.meta.url), encoding: 'utf8' }).trim();
  return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+');
}
