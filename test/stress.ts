/**
 * `npm run test:stress`: runs the tests several times while every core is busy. A test that needs luck fails here.
 *
 *     npm run test:stress -- [--rounds 3] [--copies 1] [--hogs 4] [--minutes 60] [test files or folders]
 *
 * Each round runs `copies` of the suite side by side, beside threads that spin. Ends with 1 after the round in which
 * something failed, or after `minutes`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';

const ROOT = join(import.meta.dirname, '..');
/** Of one test. What needs a second on a quiet machine may need a minute here. */
const TIMEOUT_MS = 240_000;

const { values, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    copies: { type: 'string', default: '1' },
    hogs: { type: 'string', default: `${2 * availableParallelism()}` },
    minutes: { type: 'string', default: '60' },
  },
});
const [rounds, copies, hogs, minutes] = (['rounds', 'copies', 'hogs', 'minutes'] as const).map((name) => {
  const count = Number(values[name]);
  if (Number.isInteger(count) && count >= (name === 'hogs' ? 0 : 1)) return count;
  console.error(`test:stress: --${name}: '${values[name]}' is not a positive whole number`);
  return process.exit(64);
}) as [number, number, number, number];

const folder = await mkdtemp(join(tmpdir(), 'portico-stress-'));
const over = AbortSignal.timeout(minutes * 60_000);

// Threads, not processes: they end with this process, however it ends.
const spinning = Array.from({ length: hogs }, () => new Worker('for (;;) {}', { eval: true }));
console.log(`${spinning.length} threads spin`);

/** Runs the tests once; answers the file with their output when something failed. */
async function run(name: string): Promise<string | null> {
  const log = join(folder, `${name}.log`);
  const env = {
    ...process.env,
    NO_COLOR: '1',
    PORTICO_TEST_TIMEOUT_MS: `${TIMEOUT_MS}`,
    PORTICO_TEST_EXAMPLES: '4',
  };
  const vitest = join(ROOT, 'node_modules/.bin/vitest');
  const child = spawn(vitest, ['run', ...files], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: over,
  });
  const output = createWriteStream(log);
  child.stdout.pipe(output, { end: false });
  child.stderr.pipe(output, { end: false });
  const code = await once(child, 'close').then(
    ([code]) => code as number | null,
    () => null,
  );
  output.end();
  return code === 0 ? null : log;
}

let failed = false;
for (let round = 1; round <= rounds && !failed && !over.aborted; round++) {
  const startedAt = performance.now();
  const names = Array.from({ length: copies }, (_, copy) => `round-${round}-copy-${copy + 1}`);
  const logs = (await Promise.all(names.map(run))).filter((log) => log !== null);
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  console.log(`round ${round} of ${rounds}: ${copies - logs.length} of ${copies} clean, ${seconds} s`);
  for (const log of logs) {
    const lines = (await readFile(log, 'utf8')).split('\n');
    console.log([`${log}:`, ...new Set(lines.filter((line) => /^\s*FAIL |Error: /.test(line)))].join('\n  '));
  }
  failed = logs.length > 0;
}
if (over.aborted) console.error(`test:stress: not done after ${minutes} minutes`);
process.exit(failed || over.aborted ? 1 : 0);
