import { describe, expect, test } from 'vitest';
import { entries, get } from '../../src/model/sharded-map.ts';
import { type ManifestSet, readManifests } from '../../src/watch/manifests.ts';
import { documents, folder, ingress, service } from './manifests-folder.ts';

async function read(text: string, file = 'a.yaml'): Promise<ManifestSet> {
  const { path } = await folder({ [file]: text });
  return readManifests({ paths: [path] });
}
const ingressKeys = (set: ManifestSet) => [...entries(set.snapshot.ingresses)].map(([key]) => key).sort();

describe('documents', () => {
  test('several in one file, empty ones and comments between them', async () => {
    const set = await read(`---\n---\n# nothing\n---\n${documents(ingress('a'), ingress('b'))}---\n`);
    expect(ingressKeys(set)).toEqual(['shop/a', 'shop/b']);
    expect(set.problems).toEqual([]);
  });

  test.each([
    ['Windows line ends', (text: string) => text.replaceAll('\n', '\r\n')],
    ['a byte order mark', (text: string) => `\uFEFF${text}`],
    ['no final line end', (text: string) => text.trimEnd()],
    ['an end marker', (text: string) => `${text}...\n`],
  ])('with %s', async (_name, change) => {
    const set = await read(change(ingress('a')));
    expect(set.problems).toEqual([]);
    expect(get(set.snapshot.ingresses, 'shop/a')?.spec?.rules?.[0]?.host).toBe('a.example.test');
  });

  test('JSON', async () => {
    const object = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { ports: [{ port: 80 }] },
    };
    const set = await read(JSON.stringify(object, null, '\t'), 'a.json');
    expect(set.problems).toEqual([]);
    expect(get(set.snapshot.services, 'default/web')?.spec?.ports?.[0]?.port).toBe(80);
  });

  test('an empty file says nothing and nothing is wrong with it', async () => {
    const set = await read('');
    expect(set.problems).toEqual([]);
    expect(ingressKeys(set)).toEqual([]);
  });

  test('anchors and merge keys', async () => {
    const set = await read(
      `apiVersion: v1\nkind: List\nx: &base { apiVersion: v1, kind: Service, spec: { ports: [{ port: 80 }] } }\nitems:\n` +
        `  - <<: *base\n    metadata: { name: one }\n  - <<: *base\n    metadata: { name: two }\n`,
    );
    expect(set.problems).toEqual([]);
    expect(get(set.snapshot.services, 'default/two')?.spec?.ports?.[0]?.port).toBe(80);
  });
});

describe('lists', () => {
  test('of any kind, and lists in lists', async () => {
    const inner = {
      apiVersion: 'v1',
      kind: 'List',
      items: [
        { apiVersion: 'v1', kind: 'Service', metadata: { name: 'b' }, spec: { ports: [{ port: 80 }] } },
      ],
    };
    const set = await read(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [inner] }));
    expect(set.problems).toEqual([]);
    expect(set.snapshot.services.size).toBe(1);
  });

  test('of one kind, whose items do not repeat it', async () => {
    const items = [{ metadata: { name: 'a' }, spec: { ports: [{ port: 80 }] } }];
    const set = await read(JSON.stringify({ apiVersion: 'v1', kind: 'ServiceList', items }));
    expect(get(set.snapshot.services, 'default/a')?.kind).toBe('Service');
    expect(get(set.snapshot.services, 'default/a')?.apiVersion).toBe('v1');
  });
});

describe('kinds', () => {
  test('that Portico has no use for are named once and ignored, also when they only share a name', async () => {
    const deployment = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x }\n';
    const knative = 'apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: { name: x }\n';
    const set = await read(documents(deployment, deployment, knative, ingress('a')));
    expect(set.ignored).toEqual(['apps/v1 Deployment', 'serving.knative.dev/v1 Service']);
    expect(set.problems).toEqual([]);
    expect(set.snapshot.services.size).toBe(0);
    expect(ingressKeys(set)).toEqual(['shop/a']);
  });

  test('of a retired version are a problem that names the version to write', async () => {
    const set = await read(ingress('a').replace('networking.k8s.io/v1', 'extensions/v1beta1'));
    expect(set.problems).toHaveLength(1);
    expect(set.problems[0]?.message).toContain('write apiVersion: networking.k8s.io/v1');
    expect(set.locate(set.problems[0]!)).toMatchObject({ line: 1, column: 13 });
  });

  test.each([
    ['no kind', 'apiVersion: v1\nmetadata: { name: a }\n', 'no kind'],
    ['no apiVersion', 'kind: Service\nmetadata: { name: a }\n', 'no apiVersion'],
    ['only text', 'hello\n', 'not a Kubernetes object'],
    ['no name', 'apiVersion: v1\nkind: Service\nspec: {}\n', 'needs a metadata.name'],
    [
      'a number for a name',
      'apiVersion: v1\nkind: Service\nmetadata: { name: 12 }\n',
      'needs a metadata.name',
    ],
    [
      'a path for a name',
      'apiVersion: v1\nkind: Service\nmetadata: { name: a/b }\n',
      'needs a metadata.name',
    ],
  ])('an object with %s is reported and left out', async (_name, text, message) => {
    const set = await read(documents(text, ingress('a')));
    expect(set.problems.map((problem) => problem.message)).toEqual([expect.stringContaining(message)]);
    expect(set.snapshot.services.size).toBe(0);
    expect(ingressKeys(set)).toEqual(['shop/a']);
  });
});

