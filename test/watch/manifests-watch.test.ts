import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Kind } from '../../src/model/objects.ts';
import { get } from '../../src/model/sharded-map.ts';
import { KINDS } from '../../src/model/snapshot.ts';
import { type Watched, documents, endpoints, folder, ingress, service, watched } from './manifests-folder.ts';

const host = ({ source }: Watched, name = 'a') =>
  get(source.snapshot().ingresses, `shop/${name}`)?.spec?.rules?.[0]?.host;
/** So slow that only what the system tells can be what is noticed. */
const noPoll = { pollIntervalMs: 3_600_000 };

describe('a change is noticed', () => {
  test('when a file is written to', async () => {
    const made = await folder({ 'a.yaml': ingress('a', 'old.test') });
    const w = await watched([made.path], noPoll);
    expect(host(w)).toBe('old.test');
    await made.write('a.yaml', ingress('a', 'new.test'));
    await w.until(() => host(w) === 'new.test');
  });

  test('when a file is replaced, twice, though it is named itself', async () => {
    const made = await folder({ 'a.yaml': ingress('a', 'old.test') });
    const w = await watched([join(made.path, 'a.yaml')], noPoll);
    await made.replace('a.yaml', ingress('a', 'new.test'));
    await w.until(() => host(w) === 'new.test');
    await made.replace('a.yaml', ingress('a', 'newer.test'));
    await w.until(() => host(w) === 'newer.test');
    expect(w.source.problems()).toEqual([]);
  });

  test('in a subfolder that comes later, with `recursive`', async () => {
    const made = await folder({ 'a.yaml': ingress('a') });
    const w = await watched([made.path], { ...noPoll, recursive: true });
    await made.write('team/deep/b.yaml', ingress('b', 'old.test'));
    await w.until(() => host(w, 'b') === 'old.test');
    await made.write('team/deep/b.yaml', ingress('b', 'new.test'));
    await w.until(() => host(w, 'b') === 'new.test');
    expect(w.source.problems()).toEqual([]);
  });

  test('in files that a glob matches, and those that it matches later', async () => {
    const made = await folder({ 'x/a.yaml': ingress('a'), 'x/c.txt': 'not YAML' });
    const w = await watched([join(made.path, '*/*.yaml')], noPoll);
    await made.write('x/b.yaml', ingress('b'));
    await w.until(() => host(w, 'b') === 'b.example.test');
    expect(w.source.problems()).toEqual([]);
  });

  test('when a file comes and goes', async () => {
    const made = await folder({ 'a.yaml': ingress('a') });
    const w = await watched([made.path], noPoll);
    await made.write('b.yaml', ingress('b'));
    await w.until(() => host(w, 'b') === 'b.example.test');
    await made.remove('a.yaml');
    await w.until(() => host(w, 'a') === undefined);
    expect(w.source.problems()).toEqual([]);
    expect(host(w, 'b')).toBe('b.example.test');
  });

  test('when a mounted ConfigMap swaps its data link', async () => {
    const made = await folder({
      '..1/a.yaml': ingress('a', 'old.test'),
      '..2/a.yaml': ingress('a', 'new.test'),
    });
    await made.link('..data', '..1');
    await made.link('a.yaml', '..data/a.yaml');
    const w = await watched([made.path], noPoll);
    expect(host(w)).toBe('old.test');
    await made.link('..data', '..2');
    await w.until(() => host(w) === 'new.test');
  });

  test('when the folder is replaced by another of its name', async () => {
    const made = await folder({
      'now/a.yaml': ingress('a', 'old.test'),
      'next/a.yaml': ingress('a', 'new.test'),
    });
    const w = await watched([join(made.path, 'now')], { pollIntervalMs: 20 });
    await rename(join(made.path, 'now'), join(made.path, 'before'));
    await w.until(() => w.source.problems().some((problem) => problem.message.includes('does not exist')));
    expect(host(w)).toBe('old.test');
    await rename(join(made.path, 'next'), join(made.path, 'now'));
    await w.until(() => host(w) === 'new.test');
    expect(w.source.problems()).toEqual([]);
  });

  test('where the system tells nothing, by looking again', async () => {
    const made = await folder({
      'one/a.yaml': ingress('a', 'old.test'),
      'two/a.yaml': ingress('a', 'new.test'),
    });
    await made.link('current', 'one');
    const w = await watched([join(made.path, 'current')], { pollIntervalMs: 20 });
    await made.link('current', 'two');
    await w.until(() => host(w) === 'new.test');
    expect(w.source.problems()).toEqual([]);
  });

  test('in a folder that is made only later', async () => {
    const made = await folder();
    const w = await watched([join(made.path, 'later')], { pollIntervalMs: 20 });
    expect(w.source.problems().map((problem) => problem.message)).toEqual([
      expect.stringContaining('does not exist'),
    ]);
    await made.write('later/a.yaml', ingress('a'));
    await w.until(() => host(w) === 'a.example.test');
    expect(w.source.problems()).toEqual([]);
  });
});

