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

/** Changes often follow one another closely: the file is written this long after the first. */
const QUIET_MS = 1_000;
const MIN_INTERVAL_MS = 5_000;
/** The interval is this many times what writing took, so that a large snapshot takes at most 1/20 of the time. */
const INTERVAL_FACTOR = 20;
const RETRY_MS = 30_000;

/**
 * Writes the newest snapshot to a file, a little after it changed. A disk that is full or gone is logged once and tried
 * again; serving never waits for it.
 */
export class SnapshotWriter {
  readonly #options: SnapshotWriterOptions;
  readonly #latest: () => Snapshot;
  #written: Snapshot | null = null;
  #changedOnce = false;
  #notBefore = 0;
  #failing = false;
  #stopped = false;
  #cancel: (() => void) | null = null;
  #writing: Promise<void> | null = null;

  constructor(options: SnapshotWriterOptions, latest: () => Snapshot) {
    this.#options = options;
    this.#latest = latest;
  }

  /** The snapshot is another one. */
  changed(): void {
    this.#changedOnce = true;
    this.#schedule();
  }

  /** Writes what is not written yet, and nothing after that. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#writing;
    // One that failed is tried once more: the next start is what the file is for.
    if (this.#isBehind()) await this.#write();
  }

  #isBehind(): boolean {
    return this.#changedOnce && this.#latest() !== this.#written;
  }

  #schedule(): void {
    if (this.#stopped || this.#cancel || this.#writing || !this.#isBehind()) return;
    const { clock } = this.#options;
    const write = (): void => {
      this.#cancel = null;
      this.#writing = this.#write().finally(() => {
        this.#writing = null;
        this.#schedule();
      });
    };
    this.#cancel = clock.setTimeout(write, Math.max(QUIET_MS, this.#notBefore - clock.wallMs()));
  }

  async #write(): Promise<void> {
    const { path, withSecrets, server, clock, log } = this.#options;
    const snapshot = this.#latest();
    const savedAt = clock.wallMs();
    try {
      await writeSnapshotFile(path, server, { snapshot, savedAt, withSecrets });
      this.#written = snapshot;
      if (this.#failing) log('info', `--snapshot-file ${path}: written again`);
      this.#failing = false;
      const tookMs = clock.wallMs() - savedAt;
      this.#notBefore = clock.wallMs() + Math.max(MIN_INTERVAL_MS, tookMs * (INTERVAL_FACTOR - 1));
    } catch (error) {
      if (!this.#failing) log('warn', `--snapshot-file ${path}: ${explain(error as NodeJS.ErrnoException)}`);
      this.#failing = true;
      this.#notBefore = clock.wallMs() + RETRY_MS;
    }
  }
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
