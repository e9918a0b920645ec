import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const ROOT = join(import.meta.dirname, '../..');
const VARIABLE = 'PORTICO_TEST_BUNDLE';

/**
 * The folder with the bundle, as it is in the image; null outside of vitest. Tests start some hundred processes, and one
 * starts from the bundle in half the time that it takes from the source.
 */
export const BUNDLE = process.env[VARIABLE] ?? null;

/** Builds it, once before all test files, which inherit the environment. */
export default async function setup(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'portico-bundle-'));
  await Promise.all([
    promisify(execFile)(process.execPath, [join(ROOT, 'scripts/build.ts'), join(folder, 'portico')]),
    build({
      entryPoints: [join(ROOT, 'test/proxy/threads-entry.ts')],
      outdir: join(folder, 'threads'),
      bundle: true,
      splitting: true,
      platform: 'node',
      format: 'esm',
      target: 'node24',
      outExtension: { '.js': '.mjs' },
      banner: {
        js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
      },
      logLevel: 'warning',
    }),
  ]);
  process.env[VARIABLE] = join(folder, 'portico');
  return () => rm(folder, { recursive: true, force: true });
}
