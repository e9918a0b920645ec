/**
 * `npm test`: the checks of the source and the tests, each to its end; then what the tests saw Portico ask of API
 * servers is compared with what deploy/ grants. The last line is `N passed, N failed`, where a check counts like a
 * test; the exit code is 1 when something failed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deployManifests, variantManifests } from './deploy/manifests.ts';
import { RECORD_VARIABLE } from './support/api-calls.ts';
import { differences, grantsTo, rightsOf } from './support/rights.ts';

const ROOT = join(import.meta.dirname, '..');
const BIN = join(ROOT, 'node_modules/.bin');

type Check = readonly [name: string, program: string, ...args: readonly string[]];

const CHECKS: readonly Check[] = [
  ['types', 'tsc', '--noEmit'],
  ['lint', 'oxlint', '--deny-warnings'],
  ['format', 'oxfmt', '--check', '.'],
];

/** The part of vitest's JSON report that is read. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly unknown[];
  }[];
}

/** The exit code. */
async function run(program: string, args: readonly string[]): Promise<number> {
  const child = spawn(join(BIN, program), args, { cwd: ROOT, stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

/** The exit code, and all that it wrote. */
async function runQuietly(program: string, args: readonly string[]): Promise<[code: number, output: string]> {
  const child = spawn(join(BIN, program), args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return [code ?? 1, output];
}

let passed = 0;
const failed: string[] = [];

/** Runs a check; what it resolves with says how it went. */
async function check([name, program, ...args]: Check): Promise<() => void> {
  const [code, output] = await runQuietly(program, args);
  return () => {
    console.log(`\n${name}: ${[program, ...args].join(' ')}\n${output}`);
    if (code === 0) passed++;
    else failed.push(name);
  };
}

for (const say of await Promise.all(CHECKS.map(check))) say();

const folder = await mkdtemp(join(tmpdir(), 'portico-test-'));
const calls = join(folder, 'api-calls');
process.env[RECORD_VARIABLE] = calls;
try {
  const report = join(folder, 'report.json');
  console.log('\ntests: vitest run');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile=${report}`];
  const code = await run('vitest', ['run', ...reporters, ...process.argv.slice(2)]);
  const text = await readFile(report, 'utf8').catch(() => null);
  const counted = text === null ? null : count(JSON.parse(text) as Report);
  passed += counted?.passed ?? 0;
  for (let i = 0; i < (counted?.failed ?? 0); i++) failed.push('test');
  // An error outside of every test fails the run although no test did.
  if (code !== 0 && (counted?.failed ?? 0) === 0) failed.push('vitest');

  console.log('\nrights: what the tests asked of API servers, and deploy/rbac.yaml');
  const asked = await readFile(calls, 'utf8').catch(() => '');
  const wrong = rights(asked.split('\n').filter(Boolean), process.argv.length === 2);
  for (const line of wrong) console.log(line);
  if (wrong.length === 0) passed++;
  else failed.push('rights');
} finally {
  await rm(folder, { recursive: true, force: true });
}

const besides = failed.filter((name) => name !== 'test');
if (besides.length > 0) console.log(`failed besides tests: ${besides.join(', ')}`);
console.log(`${passed} passed, ${failed.length} failed`);
process.exitCode = failed.length === 0 ? 0 : 1;

/** Some of the tests do not ask for everything. */
function rights(asked: readonly string[], everything: boolean): readonly string[] {
  const install = deployManifests().map(({ object }) => object);
  const configMaps = variantManifests('configmaps.yaml').map(({ object }) => object);
  const services = variantManifests('gateway-services.yaml').map(({ object }) => object);
  const cleanup = variantManifests('cleanup.yaml').map(({ object }) => object);
  const granted = rightsOf([
    ...grantsTo('portico', [...install, ...configMaps, ...services]),
    ...grantsTo('portico-cleanup', cleanup),
  ]);
  const found = differences([...new Set(asked)], granted);
  return everything ? found : found.filter((line) => line.startsWith('asked'));
}

/** A file that failed before its first test counts as one that failed. */
function count({ numPassedTests, numFailedTests, testResults }: Report): { passed: number; failed: number } {
  const broken = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  return { passed: numPassedTests, failed: numFailedTests + broken.length };
}