describe('what is not understood keeps what was', () => {
  test('a syntax error: every object of the file stays, until it is fixed', async () => {
    const made = await folder({
      'a.yaml': documents(ingress('a', 'old.test'), ingress('b')),
      'c.yaml': ingress('c'),
    });
    const w = await watched([made.path], noPoll);
    await made.replace('a.yaml', documents(ingress('a', 'new.test'), '\tkind: x\n'));
    await w.until(() => w.source.problems().length === 1);
    const [problem] = w.source.problems();
    expect(problem).toMatchObject({
      severity: 'error',
      object: { kind: 'File', name: `${made.path}/a.yaml` },
    });
    expect(problem?.message).toMatch(/; until this is fixed, the last valid version stays in use\.$/);
    expect(w.source.locate(problem!)).toMatchObject({ file: `${made.path}/a.yaml`, line: 20 });
    expect(w.source.states()[0]?.lastError).toBe(`${made.path}/a.yaml: ${problem?.message}`);
    expect([host(w, 'a'), host(w, 'b')]).toEqual(['old.test', 'b.example.test']);

    await made.replace('c.yaml', ingress('c', 'moved.test'));
    await w.until(() => host(w, 'c') === 'moved.test');
    expect(host(w, 'b')).toBe('b.example.test');

    await made.replace('a.yaml', ingress('a', 'new.test'));
    await w.until(() => w.source.problems().length === 0);
    expect([host(w, 'a'), host(w, 'b')]).toEqual(['new.test', undefined]);
  });

  test('an object that the API server would refuse: it stays, the others of its file change', async () => {
    const made = await folder({ 'a.yaml': documents(ingress('a', 'old.test'), ingress('b')) });
    const w = await watched([made.path], noPoll);
    await made.replace('a.yaml', documents(ingress('a', 'NOT_A_HOST'), ingress('b', 'moved.test')));
    await w.until(() => host(w, 'b') === 'moved.test');
    expect(host(w, 'a')).toBe('old.test');
    const [problem] = w.source.problems();
    expect(problem?.message).toMatch(/; the version accepted before stays in use\.$/);
    expect(w.source.locate(problem!)).toEqual({ file: `${made.path}/a.yaml`, line: 9, column: 13 });
    await made.replace('a.yaml', documents(ingress('a', 'new.test'), ingress('b', 'moved.test')));
    await w.until(() => host(w, 'a') === 'new.test');
    expect(w.source.problems()).toEqual([]);
  });

  test('a file that turns into something unreadable', async () => {
    const made = await folder({ 'a.yaml': ingress('a') });
    const w = await watched([made.path], noPoll);
    await made.write('a.yaml', Buffer.from([0, 1, 2]));
    await w.until(() => w.source.problems().length === 1);
    expect(host(w)).toBe('a.example.test');
    expect(w.source.problems()[0]?.message).toMatch(/what it last held stays in use\.$/);
  });

  test('a file that is emptied, as by a command that writes to it later', async () => {
    const made = await folder({ 'a.yaml': ingress('a', 'old.test') });
    const w = await watched([made.path], noPoll);
    await made.write('a.yaml', '');
    await w.until(() => w.source.problems().length === 1);
    expect(host(w)).toBe('old.test');
    expect(w.source.problems()[0]?.message).toBe(
      'The file is empty: delete it to take its objects away; what it last held stays in use.',
    );
    await made.write('a.yaml', ingress('a', 'new.test'));
    await w.until(() => host(w) === 'new.test');
    expect(w.source.problems()).toEqual([]);
  });

  test('a file of the command line that vanishes', async () => {
    const made = await folder({ 'a.yaml': ingress('a') });
    const w = await watched([join(made.path, 'a.yaml')], noPoll);
    await made.remove('a.yaml');
    await w.until(() => w.source.problems().length === 1);
    expect(host(w)).toBe('a.example.test');
  });
});

