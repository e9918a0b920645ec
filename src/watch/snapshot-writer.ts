import type { Snapshot } from '../model/snapshot.ts';
import type { Clock } from '../kubernetes/clock.ts';
import type { Log } from '../kubernetes/log.ts';
import { writeSnapshotFile } from './snapshot-file.ts';

export interface SnapshotWriterOptions {
  readonly path: string;
  readonly withSecrets: boolean;
  readonly server: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Writes the newest snapshot to a file, now and then. */
export interface SnapshotWriter {
  /** The snapshot is another one. */
  changed(): void;
  /** Writes what is not written yet, and nothing after that. */
  stop(): Promise<void>;
}

/** Changes come in company: the file is written a little after the first. */
const QUIET_MS = 1_000;
const MIN_INTERVAL_MS = 5_000;
/** Writing a large snapshot takes at most one part of so many of the time. */
const PARTS_OF_TIME = 20;
const RETRY_MS = 30_000;

/** A disk that is full or gone is said once; it is tried again, and serving never waits for it. */
export function startSnapshotWriter(
  { path, withSecrets, server, clock, log }: SnapshotWriterOptions,
  latest: () => Snapshot,
): SnapshotWriter {
  let written: Snapshot | null = null;
  let changedOnce = false;
  let notBefore = 0;
  let failing = false;
  let stopped = false;
  let cancel: (() => void) | null = null;
  let writing: Promise<void> | null = null;

  const write = async (): Promise<void> => {
    const snapshot = latest();
    const startedAt = clock.wallMs();
    try {
      await writeSnapshotFile(path, server, { snapshot, savedAt: startedAt, withSecrets });
      written = snapshot;
      if (failing) log('info', `--snapshot-file ${path}: written again`);
      failing = false;
      const tookMs = clock.wallMs() - startedAt;
      notBefore = clock.wallMs() + Math.max(MIN_INTERVAL_MS, tookMs * (PARTS_OF_TIME - 1));
    } catch (error) {
      if (!failing) log('warn', `--snapshot-file ${path}: ${explain(error as NodeJS.ErrnoException)}`);
      failing = true;
      notBefore = clock.wallMs() + RETRY_MS;
    }
  };
  const schedule = (): void => {
    if (stopped || cancel || writing || !changedOnce || latest() === written) return;
    cancel = clock.setTimeout(
      () => {
        cancel = null;
        writing = write().finally(() => {
          writing = null;
          schedule();
        });
      },
      Math.max(QUIET_MS, notBefore - clock.wallMs()),
    );
  };
  return {
    changed() {
      changedOnce = true;
      schedule();
    },
    async stop() {
      stopped = true;
      cancel?.();
      await writing;
      // One that failed is tried once more: the next start is what the file is for.
      if (changedOnce && latest() !== written) await write();
    },
  };
}

function explain({ code, message }: NodeJS.ErrnoException): string {
  return `cannot be written (${message}); serving continues, the old file stays, next try in ${RETRY_MS / 1000} s. To fix it: ${remedy(code)}`;
}

function remedy(code: string | undefined): string {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'free space on its volume for two such files';
    case 'EFBIG':
      return 'allow this process to write larger files (ulimit -f)';
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'allow this user to create files in its folder';
    case 'ENOENT':
    case 'ENOTDIR':
      return 'create its folder, or mount it';
    default:
      return 'check its volume';
  }
}