describe('what the API server would have filled in', () => {
  test('the namespace default; none for a kind without namespaces', async () => {
    const set = await read(
      documents(
        ingress('a').replace('  namespace: shop\n', ''),
        'apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: { name: portico, namespace: x }\nspec: { controller: a.b/c }\n',
      ),
    );
    expect(ingressKeys(set)).toEqual(['default/a']);
    expect(get(set.snapshot.ingressClasses, 'portico')?.metadata?.namespace).toBeUndefined();
  });

  test('a creation time: the same for all that have none, so that ties go by name', async () => {
    const exported = ingress('c').replace(
      '  name: c\n',
      '  name: c\n  creationTimestamp: 2024-05-01T10:00:00Z\n',
    );
    const dryRun = ingress('b').replace('  name: b\n', '  name: b\n  creationTimestamp: null\n');
    const set = await read(documents(ingress('a'), dryRun, exported));
    const created = ['shop/a', 'shop/b', 'shop/c'].map(
      (key) => get(set.snapshot.ingresses, key)?.metadata?.creationTimestamp,
    );
    expect(created).toEqual(['1970-01-01T00:00:00Z', '1970-01-01T00:00:00Z', '2024-05-01T10:00:00Z']);
  });

  test('stringData of a Secret goes, encoded, into its data and wins there', async () => {
    const set = await read(
      'apiVersion: v1\nkind: Secret\nmetadata: { name: tls }\ntype: kubernetes.io/tls\n' +
        'data: { tls.crt: b2xk, tls.key: a2V5 }\nstringData: { tls.crt: "new é" }\n',
    );
    const secret = get(set.snapshot.secrets, 'default/tls');
    expect(secret?.data).toEqual({ 'tls.crt': Buffer.from('new é').toString('base64'), 'tls.key': 'a2V5' });
    expect(secret).not.toHaveProperty('stringData');
  });

  test('stringData that is no string is refused where it stands', async () => {
    const set = await read(
      'apiVersion: v1\nkind: Secret\nmetadata: { name: tls }\nstringData: { a: b, port: 80 }\n',
    );
    expect(set.snapshot.secrets.size).toBe(0);
    expect(set.problems.map((problem) => problem.field)).toEqual(['stringData[port]']);
    expect(set.locate(set.problems[0]!)).toMatchObject({ line: 4, column: 27 });
  });
});

test('objects are frozen through and through', async () => {
  const set = await read(ingress('a'));
  const object = get(set.snapshot.ingresses, 'shop/a');
  expect(Object.isFrozen(object)).toBe(true);
  expect(() => Object.assign(object?.spec?.rules?.[0]?.http?.paths[0] ?? {}, { path: '/x' })).toThrow(
    TypeError,
  );
});

test('an object that is defined twice: the first counts, the problem names both places', async () => {
  const { path } = await folder({
    'a.yaml': ingress('a', 'one.test'),
    'b.yaml': documents(ingress('b'), ingress('a', 'two.test')),
  });
  const set = await readManifests({ paths: [path] });
  expect(get(set.snapshot.ingresses, 'shop/a')?.spec?.rules?.[0]?.host).toBe('one.test');
  expect(set.problems).toEqual([
    expect.objectContaining({
      code: 'DuplicateObject',
      severity: 'error',
      message: `Ingress shop/a is defined at ${path}/a.yaml:4 and again at ${path}/b.yaml:23; the first is served, remove one of them.`,
    }),
  ]);
  expect(set.locate(set.problems[0]!)).toEqual({ file: `${path}/b.yaml`, line: 23, column: 9 });
});

test('only the namespaces that are watched; kinds without one always', async () => {
  const { path } = await folder({
    'a.yaml': documents(
      ingress('a', 'a.test', 'team-a'),
      ingress('b', 'b.test', 'kube-system'),
      'apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: { name: portico }\nspec: { controller: a.b/c }\n',
    ),
  });
  const set = await readManifests({ paths: [path], watchNamespaces: ['team-*', 'shop'] });
  expect(ingressKeys(set)).toEqual(['team-a/a']);
  expect(set.snapshot.ingressClasses.size).toBe(1);
});

describe('paths', () => {
  test('a folder stands for its own .yaml, .yml and .json files, without hidden ones and subfolders', async () => {
    const { path } = await folder({
      'a.yaml': ingress('a'),
      'b.yml': ingress('b'),
      'c.json': '[]',
      'notes.txt': ingress('d'),
      '.hidden.yaml': ingress('e'),
      'sub/f.yaml': ingress('f'),
      'folder.yaml/g.yaml': ingress('g'),
    });
    const set = await readManifests({ paths: [path] });
    expect(ingressKeys(set)).toEqual(['shop/a', 'shop/b']);
    expect(set.problems.map((problem) => problem.object.name)).toEqual([`${path}/c.json`]);
  });

  test('a file is read whatever its name, and once though it is named twice', async () => {
    const { path } = await folder({ 'manifest.txt': ingress('a'), 'b.yaml': service('web') });
    const set = await readManifests({ paths: [`${path}/manifest.txt`, path, `${path}/b.yaml`] });
    expect(ingressKeys(set)).toEqual(['shop/a']);
    expect(set.snapshot.services.size).toBe(1);
    expect(set.problems).toEqual([]);
  });
});

test('what the API server would refuse is left out and reported where it stands; the rest is served', async () => {
  const { path } = await folder({ 'a.yaml': documents(ingress('bad', 'NOT_A_HOST'), ingress('good')) });
  const set = await readManifests({ paths: [path] });
  expect(ingressKeys(set)).toEqual(['shop/good']);
  expect(set.problems).toHaveLength(1);
  expect(set.problems[0]).toMatchObject({
    severity: 'error',
    object: { kind: 'Ingress', namespace: 'shop', name: 'bad' },
  });
  expect(set.problems[0]?.message).toMatch(/; the object is left out\.$/);
  expect(set.locate(set.problems[0]!)).toEqual({ file: `${path}/a.yaml`, line: 9, column: 13 });
});
