import { lstat, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** What the kernel takes. */
const LONGEST_PATH = 107;

/**
 * Makes room for a socket that is to be listened on: removes the one that an earlier process left, and nothing else. Rejects with
 * what is to be done instead.
 */
export async function clearSocketPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > LONGEST_PATH)
    throw new Error(`the path is too long for a socket; use one of at most ${LONGEST_PATH} bytes`);
  const folder = await stat(dirname(path)).catch(() => null);
  if (!folder?.isDirectory()) throw new Error(`there is no folder ${dirname(path)}; create it`);
  const there = await lstat(path).catch(() => null);
  if (there === null) return;
  if (!there.isSocket()) throw new Error('a file that is not a socket is there; use another path');
  await rm(path, { force: true });
}
