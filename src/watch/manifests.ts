import { setTimeout as delay } from 'node:timers/promises';
import { resolve } from 'node:path';
import picomatch from 'picomatch';
import type { Kind } from '../model/objects.ts';
import { COLLECTIONS, EMPTY_SNAPSHOT, KINDS, type Snapshot, objectCounts } from '../model/snapshot.ts';
import { type Collection, type ManifestSet, collect } from './manifests/collect.ts';
import { type Root, STDIN_NAME, foldersOf, strangeness } from './manifests/files.ts';
import { NOTHING_READ, type Reading, findRoots, readRoots, signatureOf } from './manifests/read.ts';
import { type FolderWatch, watchFolders } from './manifests/watch-files.ts';
import type { SourceLocation } from '../model/format-problem.ts';
import type { Problem } from '../model/problem.ts';
import type { Source, SourceEvent, WatchState } from './source.ts';

export type { ManifestSet };

export interface ManifestOptions {
  /** Files, globs, or folders whose `.yaml`, `.yml` and `.json` files are read, as with `kubectl apply -f`. */
  readonly paths: readonly string[];
  /** Read the subfolders of folders too. */
  readonly recursive?: boolean;
  /** Globs of namespaces; none means all. Kinds without a namespace are always read. */
  readonly watchNamespaces?: readonly string[];
}

export interface ManifestSourceOptions extends ManifestOptions {
  readonly log: { info(message: string): void; warn(message: string): void };
  /** How often files are looked at where the system does not tell of changes. */
  readonly pollIntervalMs?: number;
  /** How long files must have been left alone before they are read, so that half a file is not. */
  readonly settleMs?: number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** A file that never stops changing is read all the same. */
const MAX_SETTLE_ROUNDS = 10;

/** What was read once, and what of the paths looks like a mistake. */
export interface ManifestsOnce extends ManifestSet {
  /** Paths without any manifest, one line each. */
  readonly empty: readonly string[];
  /** Paths of which not everything was read, one line each. */
  readonly notes: readonly string[];
}

/**
 * Reads manifests once; the path `-` is standard input. Never rejects for what the files are or contain: that is in the
 * problems.
 */
export async function readManifests(options: ManifestOptions): Promise<ManifestsOnce> {
  const { paths, recursive = false, watchNamespaces = [] } = options;
  const roots = await findRoots(paths, recursive);
  const reading = await readRoots(roots, NOTHING_READ);
  const strange = roots.flatMap((root) => strangeness(root) ?? []);
  const ofStdin = reading.files.get(resolve(STDIN_NAME));
  const stdinIsEmpty = ofStdin?.text?.trim() === '';
  return {
    ...collect(reading, null, namespaceFilter(watchNamespaces)),
    empty: [
      ...strange.filter(({ isEmpty }) => isEmpty).map(({ message }) => message),
      ...(stdinIsEmpty ? ['standard input is empty; did the command before the pipe fail?'] : []),
    ],
    notes: strange.filter(({ isEmpty }) => !isEmpty).map(({ message }) => message),
  };
}

/**
 * Manifest files as a source, read again whenever one of them changes. `onDirty` is called after the first reading
 * and whenever the snapshot or the problems are different ones.
 */
export class ManifestSource implements Source {
  readonly synced: Promise<void>;

  readonly #options: ManifestSourceOptions;
  readonly #settleMs: number;
  readonly #now: () => number;
  readonly #onDirty: (event: SourceEvent) => void;
  readonly #watchesNamespace: (namespace: string) => boolean;
  readonly #folders: FolderWatch;
  readonly #poll: NodeJS.Timeout;
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;
  /** Kinds that the log has said are ignored. */
  readonly #ignored = new Set<string>();
  #reading: Reading = NOTHING_READ;
  #collection: Collection | null = null;
  #readings = 0;
  #failures = 0;
  #lastEventAt: number | null = null;
  /** Whether something may have changed since the files were last looked at. */
  #touched = false;
  #wake: (() => void) | null = null;

  constructor(options: ManifestSourceOptions, onDirty: (event: SourceEvent) => void) {
    const { pollIntervalMs = 2_000, settleMs = 50, now = Date.now, watchNamespaces = [] } = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    const touch = (): void => {
      this.#touched = true;
      this.#wake?.();
    };
    this.synced = promise;
    this.#options = options;
    this.#settleMs = settleMs;
    this.#now = now;
    this.#onDirty = onDirty;
    this.#watchesNamespace = namespaceFilter(watchNamespaces);
    this.#folders = watchFolders(touch);
    this.#poll = setInterval(touch, pollIntervalMs).unref();
    this.#ended = this.#run(resolve);
  }

