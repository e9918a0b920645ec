import { execFileSync } from 'node:child_process';
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { entries } from '../../src/model/sharded-map.ts';
import { type ManifestSet, readManifests } from '../../src/watch/manifests.ts';
import { MAX_FILE_BYTES } from '../../src/watch/manifests/files.ts';
import { documents, folder, ingress } from './manifests-folder.ts';

const ingressKeys = (set: ManifestSet) => [...entries(set.snapshot.ingresses)].map(([key]) => key).sort();
const bomb =
  'a0: &a0 [x, x, x, x, x, x, x, x, x]\n' +
  Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(', ')}]\n`).join(
    '',
  );

describe('text that is no manifest', () => {
  test.each([
    ['a tab as indentation', 'apiVersion: v1\nkind:\n\tService\n', 3, /[Tt]ab/],
    ['a quote that does not end', 'apiVersion: v1\nkind: "Service\n', 2, /quote/],
    ['a key twice', 'apiVersion: v1\nkind: Service\nkind: Secret\n', 3, /unique/],
    ['an alias without anchor', 'apiVersion: v1\nkind: *nope\n', 1, /alias/],
    ['an alias bomb', bomb, 1, /alias/i],
    [
      'an anchor that contains itself',
      'apiVersion: v1\nkind: Service\nmetadata: &m { labels: *m }\n',
      1,
      /contains itself/,
    ],
    ['an anchor that contains itself twice', 'apiVersion: &a [*a, *a, *a]\n', 1, /contains itself/],
    ['a map as a key', 'apiVersion: v1\nkind: Service\nmetadata: { {a: b}: c }\n', 3, /key must be a string/],
    ['nesting without end', '['.repeat(50_000), 1, /YAML/],
    [
      'a template',
      'apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Release.Name }}\n',
      4,
      /key must be a string/,
    ],
  ])(
    '%s: reported at its line, and the documents beside it are served',
    async (_name, text, line, message) => {
      const { path } = await folder({ 'a.yaml': ingress('a'), 'b.yaml': documents(ingress('b'), text) });
      const set = await readManifests({ paths: [path] });
      expect(set.problems).toHaveLength(1);
      expect(set.problems[0]).toMatchObject({
        severity: 'error',
        object: { kind: 'File', name: `${path}/b.yaml` },
      });
      expect(set.problems[0]?.message).toMatch(message);
      expect(set.problems[0]?.message).not.toContain('\n');
      expect(set.problems[0]?.message).toMatch(/; until this is fixed, this part is left out\.$/);
      expect(set.locate(set.problems[0]!)?.line).toBe(line + ingress('b').split('\n').length);
      expect(ingressKeys(set)).toEqual(['shop/a', 'shop/b']);
    },
  );

  test('the same mistake twice in a file is reported twice', async () => {
    const { path } = await folder({ 'a.yaml': documents('a: 1\n', ingress('a'), 'b: 1\n') });
    const set = await readManifests({ paths: [path] });
    const reported = set.problems.map((problem) => [problem.field, set.locate(problem)?.line]);
    expect(reported).toEqual([
      ['document 1', 1],
      ['document 3', 22],
    ]);
  });

  test.each([
    ['bytes', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0, 1]), 'not text'],
    ['UTF-16', Buffer.from(`\uFEFF${ingress('x')}`, 'utf16le'), 'not in UTF-8'],
    ['Latin-1', Buffer.from('# caf\xe9\n', 'latin1'), 'not in UTF-8'],
  ])('a file of %s', async (_name, bytes, message) => {
    const made = await folder({ 'a.yaml': ingress('a') });
    await made.write('b.yaml', bytes);
    const set = await readManifests({ paths: [made.path] });
    expect(set.problems.map((problem) => problem.message)).toEqual([expect.stringContaining(message)]);
    expect(ingressKeys(set)).toEqual(['shop/a']);
  });

  test('a key named __proto__ stays a key', async () => {
    const { path } = await folder({ 'a.yaml': `${ingress('a')}__proto__: { polluted: true }\n` });
    await readManifests({ paths: [path] });
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('files that cannot be read', () => {
  test('a file that is too large', async () => {
    const made = await folder({ 'a.yaml': '' });
    await truncate(join(made.path, 'a.yaml'), MAX_FILE_BYTES + 1);
    const set = await readManifests({ paths: [made.path] });
    expect(set.problems.map((problem) => problem.message)).toEqual([
      expect.stringContaining('larger than 32 MiB'),
    ]);
  });

  test('a path that does not exist, and one below a file', async () => {
    const { path } = await folder({ 'a.yaml': ingress('a') });
    const set = await readManifests({ paths: [`${path}/nope`, `${path}/a.yaml/x`, `${path}/a.yaml`] });
    expect(set.problems.map((problem) => problem.message)).toEqual([
      `${path}/a.yaml/x lies below something that is not a folder; nothing is served from it.`,
      `${path}/nope does not exist; nothing is served from it.`,
    ]);
    expect(ingressKeys(set)).toEqual(['shop/a']);
  });

  test('a link that leads nowhere, and one that leads to itself', async () => {
    const made = await folder({ 'a.yaml': ingress('a') });
    await made.link('b.yaml', 'nowhere.yaml');
    await made.link('c.yaml', 'c.yaml');
    const set = await readManifests({ paths: [made.path] });
    expect(set.problems.map(({ object, message }) => [object.name, message])).toEqual([
      [`${made.path}/b.yaml`, 'The file does not exist; nothing is served from it.'],
      [`${made.path}/c.yaml`, 'The file is a symbolic link that leads to itself; nothing is served from it.'],
    ]);
    expect(ingressKeys(set)).toEqual(['shop/a']);
  });

  test('a pipe is not waited for', async () => {
    const { path } = await folder({ 'a.yaml': ingress('a') });
    execFileSync('mkfifo', [`${path}/b.yaml`]);
    const set = await readManifests({ paths: [path, `${path}/b.yaml`] });
    expect(set.problems.map((problem) => problem.message)).toEqual([
      expect.stringContaining('neither a file nor a folder'),
    ]);
  });
});
