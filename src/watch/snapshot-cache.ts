import type { Clock } from '../kubernetes/clock.ts';
import type { Log } from '../kubernetes/log.ts';
import { type SavedSnapshot, readSnapshotFile, removeStrays } from './snapshot-file.ts';
import { startSnapshotWriter } from './snapshot-writer.ts';
import type { Source, SourceEvent } from './source.ts';

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
 * in one step, and the file is never asked again.
 */
export function startSnapshotCache(
  options: SnapshotCacheOptions,
  open: (onDirty: (what: SourceEvent) => void, onUnreachable: () => void) => Source,
  onDirty: (what: SourceEvent) => void,
): Source {
  const { path, server, wanted, clock, log } = options;
  const synced = Promise.withResolvers<void>();
  let stage: Stage = { at: 'waiting' };
  let asked = false;
  let stopped = false;

  const restore = async (): Promise<void> => {
    if (asked || stage.at !== 'waiting') return;
    asked = true;
    const outcome = await readSnapshotFile(path, server, wanted);
    if (stage.at !== 'waiting' || stopped) return;
    switch (outcome.kind) {
      case 'absent':
        return log('info', `there is no ${path} yet: serving starts when the API server answers`);
      case 'unusable':
        return log('warn', `--snapshot-file ${path} ${outcome.reason}; it is ignored`);
      case 'read': {
        stage = { at: 'cached', saved: outcome };
        const keys = outcome.withSecrets ? '' : '; it has no keys, so TLS hosts get the default certificate';
        const saved = new Date(outcome.savedAt).toISOString();
        log('warn', `the API server does not answer yet: serving from ${path} of ${saved}${keys}`);
        return synced.resolve();
      }
    }
  };

  const live = open(
    (what) => {
      becomeLive();
      file.changed();
      onDirty(what);
    },
    () => void restore(),
  );
  const file = startSnapshotWriter(options, () => live.snapshot());
  const cancelGrace = clock.setTimeout(() => void restore(), GRACE_MS);
  void removeStrays(path, clock.wallMs());

  const becomeLive = (): void => {
    if (stage.at === 'live') return;
    stage = { at: 'live' };
    cancelGrace();
    synced.resolve();
    file.changed();
  };
  void live.synced.then(becomeLive);

  return {
    ...live,
    synced: synced.promise,
    snapshot: () => (stage.at === 'cached' ? stage.saved.snapshot : live.snapshot()),
    states: () =>
      live.states().map((state) => {
        if (stage.at !== 'cached') return state;
        return { ...state, lastEventAt: state.lastEventAt ?? stage.saved.savedAt };
      }),
    cached: () => (stage.at === 'cached' ? { path, savedAt: stage.saved.savedAt } : null),
    async stop() {
      stopped = true;
      cancelGrace();
      await file.stop();
      await live.stop();
    },
  };
}
