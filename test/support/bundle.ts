import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT, bundle } from '../../scripts/bundle.ts';

const VARIABLE = 'PORTICO_TEST_BUNDLE';

/**
 * The folder with the bundle, as it is in the image; null outside of vitest. Tests start some hundred processes, and one
 * starts from the bundle in half the time that it takes from the source.
 */
export const BUNDLE = process.env[VARIABLE] ?? null;

// A process that does not compile it anew starts in less time. Only what tests start has the cache: a test process would
// write to it what it has compiled itself when it ends, which takes a second and is read by nobody.
if (BUNDLE !== null) process.env['NODE_COMPILE_CACHE'] ??= join(BUNDLE, '../compiled');

/** Builds it, once before all test files, which inherit the environment. */
export default async function setup(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'portico-bundle-'));
  await Promise.all([
    promisify(execFile)(process.execPath, [join(ROOT, 'scripts/build.ts'), join(folder, 'portico')]),
    bundle({
      entryPoints: ['threads-entry.ts', 'relay/memory-entry.ts'].map((file) =>
        join(ROOT, 'test/proxy', file),
      ),
      outdir: join(folder, 'threads'),
      outExtension: { '.js': '.mjs' },
    }),
  ]);
  process.env[VARIABLE] = join(folder, 'portico');
  // Processes that end may still write to the cache.
  return () => rm(folder, { recursive: true, force: true, maxRetries: 10 });
}
