import { type BigIntStats } from 'node:fs';
import { readFile, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** A file that the command line names, itself or by its folder. */
export interface FoundFile {
  readonly path: string;
  /** Changes whenever the file is replaced or written to. */
  readonly signature: string;
  readonly size: number;
}

/** What is at one path of the command line. */
export type Root =
  | { readonly at: 'folder'; readonly path: string; readonly files: readonly FoundFile[] }
  | { readonly at: 'file'; readonly path: string; readonly files: readonly FoundFile[] }
  | { readonly at: 'nothing'; readonly path: string; readonly reason: string };

export type FileText =
  | { readonly is: 'text'; readonly text: string }
  | { readonly is: 'unreadable'; readonly reason: string }
  | { readonly is: 'gone' };

/** Far above what a folder of manifests needs; an API object has at most 1.5 MiB. */
export const MAX_FILE_BYTES = 32 * 1024 * 1024;

const EXTENSIONS = /\.(?:yaml|yml|json)$/;

/**
 * The files that a path stands for, as `kubectl apply -f` has it: a file whatever its name, or a folder's own
 * `.yaml`, `.yml` and `.json` files, without its subfolders. Hidden files are left out: editors put locks there.
 */
export async function findFiles(path: string): Promise<Root> {
  try {
    const stats = await stat(path, { bigint: true });
    if (stats.isFile()) return { at: 'file', path, files: [foundFile(path, stats)] };
    if (!stats.isDirectory()) return { at: 'nothing', path, reason: 'is neither a file nor a folder' };
    const names = (await readdir(path))
      .filter((name) => EXTENSIONS.test(name) && !name.startsWith('.'))
      .sort();
    const found = await Promise.all(names.map((name) => statFile(join(path, name))));
    return { at: 'folder', path, files: found.filter((file) => file !== null) };
  } catch (cause) {
    return { at: 'nothing', path, reason: reasonOf(cause) };
  }
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

/** The text of a file, without a byte order mark. */
export async function readText(file: FoundFile): Promise<FileText> {
  if (file.size > MAX_FILE_BYTES) {
    return { is: 'unreadable', reason: `is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB; split it` };
  }
  let bytes: Buffer;
  try {
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

/** The folder in which a change to what is at this path shows. */
export function folderOf(root: Root): string {
  return root.at === 'folder' ? root.path : dirname(root.path);
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
