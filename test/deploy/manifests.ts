import { readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { V1DaemonSet } from '@kubernetes/client-node';
import { parseAllDocuments } from 'yaml';

export const ROOT = join(import.meta.dirname, '../..');
const DEPLOY = join(ROOT, 'deploy');

export interface Manifest {
  readonly file: string;
  readonly object: { readonly apiVersion: string; readonly kind: string } & Record<string, unknown>;
}

/** The documents of a file, read as strictly as the API server does. */
export function parseManifests(file: string, text: string): readonly Manifest[] {
  return parseAllDocuments(text, { strict: true, uniqueKeys: true }).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return { file, object: document.toJS() as Manifest['object'] };
  });
}

/** What `kubectl apply -f deploy/` applies, in its order: the files by name, without folders in it. */
export function deployManifests(): readonly Manifest[] {
  return manifestsAt(DEPLOY);
}

/** What `kubectl apply -f` of a file or a folder applies. */
export function manifestsAt(path: string): readonly Manifest[] {
  return (statSync(path).isDirectory() ? filesIn(path) : [path]).flatMap(read);
}

/** The files of deploy/variants, each of which is applied alone, but for the patch. */
export function variantFiles(): readonly string[] {
  const files = filesIn(join(DEPLOY, 'variants')).map((path) => basename(path));
  return files.filter((file) => file !== PATCH);
}

/** The variant that is no object but a patch for the DaemonSet, as `kubectl patch` takes it. */
export const PATCH = 'tcp-migrate-req.yaml';

export function daemonSetPatch(): V1DaemonSet {
  const [patch, ...more] = variantManifests(PATCH);
  if (!patch || more.length > 0) throw new Error(`${PATCH} is not one document`);
  return patch.object as V1DaemonSet;
}

export function variantManifests(file: string): readonly Manifest[] {
  return read(join(DEPLOY, 'variants', file));
}

/** What Helm rendered for a case of helm/cases.yaml; helm.test.ts says whether it still would. */
export function helmManifests(name: string): readonly Manifest[] {
  return read(join(ROOT, 'test/deploy/helm/rendered', `${name}.yaml`));
}

/** The only object of a kind. */
export function theOnly<T>(kind: string, manifests = deployManifests()): T {
  const found = manifests.filter(({ object }) => object.kind === kind);
  if (found.length !== 1) throw new Error(`there are ${found.length} objects of kind ${kind}`);
  return found[0]?.object as T;
}

function filesIn(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => /\.(ya?ml|json)$/.test(name))
    .sort()
    .map((name) => join(folder, name));
}

/** Files that have been read: many tests ask for the same. */
const known = new Map<string, readonly Manifest[]>();

function read(path: string): readonly Manifest[] {
  const manifests = known.get(path) ?? parseManifests(basename(path), readFileSync(path, 'utf8'));
  known.set(path, manifests);
  return manifests;
}
