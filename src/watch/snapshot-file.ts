import { createHash, randomBytes } from 'node:crypto';
import { open, readFile, readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Kind, type Kinds, isNamespaced, objectKey } from '../model/objects.ts';
import { values } from '../model/sharded-map.ts';
import { COLLECTIONS, KINDS, type ObjectChange, type Snapshot, snapshotOf } from '../model/snapshot.ts';
import { arrive } from '../kubernetes/resources.ts';

/**
 * A snapshot on disk: a line that says what follows, one line per object, and a line with the number of objects and
 * the SHA-256 of everything before it. A file that is cut short, changed or mixed with another has no right last line.
 */
export interface SavedSnapshot {
  readonly snapshot: Snapshot;
  /** Milliseconds since the epoch. */
  readonly savedAt: number;
  readonly withSecrets: boolean;
}

export type ReadOutcome =
  | ({ readonly kind: 'read' } & SavedSnapshot)
  | { readonly kind: 'absent' }
  /** One line that says why the file is of no use. */
  | { readonly kind: 'unusable'; readonly reason: string };

const FORMAT = 'portico-snapshot';
const VERSION = 1;
const MAX_FILE_BYTES = 1024 ** 3;
/** How much is written, or parsed, before the event loop gets a turn. */
const TURN_BYTES = 256 * 1024;
const STRAY_AFTER_MS = 10 * 60_000;
const NEWLINE = 0x0a;

/**
 * Writes the whole file beside the old one, makes sure that it is on the disk, and puts it in place of the old one.
 * Secrets are left out as a whole unless they are asked for. Rejects with the system's error, and leaves nothing behind.
 */
export async function writeSnapshotFile(path: string, server: string, saved: SavedSnapshot): Promise<void> {
  const beside = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  // Nobody else reads it: it may hold keys, and annotations often hold what is nobody's business.
  const file = await open(beside, 'wx', 0o600);
  try {
    try {
      for await (const chunk of encode(server, saved)) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await unlink(beside).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(path));
}

async function* encode(
  server: string,
  { snapshot, savedAt, withSecrets }: SavedSnapshot,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let objects = 0;
  let text = `${JSON.stringify({ format: FORMAT, version: VERSION, server, savedAt, withSecrets })}\n`;
  const take = (): Buffer => {
    const chunk = Buffer.from(text);
    hash.update(chunk);
    text = '';
    return chunk;
  };
  for (const kind of KINDS) {
    if (kind === 'Secret' && !withSecrets) continue;
    for (const object of values<Kinds[Kind]>(snapshot[COLLECTIONS[kind]])) {
      text += `${JSON.stringify({ kind, object })}\n`;
      objects++;
      if (text.length < TURN_BYTES) continue;
      yield take();
      await nextTurn();
    }
  }
  yield take();
  yield Buffer.from(`${JSON.stringify({ objects, sha256: hash.digest('hex') })}\n`);
}

/** After a power failure the folder would otherwise name the old file, which is no harm where it cannot be had. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => null);
  await folder?.sync().catch(() => {});
  await folder?.close();
}

/** Takes away what a Portico that was killed while it wrote has left beside the file. */
export async function removeStrays(path: string, now: number): Promise<void> {
  const folder = dirname(path);
  const name = basename(path);
  for (const entry of await readdir(folder).catch(() => [])) {
    if (!entry.startsWith(`${name}.`) || !/^\.[0-9a-f]{8}\.tmp$/.test(entry.slice(name.length))) continue;
    const stray = join(folder, entry);
    const { mtimeMs } = await stat(stray).catch(() => ({ mtimeMs: now }));
    if (now - mtimeMs > STRAY_AFTER_MS) await unlink(stray).catch(() => {});
  }
}

/** What the file holds of the namespaces that are wanted. Never rejects: a file is not trusted to be anything. */
export async function readSnapshotFile(
  path: string,
  server: string,
  wanted: (namespace: string) => boolean,
): Promise<ReadOutcome> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) return unusable(`is larger than ${MAX_FILE_BYTES} bytes`);
    return await decode(await readFile(path), server, wanted);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? { kind: 'absent' } : unusable(`cannot be read: ${message}`);
  }
}

async function decode(
  bytes: Buffer,
  server: string,
  wanted: (namespace: string) => boolean,
): Promise<ReadOutcome> {
  const headerEnd = bytes.indexOf(NEWLINE) + 1;
  const header = parseLine(bytes.subarray(0, headerEnd));
  if (header?.['format'] !== FORMAT) return unusable('is not a snapshot of Portico');
  const { version, savedAt, withSecrets } = header;
  if (version !== VERSION)
    return unusable(`has version ${JSON.stringify(version)}, but this Portico reads version 1`);
  const trailerStart = bytes.lastIndexOf(NEWLINE, -2) + 1;
  const trailer = parseLine(bytes.subarray(trailerStart));
  const sum = createHash('sha256').update(bytes.subarray(0, trailerStart)).digest('hex');
  if (trailer?.['sha256'] !== sum) return unusable('is damaged or cut short: its checksum is wrong');
  if (header['server'] !== server)
    return unusable(`is of another API server, ${JSON.stringify(header['server'])}`);
  if (typeof savedAt !== 'number' || typeof withSecrets !== 'boolean')
    return unusable('is not a snapshot of Portico');

  const changes: ObjectChange[] = [];
  let turnAt = headerEnd + TURN_BYTES;
  for (let start = headerEnd; start < trailerStart;) {
    const end = bytes.indexOf(NEWLINE, start) + 1;
    const change = changeOf(parseLine(bytes.subarray(start, end)), wanted);
    if (change) changes.push(change);
    start = end;
    if (start < turnAt) continue;
    turnAt = start + TURN_BYTES;
    await nextTurn();
  }
  return { kind: 'read', snapshot: snapshotOf(changes), savedAt, withSecrets };
}

function changeOf(
  line: Readonly<Record<string, unknown>> | null,
  wanted: (namespace: string) => boolean,
): ObjectChange | null {
  const kind = KINDS.find((each) => each === line?.['kind']);
  const object = kind && arrive(kind, line?.['object']);
  if (!object || (isNamespaced(kind) && !wanted(object.metadata?.namespace ?? ''))) return null;
  // TypeScript does not see that kind and object belong together.
  return { kind, key: objectKey(object), object } as ObjectChange;
}

function parseLine(line: Buffer): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function unusable(reason: string): ReadOutcome {
  return { kind: 'unusable', reason };
}
