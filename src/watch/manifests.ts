import { setTimeout as delay } from 'node:timers/promises';
import picomatch from 'picomatch';
import type { Kind } from '../model/objects.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../model/snapshot.ts';
import { type Collection, type ManifestSet, collect } from './manifests/collect.ts';
import { type Root, folderOf } from './manifests/files.ts';
import { NOTHING_READ, type Reading, findRoots, readRoots, signatureOf } from './manifests/read.ts';
import { watchFolders } from './manifests/watch-files.ts';
import type { SourceLocation } from '../model/format-problem.ts';
import type { Problem } from '../model/problem.ts';
import type { Source, SourceEvent, WatchState } from './source.ts';

export type { ManifestSet };

export interface ManifestOptions {
  /** Files, or folders whose own `.yaml`, `.yml` and `.json` files are read, as with `kubectl apply -f`. */
  readonly paths: readonly string[];
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

export interface ManifestSource extends Source {
  /** Where to fix a problem: its field, or the nearest enclosing field. Null for an object that is in no file. */
  locate(problem: Problem): SourceLocation | null;
}

/** Reads manifests once. Never rejects for what the files are or contain: that is in the problems. */
export async function readManifests({ paths, watchNamespaces = [] }: ManifestOptions): Promise<ManifestSet> {
  const reading = await readRoots(await findRoots(paths), NOTHING_READ);
  return collect(reading, null, namespaceFilter(watchNamespaces));
}

/**
 * Manifest files as a source, read again whenever one of them changes. `onDirty` is called after the first reading
 * and whenever the snapshot or the problems are different ones.
 */
export function startManifestSource(
  options: ManifestSourceOptions,
  onDirty: (event: SourceEvent) => void,
): ManifestSource {
  const { paths, log, pollIntervalMs = 2_000, settleMs = 50, now = Date.now } = options;
  const watchesNamespace = namespaceFilter(options.watchNamespaces ?? []);
  const synced = Promise.withResolvers<void>();
  const stopping = new AbortController();
  const known = new Set<string>();
  let reading: Reading = NOTHING_READ;
  let collection: Collection | null = null;
  let readings = 0;
  let failures = 0;
  let lastEventAt: number | null = null;

  let touched = false;
  let wake: (() => void) | null = null;
  const touch = () => {
    touched = true;
    wake?.();
  };
  const folders = watchFolders(touch);
  const poll = setInterval(touch, pollIntervalMs).unref();

  const look = async () => {
    let roots = await findRoots(paths);
    if (await folders.follow(roots.map(folderOf))) roots = await findRoots(paths);
    if (collection) {
      if (signatureOf(roots) === reading.signature) return;
      roots = await settled(roots);
    }
    reading = await readRoots(roots, reading);
    take(collect(reading, collection, watchesNamespace));
  };

  const settled = async (roots: readonly Root[]): Promise<readonly Root[]> => {
    let last = roots;
    for (let round = 0; round < MAX_SETTLE_ROUNDS; round++) {
      await delay(settleMs, undefined, { signal: stopping.signal });
      const next = await findRoots(paths);
      if (signatureOf(next) === signatureOf(last)) return next;
      last = next;
    }
    return last;
  };

  const take = (next: Collection) => {
    const before = collection;
    collection = next;
    readings++;
    if (next.problems.some(isAboutFile)) failures++;
    for (const kind of next.ignored.filter((kind) => !known.has(kind))) {
      log.info(`manifests contain ${kind}, which Portico does not use; it is ignored`);
      known.add(kind);
    }
    const event = before ? difference(before, next) : 'routes';
    if (event === null) return;
    lastEventAt = now();
    onDirty(event);
  };

  const run = async () => {
    while (!stopping.signal.aborted) {
      touched = false;
      try {
        await look();
      } catch (cause) {
        if (stopping.signal.aborted) break;
        failures++;
        log.warn(
          `manifests could not be read; trying again: ${cause instanceof Error ? cause.message : String(cause)}`,
        );
      }
      synced.resolve();
      if (!touched && !stopping.signal.aborted) await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  const running = run();

  return {
    synced: synced.promise,
    snapshot: () => collection?.snapshot ?? EMPTY_SNAPSHOT,
    problems: () => collection?.problems ?? [],
    locate: (problem) => collection?.locate(problem) ?? null,
    states() {
      const broken = collection?.problems.find(isAboutFile);
      const sizes = sizesOf(collection?.snapshot ?? EMPTY_SNAPSHOT);
      return (Object.entries(sizes) as [Kind, number][]).map(([kind, objects]): WatchState => ({
        kind,
        synced: collection !== null,
        connected: collection !== null && !broken,
        objects,
        lastEventAt,
        relists: readings,
        errors: failures,
        lastError: broken ? `${broken.object.name}: ${broken.message}` : null,
      }));
    },
    async stop() {
      stopping.abort();
      clearInterval(poll);
      folders.close();
      wake?.();
      await running;
    },
  };
}

function namespaceFilter(globs: readonly string[]): (namespace: string) => boolean {
  return globs.length === 0 ? () => true : picomatch([...globs]);
}

/** What became dirty between two collections; null when nothing did. */
function difference(before: Collection, after: Collection): SourceEvent | null {
  const [a, b] = [before.snapshot, after.snapshot];
  const routes =
    a.ingresses !== b.ingresses ||
    a.ingressClasses !== b.ingressClasses ||
    a.services !== b.services ||
    a.secrets !== b.secrets ||
    JSON.stringify(before.problems) !== JSON.stringify(after.problems);
  if (routes) return 'routes';
  return a.endpointSlices === b.endpointSlices ? null : 'endpoints';
}

function isAboutFile({ object }: Problem): boolean {
  return object.kind === 'File';
}

function sizesOf(snapshot: Snapshot): Record<Kind, number> {
  return {
    Ingress: snapshot.ingresses.size,
    IngressClass: snapshot.ingressClasses.size,
    Service: snapshot.services.size,
    EndpointSlice: snapshot.endpointSlices.size,
    Secret: snapshot.secrets.size,
  };
}
