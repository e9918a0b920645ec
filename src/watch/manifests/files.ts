import { type BigIntStats } from 'node:fs';
import { glob, readFile, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { plural } from '../../model/plural.ts';

/** A file that the command line names, itself or by its folder. */
export interface FoundFile {
  readonly path: string;
  /** Changes whenever the file is replaced or written to. */
  readonly signature: string;
  readonly size: number;
}

/** What is at one path of the command line. */
export type Root =
  | {
      readonly at: 'files';
      readonly path: string;
      readonly files: readonly FoundFile[];
      /** The folders in which a change to these files shows. */
      readonly folders: readonly string[];
      /** Subfolders that are not read. */
      readonly unread: number;
    }
  | { readonly at: 'nothing'; readonly path: string; readonly reason: string };

export type FileText =
  | { readonly is: 'text'; readonly text: string }
  | { readonly is: 'unreadable'; readonly reason: string }
  | { readonly is: 'gone' };

/** Far above what a folder of manifests needs; an API object has at most 1.5 MiB. */
export const MAX_FILE_BYTES = 32 * 1024 * 1024;

const EXTENSIONS = /\.(?:yaml|yml|json)$/;
const GLOB = /[*?[\]{}]/;
/** The most folders that one path leads to. */
const MAX_FOLDERS = 10_000;

/** The path that stands for standard input, and what its text is called. */
export const STDIN = '-';
export const STDIN_NAME = '<stdin>';

/**
 * The files that a path stands for, as `kubectl apply -f` has it: standard input for `-`, a file whatever its name, or the
 * `.yaml`, `.yml` and `.json` files of a folder, with those of its subfolders if `recursive`. A path that is not there may
 * be a glob. Hidden files are left out: editors put locks there.
 */
export async function findFiles(path: string, recursive: boolean): Promise<Root> {
  if (path === STDIN) return { ...NO_FILES, path, files: [{ path: STDIN_NAME, signature: STDIN, size: 0 }] };
  try {
    const stats = await stat(path, { bigint: true });
    if (stats.isFile())
      return { ...NO_FILES, path, files: [foundFile(path, stats)], folders: [dirname(path)] };
    if (!stats.isDirectory()) return { at: 'nothing', path, reason: 'is neither a file nor a folder' };
    return await readFolder(path, recursive);
  } catch (cause) {
    if (GLOB.test(path)) return matching(path);
    return { at: 'nothing', path, reason: reasonOf(cause) };
  }
}

const NO_FILES = { at: 'files', files: [], folders: [], unread: 0 } as const;

async function readFolder(path: string, recursive: boolean): Promise<Root> {
  const folders = [path];
  const names: string[] = [];
  let unread = 0;
  for (const folder of folders) {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue;
      const below = join(folder, entry.name);
      if (!entry.isDirectory()) {
        if (EXTENSIONS.test(entry.name)) names.push(below);
      } else if (recursive && folders.length < MAX_FOLDERS) folders.push(below);
      else unread++;
    }
  }
  return { at: 'files', path, files: await statFiles(names), folders, unread };
}

/** The files that a glob matches; a folder among them is not read. */
async function matching(path: string): Promise<Root> {
  const names: string[] = [];
  for await (const name of glob(path)) if (EXTENSIONS.test(name)) names.push(name);
  const files = await statFiles(names.filter((name) => !/(?:^|\/)\.[^./]/.test(name)));
  if (files.length === 0) return { at: 'nothing', path, reason: 'matches no .yaml, .yml or .json file' };
  return { ...NO_FILES, path, files, folders: [...new Set(files.map((file) => dirname(file.path)))] };
}

async function statFiles(names: readonly string[]): Promise<readonly FoundFile[]> {
  const found = await Promise.all(names.toSorted().map(statFile));
  return found.filter((file) => file !== null);
}

/** A link that leads nowhere is reported when it is read; a folder, a socket or a pipe is no manifest. */
async function statFile(path: string): Promise<FoundFile | null> {
  try {
    const stats = await stat(path, { bigint: true });
    return stats.isFile() ? foundFile(path, stats) : null;
  } catch {
    return { path, signature: 'absent', size: 0 };
  }
}

function foundFile(path: string, stats: BigIntStats): FoundFile {
  const signature = [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(':');
  return { path, signature, size: Number(stats.size) };
}

async function readStandardInput(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > MAX_FILE_BYTES)
      throw new Error(`it is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB`);
  }
  return text;
}

/** The text of a file, without a byte order mark. */
export async function readText(file: FoundFile): Promise<FileText> {
  if (file.size > MAX_FILE_BYTES) {
    return { is: 'unreadable', reason: `is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB; split it` };
  }
  let bytes: Buffer;
  try {
    if (file.signature === STDIN) return { is: 'text', text: await readStandardInput() };
    bytes = await readFile(file.path);
  } catch (cause) {
    const gone =
      cause instanceof Error && 'code' in cause && cause.code === 'ENOENT' && file.signature !== 'absent';
    return gone ? { is: 'gone' } : { is: 'unreadable', reason: reasonOf(cause) };
  }
  if (bytes.includes(0)) return { is: 'unreadable', reason: 'is not text, or not in UTF-8' };
  try {
    return { is: 'text', text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { is: 'unreadable', reason: 'is not in UTF-8; convert it' };
  }
}

/** The folders in which a change to what is at this path shows. */
export function foldersOf(root: Root): readonly string[] {
  return root.at === 'files' ? root.folders : [dirname(root.path)];
}

/** What to say of a path that leads to no manifests, or not to all; null when nothing is strange. */
export function strangeness(root: Root): { readonly isEmpty: boolean; readonly message: string } | null {
  if (root.at === 'nothing') return { isEmpty: true, message: `${root.path} ${root.reason}` };
  const { path, files, unread } = root;
  const subfolders =
    unread === 0
      ? ''
      : `${plural(unread, 'subfolder is', 'subfolders are')} not read; --recursive reads them too`;
  if (files.length > 0)
    return subfolders === '' ? null : { isEmpty: false, message: `${path}: ${subfolders}` };
  const why = subfolders === '' ? '' : ` (${subfolders})`;
  return { isEmpty: true, message: `${path} has no .yaml, .yml or .json files${why}` };
}

function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  switch (code) {
    case 'ENOENT':
      return 'does not exist';
    case 'EACCES':
    case 'EPERM':
      return 'may not be read; check its permissions';
    case 'ENOTDIR':
      return 'lies below something that is not a folder';
    case 'ELOOP':
      return 'is a symbolic link that leads to itself';
    case 'EISDIR':
      return 'is a folder';
    default:
      return `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}
