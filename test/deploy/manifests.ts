import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

export const ROOT = join(import.meta.dirname, '../..');
const DEPLOY = join(ROOT, 'deploy');

export interface Manifest {
  readonly file: string;
  readonly object: { readonly apiVersion: string; readonly kind: string } & Record<string, unknown>;
}

/** What `kubectl apply -f deploy/` applies, in its order: the files by name, without folders in it. */
export function deployManifests(): readonly Manifest[] {
  const files = readdirSync(DEPLOY)
    .filter((name) => /\.(ya?ml|json)$/.test(name))
    .sort();
  return files.flatMap((file) =>
    parseAllDocuments(readFileSync(join(DEPLOY, file), 'utf8'), { strict: true, uniqueKeys: true }).map(
      (document) => {
        if (document.errors.length > 0) throw document.errors[0];
        return { file, object: document.toJS() as Manifest['object'] };
      },
    ),
  );
}

/** The only object of a kind. */
export function theOnly<T>(kind: string): T {
  const found = deployManifests().filter(({ object }) => object.kind === kind);
  if (found.length !== 1) throw new Error(`deploy/ has ${found.length} objects of kind ${kind}`);
  return found[0]?.object as T;
}
