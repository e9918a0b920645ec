import type { Kind, ObjectKey } from '../../model/objects.ts';
import { type Problem, describeObject, sortProblems } from '../../model/problem.ts';
import { EMPTY_SNAPSHOT, type ObjectChange, type Snapshot, applyChanges } from '../../model/snapshot.ts';
import { isDeepStrictEqual } from 'node:util';
import { type Manifest, locateField } from './parse.ts';
import type { Reading } from './read.ts';
import type { SourceLocation } from '../../model/format-problem.ts';

/** What a set of manifest files says, as `kubectl apply` would have left it in a cluster. */
export interface ManifestSet {
  readonly snapshot: Snapshot;
  readonly problems: readonly Problem[];
  /** The kinds Portico has no use for, each once, as `apps/v1 Deployment`. */
  readonly ignored: readonly string[];
  /** Where to fix a problem: its field, or the nearest enclosing field. Null for an object that is in no file. */
  locate(problem: Problem): SourceLocation | null;
}

/** A set with what the next one needs: the accepted version of each object by kind and key. */
export interface Collection extends ManifestSet {
  readonly accepted: ReadonlyMap<string, Manifest>;
}

/**
 * Puts the files together. Of two objects with the same name the first counts. An object that the API server
 * would refuse does not replace the version that was accepted before. An object that stayed the same stays the
 * very same value, so that comparing two snapshots finds only what changed.
 */
export function collect(
  reading: Reading,
  previous: Collection | null,
  watchesNamespace: (namespace: string) => boolean,
): Collection {
  const claimed = new Map<string, Manifest>();
  const accepted = new Map<string, Manifest>();
  const problems: Problem[] = [];
  const places = new Map<string, SourceLocation>();

  const report = (problem: Problem, place: SourceLocation) => {
    problems.push(problem);
    places.set(JSON.stringify(problem), place);
  };
  for (const { problem, place } of reading.problems) report(problem, place);

  for (const file of reading.files.values()) {
    for (const { problem, place } of file.problems) report(problem, place);
    for (const manifest of file.manifests) {
      const { namespace } = manifest.object.metadata ?? {};
      if (namespace && !watchesNamespace(namespace)) continue;
      const id = idOf(manifest.kind, manifest.key);
      const first = claimed.get(id);
      if (first) {
        report(duplicate(first, manifest), manifest.place);
        continue;
      }
      claimed.set(id, manifest);
      const last = previous?.accepted.get(id);
      const refused = manifest.problems.some((problem) => problem.severity === 'error');
      for (const problem of manifest.problems) problems.push(withConsequence(problem, last !== undefined));
      if (refused) {
        if (last) accepted.set(id, last);
      } else if (last && isDeepStrictEqual(last.object, manifest.object)) {
        accepted.set(id, { ...manifest, object: last.object });
      } else {
        accepted.set(id, manifest);
      }
    }
  }

  return {
    snapshot: applyChanges(
      previous?.snapshot ?? EMPTY_SNAPSHOT,
      changes(previous?.accepted ?? new Map(), accepted),
    ),
    problems: sortProblems(problems),
    ignored: [...new Set([...reading.files.values()].flatMap((file) => file.ignored))].sort(),
    accepted,
    locate(problem) {
      const place = places.get(JSON.stringify(problem));
      if (place) return place;
      const { kind, namespace, name } = problem.object;
      const origin = claimed.get(idOf(kind, namespace ? `${namespace}/${name}` : name))?.origin;
      return origin ? locateField(origin, problem.field) : null;
    },
  };
}

function idOf(kind: Kind | (string & {}), key: ObjectKey): string {
  return `${kind} ${key}`;
}

function* changes(
  before: ReadonlyMap<string, Manifest>,
  after: ReadonlyMap<string, Manifest>,
): Generator<ObjectChange> {
  for (const [id, manifest] of before) if (!after.has(id)) yield change(manifest, undefined);
  for (const [id, manifest] of after) {
    if (before.get(id)?.object !== manifest.object) yield change(manifest, manifest.object);
  }
}

function change({ kind, key }: Manifest, object: Manifest['object'] | undefined): ObjectChange {
  // A Manifest holds an object of its own kind, which its type does not spell out.
  return { kind, key, object } as ObjectChange;
}

/** Says what an object that would be refused means for what is served. */
function withConsequence(problem: Problem, keeps: boolean): Problem {
  if (problem.severity !== 'error') return problem;
  const consequence = keeps ? 'the version accepted before stays in use' : 'the object is left out';
  const { message } = problem;
  if (message.endsWith('?')) return { ...problem, message: `${message} Until then ${consequence}.` };
  return { ...problem, message: `${message.replace(/\.$/, '')}; ${consequence}.` };
}

function duplicate(first: Manifest, second: Manifest): Problem {
  const { namespace, name } = second.object.metadata ?? {};
  const object = { kind: second.kind, ...(namespace ? { namespace } : {}), name: name ?? '' };
  const [one, other] = [first, second].map(({ place }) => `${place.file}:${place.line}`);
  return {
    code: 'DuplicateObject',
    severity: 'error',
    object,
    field: 'metadata.name',
    message: `${describeObject(object)} is defined at ${one} and again at ${other}; the first is served, remove one of them.`,
  };
}