describe('what is told', () => {
  test('that only endpoints changed; and other objects keep their identity', async () => {
    const made = await folder({
      'a.yaml': documents(ingress('a'), service('web'), endpoints('web-1', '10.0.0.1')),
    });
    const w = await watched([made.path], noPoll);
    const before = w.source.snapshot();
    await made.replace(
      'a.yaml',
      `# moved down\n${documents(ingress('a'), service('web'), endpoints('web-1', '10.0.0.2'))}`,
    );
    await w.until(() => w.events.length === 2);
    const after = w.source.snapshot();
    expect(w.events).toEqual(['routes', 'endpoints']);
    expect(after.generation).toBeGreaterThan(before.generation);
    expect(after.ingresses).toBe(before.ingresses);
    expect(after.services).toBe(before.services);
    expect(get(after.slicesByService, 'shop/web')?.[0]?.endpoints?.[0]?.addresses).toEqual(['10.0.0.2']);
    expect(get(before.slicesByService, 'shop/web')?.[0]?.endpoints?.[0]?.addresses).toEqual(['10.0.0.1']);
  });

  test('nothing, when a file was touched and says the same', async () => {
    const made = await folder({ 'a.yaml': ingress('a'), 'b.yaml': ingress('b') });
    const w = await watched([made.path], noPoll);
    const before = w.source.snapshot();
    await made.replace('a.yaml', `# the same objects\n${ingress('a')}`);
    // Files are read in order: once this change is in, the one before it has been looked at.
    await made.replace('b.yaml', ingress('b', 'moved.test'));
    await w.until(() => host(w, 'b') === 'moved.test');
    expect(get(w.source.snapshot().ingresses, 'shop/a')).toBe(get(before.ingresses, 'shop/a'));
    expect(w.events).toEqual(['routes', 'routes']);
  });

  test('a kind that is ignored, once', async () => {
    const made = await folder({
      'a.yaml': documents('apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x }\n', ingress('a')),
    });
    const w = await watched([made.path], noPoll);
    await made.replace(
      'a.yaml',
      documents('apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: y }\n', ingress('a', 'new.test')),
    );
    await w.until(() => host(w) === 'new.test');
    expect(w.lines).toEqual([
      'manifests contain apps/v1 Deployment, which Portico does not use; it is ignored',
    ]);
  });

  test('the state of each kind', async () => {
    const made = await folder({ 'a.yaml': documents(ingress('a'), ingress('b'), service('web')) });
    const w = await watched([made.path], { ...noPoll, now: () => 1234 });
    const objects: Partial<Record<Kind, number>> = { Ingress: 2, Service: 1 };
    expect(w.source.states().map(({ kind, synced, objects }) => [kind, synced, objects])).toEqual(
      KINDS.map((kind) => [kind, true, objects[kind] ?? 0]),
    );
    expect(w.source.states()[0]).toMatchObject({ lastEventAt: 1234, errors: 0, lastError: null });
  });
});

test('nothing is told after stop', async () => {
  const made = await folder({ 'a.yaml': ingress('a') });
  const stopped = await watched([made.path], { pollIntervalMs: 5 });
  const other = await watched([made.path], { pollIntervalMs: 5 });
  await stopped.source.stop();
  await made.write('a.yaml', ingress('a', 'new.test'));
  await other.until(() => host(other) === 'new.test');
  expect(stopped.events).toEqual(['routes']);
});
