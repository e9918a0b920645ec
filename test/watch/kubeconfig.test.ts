import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type KubeconfigOptions, loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'portico-kubeconfig-'));
});
afterEach(() => rm(directory, { recursive: true }));

interface Entry {
  readonly name: string;
  readonly server?: string;
  readonly cluster?: string;
  readonly user?: string;
}

function kubeconfig({
  name,
  server = `https://${name}.example:6443`,
  cluster = '',
  user = '{ token: t }',
}: Entry): string {
  return `apiVersion: v1
kind: Config
current-context: ${name}
clusters: [{ name: ${name}, cluster: { server: '${server}' ${cluster} } }]
users: [{ name: ${name}, user: ${user} }]
contexts: [{ name: ${name}, context: { cluster: ${name}, user: ${name}, namespace: n-${name} } }]
`;
}

async function file(name: string, text: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, text);
  return path;
}

async function failure(options: Partial<KubeconfigOptions>): Promise<string> {
  const loaded = await loadKubeconfig({ env: {}, ...options });
  if (loaded.kind === 'ok') throw new Error('it loaded');
  expect(loaded.message).not.toContain('\n');
  return loaded.message.replaceAll(directory, 'DIR');
}

async function access(options: Partial<KubeconfigOptions>) {
  const loaded = await loadKubeconfig({ env: {}, ...options });
  if (loaded.kind === 'failed') throw new Error(loaded.message);
  return loaded.connection;
}

test('--kubeconfig wins over $KUBECONFIG, which wins over ~/.kube/config, which wins over the service account', async () => {
  const flag = await file('flag', kubeconfig({ name: 'flag' }));
  const named = await file('named', kubeconfig({ name: 'named' }));
  await mkdir(join(directory, '.kube'));
  await file('.kube/config', kubeconfig({ name: 'home' }));
  await file('token', 'pod-token\n');
  await file('ca.crt', 'ca');
  await file('namespace', 'portico');
  const env = { KUBECONFIG: named, HOME: directory, KUBERNETES_SERVICE_HOST: '10.96.0.1' };
  const found = async (options: Partial<KubeconfigOptions>) =>
    (await access({ serviceAccountDirectory: directory, ...options })).server.host;
  expect(await found({ kubeconfig: flag, env })).toBe('flag.example:6443');
  expect(await found({ env })).toBe('named.example:6443');
  expect(await found({ env: { ...env, KUBECONFIG: undefined } })).toBe('home.example:6443');
  expect(await found({ env: { ...env, KUBECONFIG: '', HOME: undefined } })).toBe('10.96.0.1');
});

test('the service account of a Pod: token and authority are read from their files', async () => {
  await file('token', 'pod-token\n');
  await file('ca.crt', 'ca');
  await file('namespace', 'portico\n');
  const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' };
  const found = await access({ env, serviceAccountDirectory: directory });
  expect(found.server.href).toBe('https://[fd00::1]:6443/');
  expect(found.namespace).toBe('portico');
  expect(await found.credentials.headers()).toEqual({ authorization: 'Bearer pod-token' });
  expect(`${(await found.tls()).ca as Buffer}`).toBe('ca');
  await file('token', 'rotated');
  found.credentials.renew();
  expect(await found.credentials.headers()).toEqual({ authorization: 'Bearer rotated' });
});

test('several files are merged: the first to name something wins, missing ones are skipped', async () => {
  const one = await file('one', kubeconfig({ name: 'a' }));
  const two = await file('two', `${kubeconfig({ name: 'b' })}`);
  const three = await file('three', kubeconfig({ name: 'a', server: 'https://shadowed.example' }));
  const env = { KUBECONFIG: [join(directory, 'missing'), one, two, three].join(delimiter) };
  expect((await access({ env })).server.host).toBe('a.example:6443');
  const other = await access({ env, context: 'b' });
  expect(other.server.host).toBe('b.example:6443');
  expect(other.namespace).toBe('n-b');
});

