import type { Problem } from '../model/problem.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Clock } from '../kubernetes/clock.ts';
import type { Log } from '../kubernetes/log.ts';
import { type SavedSnapshot, readSnapshotFile, removeStrays } from './snapshot-file.ts';
import { SnapshotWriter } from './snapshot-writer.ts';
import type { CachedSnapshot, Source, SourceEvent, WatchState } from './source.ts';

export interface SnapshotCacheOptions {
  readonly path: string;
  readonly withSecrets: boolean;
  /** Whose objects these are: a file of another API server is not used. */
  readonly server: string;
  readonly wanted: (namespace: string) => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** How long the API server is waited for before the file speaks in its place. One that refuses is not waited for. */
const GRACE_MS = 1_000;

type Stage =
  | { readonly at: 'waiting' }
  | { readonly at: 'cached'; readonly saved: SavedSnapshot }
  | { readonly at: 'live' };

/**
 * A cluster that is remembered in a file: what it said is written down after changes, and when the API server is
 * away at start the file speaks in its place. As soon as everything has been listed the cluster speaks for itself,
 * in one step, and the file is never read again.
 */
export class SnapshotCache implements Source {
  readonly synced: Promise<void>;

  readonly #options: SnapshotCacheOptions;
  readonly #live: Source;
  readonly #file: SnapshotWriter;
  readonly #resolveSynced: () => void;
  readonly #cancelGrace: () => void;
  #stage: Stage = { at: 'waiting' };
  #restored = false;
  #stopped = false;

  constructor(
    options: SnapshotCacheOptions,
    open: (onDirty: (what: SourceEvent) => void, onUnreachable: () => void) => Source,
    onDirty: (what: SourceEvent) => void,
  ) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#resolveSynced = resolve;
    this.#options = options;
    this.#live = open(
      (what) => {
        this.#becomeLive();
        this.#file.changed();
        onDirty(what);
      },
      () => void this.#restore(),
    );
    this.#file = new SnapshotWriter(options, () => this.#live.snapshot());
    this.#cancelGrace = options.clock.setTimeout(() => void this.#restore(), GRACE_MS);
    void removeStrays(options.path, options.clock.wallMs());
    void this.#live.synced.then(() => this.#becomeLive());
  }

  snapshot(): Snapshot {
    return this.#stage.at === 'cached' ? this.#stage.saved.snapshot : this.#live.snapshot();
  }

  problems(): readonly Problem[] {
    return this.#live.problems();
  }

  states(): readonly WatchState[] {
    const stage = this.#stage;
    if (stage.at !== 'cached') return this.#live.states();
    return this.#live
      .states()
      .map((state) => ({ ...state, lastEventAt: state.lastEventAt ?? stage.saved.savedAt }));
  }

  cached(): CachedSnapshot | null {
    if (this.#stage.at !== 'cached') return null;
    return { path: this.#options.path, savedAt: this.#stage.saved.savedAt };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelGrace();
    await this.#file.stop();
    await this.#live.stop();
  }

  #becomeLive(): void {
    if (this.#stage.at === 'live') return;
    this.#stage = { at: 'live' };
    this.#cancelGrace();
    this.#resolveSynced();
    this.#file.changed();
  }

  async #restore(): Promise<void> {
    if (this.#restored || this.#isLive()) return;
    this.#restored = true;
    const { path, server, wanted, log } = this.#options;
    const outcome = await readSnapshotFile(path, server, wanted);
    if (this.#isLive() || this.#stopped) return;
    switch (outcome.kind) {
      case 'absent':
        return log('info', `there is no ${path} yet: serving starts when the API server answers`);
      case 'unusable':
        return log('warn', `--snapshot-file ${path} ${outcome.reason}; it is ignored`);
      case 'read': {
        this.#stage = { at: 'cached', saved: outcome };
        const keys = outcome.withSecrets ? '' : '; it has no keys, so TLS hosts get the default certificate';
        const saved = new Date(outcome.savedAt).toISOString();
        log('warn', `the API server does not answer yet: serving from ${path} of ${saved}${keys}`);
        return this.#resolveSynced();
      }
    }
  }

  #isLive(): boolean {
    return this.#stage.at === 'live';
  }
}
