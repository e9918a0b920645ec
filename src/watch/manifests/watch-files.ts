import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';

/** Tells of changes in a set of folders that may come and go. */
export interface FolderWatch {
  /**
   * Watches exactly these folders from now on; a folder that was replaced by another of the same name is watched again.
   * Resolves to whether some were not watched before, so that what happened in them until now has not been told.
   */
  follow(folders: Iterable<string>): Promise<boolean>;
  close(): void;
}

/**
 * Folders are watched rather than files, because editors replace files and a mounted ConfigMap swaps a link. Where
 * the system cannot watch (no inotify left, a network file system) there is no notification: callers must also poll.
 */
export function watchFolders(onChange: () => void): FolderWatch {
  const watchers = new Map<string, { readonly identity: string; readonly watcher: FSWatcher }>();
  let closed = false;

  const drop = (folder: string) => {
    watchers.get(folder)?.watcher.close();
    watchers.delete(folder);
  };
  const add = (folder: string, identity: string) => {
    try {
      const watcher = watch(folder, { persistent: false }, onChange);
      watchers.set(folder, { identity, watcher });
      watcher.on('error', () => drop(folder));
    } catch {
      // The poll sees what this watcher would have.
    }
  };
  return {
    async follow(folders) {
      const wanted = new Map<string, string>();
      for (const folder of new Set([...folders].map((folder) => resolve(folder)))) {
        const stats = await stat(folder).catch(() => null);
        if (stats?.isDirectory()) wanted.set(folder, `${stats.dev}:${stats.ino}`);
      }
      if (closed) return false;
      for (const [folder, { identity }] of watchers) if (wanted.get(folder) !== identity) drop(folder);
      const fresh = [...wanted].filter(([folder]) => !watchers.has(folder));
      for (const [folder, identity] of fresh) add(folder, identity);
      return fresh.length > 0;
    },
    close() {
      closed = true;
      for (const folder of watchers.keys()) drop(folder);
    },
  };
}