test('TLS options, relative files, basic auth and impersonation', async () => {
  await file('ca.pem', 'ca');
  await file('client.pem', 'cert');
  const key = Buffer.from('key').toString('base64');
  const config = await file(
    'config',
    kubeconfig({
      name: 'a',
      cluster:
        ', certificate-authority: ca.pem, tls-server-name: api.internal, insecure-skip-tls-verify: true',
      user: `{ client-certificate: client.pem, client-key-data: ${key}, username: u, password: p, as: jane, as-groups: [x, y] }`,
    }),
  );
  const found = await access({ kubeconfig: config });
  expect(await found.tls()).toEqual({
    ca: Buffer.from('ca'),
    cert: Buffer.from('cert'),
    key: Buffer.from('key'),
    servername: 'api.internal',
    rejectUnauthorized: false,
  });
  expect(await found.credentials.headers()).toEqual({
    authorization: 'Basic dTpw',
    'impersonate-user': 'jane',
    'impersonate-group': ['x', 'y'],
  });
  expect(found.credentials.renew()).toBe(false);
});

test('every mistake is one line', async () => {
  const good = kubeconfig({ name: 'a' });
  const cases: [string, Partial<KubeconfigOptions>, string][] = [
    ['', { kubeconfig: join(directory, 'none') }, 'cannot read kubeconfig DIR/none: there is no such file'],
    ['', { kubeconfig: directory }, 'cannot read kubeconfig DIR: it is a folder'],
    ['a: [1,\nb: {', {}, 'cannot read kubeconfig DIR/config: line 2: '],
    ['a: 1\n---\nb: 2', {}, 'cannot read kubeconfig DIR/config: line 2: a second document begins here'],
    ['just text', {}, 'cannot read kubeconfig DIR/config: it is not a kubeconfig (kind: Config)'],
    ['clusters: [{ name: x }]', {}, 'cannot read kubeconfig DIR/config: clusters[0].cluster is missing'],
    [
      'kind: Config',
      {},
      'kubeconfig DIR/config has no current-context: choose one with --context; it has none',
    ],
    [good, { context: 'b' }, 'kubeconfig DIR/config has no context "b"; it has a'],
    [
      good.replace('cluster: a', 'cluster: z'),
      {},
      'kubeconfig DIR/config: context "a" names an unknown cluster: "z"',
    ],
    [good.replace('user: a', 'user: z'), {}, 'kubeconfig DIR/config: context "a" names an unknown user: "z"'],
    [
      kubeconfig({ name: 'a', user: '{ exec: { args: [a] } }' }),
      {},
      'kubeconfig DIR/config: user "a": its exec plugin has no command',
    ],
    [
      kubeconfig({
        name: 'a',
        user: '{ exec: { command: x, apiVersion: client.authentication.k8s.io/v1alpha1 } }',
      }),
      {},
      'its exec plugin has apiVersion "client.authentication.k8s.io/v1alpha1": use client.authentication.k8s.io/v1 or',
    ],
    [
      kubeconfig({ name: 'a', user: '{ exec: { command: x, interactiveMode: Always } }' }),
      {},
      'its exec plugin needs a terminal (interactiveMode: Always), which Portico does not give it',
    ],
    [
      kubeconfig({ name: 'a', user: '{ exec: { command: x, interactiveMode: Sometimes } }' }),
      {},
      'its exec plugin has interactiveMode "Sometimes": use Never or IfAvailable',
    ],
    [
      kubeconfig({ name: 'a', server: 'ftp://x' }),
      {},
      'kubeconfig DIR/config: cluster "a": server is not an http(s) URL: ftp://x',
    ],
    [
      kubeconfig({ name: 'a', cluster: ', proxy-url: socks5://x' }),
      {},
      'kubeconfig DIR/config: cluster "a": proxy-url must be an http or https URL',
    ],
    [
      kubeconfig({ name: 'a', cluster: ', certificate-authority: missing.pem' }),
      {},
      'context a of DIR/config: cannot read DIR/missing.pem: there is no such file',
    ],
  ];
  for (const [text, options, message] of cases) {
    const config = await file('config', text);
    expect(await failure({ kubeconfig: config, ...options })).toContain(message);
  }
  expect(await failure({ env: { KUBECONFIG: join(directory, 'none') } })).toBe(
    'KUBECONFIG names DIR/none, which does not exist',
  );
  expect(await failure({ env: { HOME: directory } })).toBe(
    'no cluster to watch: there is no DIR/.kube/config and no service account; name a kubeconfig with --kubeconfig, or manifests with --manifests',
  );
});

test('an auth-provider that Kubernetes removed is said', async () => {
  const config = await file('config', kubeconfig({ name: 'a', user: '{ auth-provider: { name: gcp } }' }));
  const { credentials } = await access({ kubeconfig: config });
  await expect(credentials.headers()).rejects.toThrow('use its exec plugin instead');
});
