import { mkdtempSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** A folder of manifests, gone when it is disposed. */
export interface Folder extends AsyncDisposable {
  readonly path: string;
  /** Writes or replaces a file as a whole: nobody sees half of it. */
  put(name: string, text: string): Promise<void>;
  remove(name: string): Promise<void>;
}

export function createFolder(): Folder {
  const path = mkdtempSync(join(tmpdir(), 'portico-e2e-'));
  return {
    path,
    async put(name, text) {
      // A dot file is no manifest.
      const half = join(path, `.half-of-${name.replaceAll('/', '-')}`);
      await mkdir(dirname(join(path, name)), { recursive: true });
      await writeFile(half, text);
      await rename(half, join(path, name));
    },
    remove: (name) => rm(join(path, name)),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}
