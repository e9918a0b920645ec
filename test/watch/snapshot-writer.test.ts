import { mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EMPTY_SNAPSHOT, type Snapshot } from '../../src/model/snapshot.ts';
import { SnapshotWriter } from '../../src/watch/snapshot-writer.ts';
import { eventually } from '../support/daemon.ts';
import { FakeClock } from './fake-clock.ts';

let folder: string;
let path: string;
let clock: FakeClock;
let snapshot: Snapshot;
let writer: SnapshotWriter;
let said: string[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portico-writer-'));
  path = join(folder, 'kept', 'snapshot');
  clock = new FakeClock();
  snapshot = EMPTY_SNAPSHOT;
  said = [];
  const log = (level: string, message: string) => said.push(`${level} ${message}`);
  const options = { path, withSecrets: false, server: 'http://api', clock, log };
  writer = new SnapshotWriter(options, () => snapshot);
});
afterEach(() => rm(folder, { recursive: true }));

function change(): void {
  snapshot = { ...snapshot, generation: snapshot.generation + 1 };
  writer.changed();
}
const savedAt = async (): Promise<number> =>
  (JSON.parse((await readFile(path, 'utf8')).split('\n')[0]!) as { savedAt: number }).savedAt;
const written = async (at: number): Promise<void> => eventually(async () => (await savedAt()) === at);

it('writes once for many changes, and then not again for a while', async () => {
  await mkdir(join(folder, 'kept'));
  expect(clock.pending()).toEqual([]);
  for (let n = 0; n < 10; n++) change();
  expect(clock.pending()).toEqual([1_000]);
  clock.advance(1_000);
  await written(clock.wallMs());
  expect(clock.pending()).toEqual([]);
  change();
  await eventually(async () => clock.pending().length > 0);
  expect(clock.pending()).toEqual([5_000]);
  await writer.stop();
  // What was not written yet is, at the end.
  expect(await savedAt()).toBe(clock.wallMs());
  expect(said).toEqual([]);
});

it('without any change writes nothing, not even at the end', async () => {
  await mkdir(join(folder, 'kept'));
  await writer.stop();
  expect(await readdir(join(folder, 'kept'))).toEqual([]);
});

it('says once that it cannot write, tries on, and says when it can again', async () => {
  change();
  clock.advance(1_000);
  await eventually(async () => said.length > 0 && clock.pending().length > 0);
  expect(said).toEqual([
    expect.stringMatching(/^warn --snapshot-file .*: cannot be written \(ENOENT: .*\); serving continues/),
  ]);
  expect(clock.pending()).toEqual([30_000]);
  clock.advance(30_000);
  await eventually(async () => clock.pending().length > 0);
  expect(said).toHaveLength(1);
  await mkdir(join(folder, 'kept'));
  clock.advance(30_000);
  await written(clock.wallMs());
  await eventually(async () => said.length > 1);
  expect(said[1]).toBe(`info --snapshot-file ${path}: written again`);
  await writer.stop();
});

it('tries once more at the end, though it could not write before', async () => {
  change();
  clock.advance(1_000);
  await eventually(async () => said.length > 0 && clock.pending().length > 0);
  expect(said[0]).toContain('next try in 30 s. To fix it: create its folder, or mount it');
  await mkdir(join(folder, 'kept'));
  await writer.stop();
  expect(await savedAt()).toBe(clock.wallMs());
});
