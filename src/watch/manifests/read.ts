import { resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Problem } from '../../model/problem.ts';
import { type FoundFile, type Root, findFiles, readText } from './files.ts';
import { type Manifest, type LocatedProblem, parseManifests } from './parse.ts';

/** What is known of one file: what it says now, or, where that cannot be understood, what it last said. */
export interface FileReading {
  readonly root: string;
  readonly signature: string;
  readonly text: string | null;
  readonly manifests: readonly Manifest[];
  readonly problems: readonly LocatedProblem[];
  readonly ignored: readonly string[];
}

/** Everything that was read, in the order in which objects are considered: paths as given, files by name. */
export interface Reading {
  readonly files: ReadonlyMap<string, FileReading>;
  readonly problems: readonly LocatedProblem[];
  /** Tells whether anything has been touched since. */
  readonly signature: string;
}

export const NOTHING_READ: Reading = { files: new Map(), problems: [], signature: '' };

export async function findRoots(paths: readonly string[], recursive: boolean): Promise<readonly Root[]> {
  return Promise.all(paths.map((path) => findFiles(path, recursive)));
}

/** Two equal signatures mean that no file was written, replaced, added or removed in between. */
export function signatureOf(roots: readonly Root[]): string {
  return JSON.stringify(
    roots.map((root) =>
      root.at === 'nothing'
        ? [root.path, root.reason]
        : [root.path, ...root.files.flatMap((file) => [file.path, file.signature])],
    ),
  );
}

/**
 * Reads what changed since the previous reading. What cannot be read or parsed keeps what it last held, and so
 * does a path of the command line that is no longer there; a file that left its folder takes its objects along.
 */
export async function readRoots(roots: readonly Root[], previous: Reading): Promise<Reading> {
  const files = new Map<string, FileReading>();
  const problems: LocatedProblem[] = [];
  for (const root of roots) {
    if (root.at === 'nothing') {
      const kept = [...previous.files].filter(([, file]) => file.root === root.path);
      for (const [id, file] of kept) files.set(id, file);
      problems.push(
        fileProblem('PathNotReadable', root.path, `${root.path} ${root.reason}`, kept.length > 0),
      );
      continue;
    }
    for (const file of root.files) {
      const id = resolve(file.path);
      if (files.has(id)) continue;
      const reading = await readOne(root, file, previous.files.get(id));
      if (reading) files.set(id, reading);
      // A thousand files are parsed without making a request wait for the last of them.
      await setImmediate();
    }
  }
  return { files, problems, signature: signatureOf(roots) };
}

async function readOne(
  root: Root,
  file: FoundFile,
  before: FileReading | undefined,
): Promise<FileReading | null> {
  if (before?.signature === file.signature) return before;
  const reading = await readText(file);
  const kept = {
    root: root.path,
    signature: file.signature,
    text: null,
    manifests: before?.manifests ?? [],
    ignored: [],
  };
  const keeps = kept.manifests.length > 0;
  switch (reading.is) {
    case 'gone':
      return null;
    case 'unreadable':
      return {
        ...kept,
        problems: [fileProblem('FileNotReadable', file.path, `The file ${reading.reason}`, keeps)],
      };
    case 'text': {
      if (before?.text === reading.text) return { ...before, signature: file.signature };
      if (keeps && reading.text.trim() === '') {
        // So it looks while a slow command writes to it: `kubectl get … > file` empties the file first.
        const what = 'The file is empty: delete it to take its objects away';
        return { ...kept, text: reading.text, problems: [fileProblem('FileEmpty', file.path, what, keeps)] };
      }
      const parsed = parseManifests(file.path, reading.text);
      const read = { ...kept, text: reading.text, ignored: parsed.ignored };
      if (!parsed.broken) return { ...read, manifests: parsed.manifests, problems: parsed.problems };
      return {
        ...read,
        manifests: keeps ? kept.manifests : parsed.manifests,
        problems: parsed.problems.map(({ problem, place }) => ({
          problem: withConsequence(problem, keeps),
          place,
        })),
      };
    }
  }
}

function withConsequence(problem: Problem, keeps: boolean): Problem {
  const consequence = keeps
    ? 'until this is fixed, the last valid version stays in use'
    : 'until this is fixed, this part is left out';
  return { ...problem, message: `${problem.message}; ${consequence}.` };
}

function fileProblem(code: string, path: string, what: string, keeps: boolean): LocatedProblem {
  const consequence = keeps ? 'what it last held stays in use' : 'nothing is served from it';
  const message = `${what}; ${consequence}.`;
  return {
    problem: { code, severity: 'error', object: { kind: 'File', name: path }, field: '', message },
    place: { file: path, line: 1, column: 1 },
  };
}
