import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

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
  await promisify(execFile)(process.execPath, [join(ROOT, 'scripts/build.ts'), folder]);
  process.env[VARIABLE] = folder;
  return () => rm(folder, { recursive: true, force: true });
}