  snapshot(): Snapshot {
    return this.#collection?.snapshot ?? EMPTY_SNAPSHOT;
  }

  problems(): readonly Problem[] {
    return this.#collection?.problems ?? [];
  }

  /** Where to fix a problem: its field, or the nearest enclosing field. Null for an object that is in no file. */
  locate(problem: Problem): SourceLocation | null {
    return this.#collection?.locate(problem) ?? null;
  }

  states(): readonly WatchState[] {
    const collection = this.#collection;
    const broken = collection?.problems.find(isAboutFile);
    return (Object.entries(objectCounts(this.snapshot())) as [Kind, number][]).map(
      ([kind, objects]): WatchState => ({
        kind,
        synced: collection !== null,
        connected: collection !== null && !broken,
        objects,
        lastEventAt: this.#lastEventAt,
        relists: this.#readings,
        errors: this.#failures,
        lastError: broken ? `${broken.object.name}: ${broken.message}` : null,
      }),
    );
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#poll);
    this.#folders.close();
    this.#wake?.();
    await this.#ended;
  }

  async #run(onRead: () => void): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#touched = false;
      try {
        await this.#reread();
      } catch (cause) {
        if (signal.aborted) break;
        this.#failures++;
        this.#options.log.warn(
          `manifests could not be read; trying again: ${cause instanceof Error ? cause.message : String(cause)}`,
        );
      }
      onRead();
      if (!this.#touched && !signal.aborted) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async #reread(): Promise<void> {
    let roots = await this.#find();
    // A folder that came with another one is found only once that one is watched.
    for (let round = 0; round < MAX_SETTLE_ROUNDS; round++) {
      if (!(await this.#folders.follow(roots.flatMap(foldersOf)))) break;
      roots = await this.#find();
    }
    if (this.#collection) {
      if (signatureOf(roots) === this.#reading.signature) return;
      roots = await this.#settled(roots);
    } else {
      for (const { message } of roots.flatMap((root) => strangeness(root) ?? []))
        this.#options.log.warn(message);
    }
    this.#reading = await readRoots(roots, this.#reading);
    this.#take(collect(this.#reading, this.#collection, this.#watchesNamespace));
  }

  #find(): Promise<readonly Root[]> {
    return findRoots(this.#options.paths, this.#options.recursive ?? false);
  }

  /** The files once they have been left alone for a while. */
  async #settled(roots: readonly Root[]): Promise<readonly Root[]> {
    let last = roots;
    for (let round = 0; round < MAX_SETTLE_ROUNDS; round++) {
      await delay(this.#settleMs, undefined, { signal: this.#stopping.signal });
      const next = await this.#find();
      if (signatureOf(next) === signatureOf(last)) return next;
      last = next;
    }
    return last;
  }

  #take(next: Collection): void {
    const before = this.#collection;
    this.#collection = next;
    this.#readings++;
    if (next.problems.some(isAboutFile)) this.#failures++;
    for (const kind of next.ignored.filter((kind) => !this.#ignored.has(kind))) {
      this.#options.log.info(`manifests contain ${kind}, which Portico does not use; it is ignored`);
      this.#ignored.add(kind);
    }
    const event = before ? difference(before, next) : 'routes';
    if (event === null) return;
    this.#lastEventAt = this.#now();
    this.#onDirty(event);
  }
}

function namespaceFilter(globs: readonly string[]): (namespace: string) => boolean {
  return globs.length === 0 ? () => true : picomatch([...globs]);
}

/** What became dirty between two collections; null when nothing did. */
function difference(before: Collection, after: Collection): SourceEvent | null {
  const [a, b] = [before.snapshot, after.snapshot];
  const isDifferent = (kind: Kind): boolean => a[COLLECTIONS[kind]] !== b[COLLECTIONS[kind]];
  const routes =
    KINDS.some((kind) => kind !== 'EndpointSlice' && isDifferent(kind)) ||
    JSON.stringify(before.problems) !== JSON.stringify(after.problems);
  if (routes) return 'routes';
  return isDifferent('EndpointSlice') ? 'endpoints' : null;
}

function isAboutFile({ object }: Problem): boolean {
  return object.kind === 'File';
}
