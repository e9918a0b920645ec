import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { execAuthenticator } from '../../src/kubernetes/exec-plugin.ts';
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts';

const V1 = 'client.authentication.k8s.io/v1';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'portico-exec-plugin-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** A user whose plugin is this shell script. */
async function userWith(script: string, exec: object = {}, cluster: object = {}) {
  const plugin = join(directory, 'plugin');
  await writeFile(plugin, `#!/bin/sh\n${script}\n`);
  await chmod(plugin, 0o755);
  const config = join(directory, 'config');
  const yaml = {
    kind: 'Config',
    'current-context': 'c',
    clusters: [{ name: 'k', cluster: { server: 'https://k.test:6443', ...cluster } }],
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    users: [{ name: 'u', user: { exec: { apiVersion: V1, command: './plugin', ...exec } } }],
  };
  await writeFile(config, JSON.stringify(yaml));
  const loaded = await loadKubeconfig({ env: {}, kubeconfig: config });
  if (loaded.kind === 'failed') throw new Error(loaded.message);
  return loaded.connection;
}

/** A script that answers with this status. */
function answering(status: object, apiVersion = V1): string {
  return `echo '${JSON.stringify({ apiVersion, kind: 'ExecCredential', status })}'`;
}

/** What a script finds in KUBERNETES_EXEC_INFO. */
async function execInfo(exec: object, cluster: object = {}): Promise<unknown> {
  const script = `printf %s "$KUBERNETES_EXEC_INFO" > ${join(directory, 'info')}\n${answering({ token: 't' })}`;
  await (await userWith(script, exec, cluster)).credentials.headers();
  return JSON.parse(await readFile(join(directory, 'info'), 'utf8'));
}

test('it is run once for all who ask together, and again after its token was refused', async () => {
  const runs = join(directory, 'runs');
  const { credentials } = await userWith(
    `echo run >> ${runs}; N=$(wc -l < ${runs} | tr -d ' ')\n${answering({ token: 'token-N' }).replace('-N', `-'$N'`)}`,
  );
  const first = await Promise.all([credentials.headers(), credentials.headers()]);
  expect(first).toEqual([{ authorization: 'Bearer token-1' }, { authorization: 'Bearer token-1' }]);
  expect(await credentials.headers()).toEqual({ authorization: 'Bearer token-1' });
  expect(credentials.renew()).toBe(true);
  expect(await credentials.headers()).toEqual({ authorization: 'Bearer token-2' });
});

test('it may answer with a client certificate', async () => {
  const { tls, credentials } = await userWith(
    answering({ clientCertificateData: 'CERT', clientKeyData: 'KEY' }),
  );
  expect(await tls()).toEqual({ cert: 'CERT', key: 'KEY' });
  expect(await credentials.headers()).toEqual({});
});

test('it gets its arguments and its environment, and no input', async () => {
  const { credentials } = await userWith(
    `cat\n${answering({ token: 'T' }).replace('T', `'"$1-$FROM-$HOME"'`)}`,
    {
      args: ['argument'],
      env: [{ name: 'FROM', value: 'kubeconfig' }],
    },
  );
  expect(await credentials.headers()).toEqual({
    authorization: `Bearer argument-kubeconfig-${process.env['HOME']}`,
  });
});

test('it is told of its cluster when it asks for it', async () => {
  const plain = { apiVersion: V1, kind: 'ExecCredential', spec: { interactive: false } };
  expect(await execInfo({ interactiveMode: 'IfAvailable' })).toEqual(plain);

  const extension = { audience: 'one', nested: { list: [1] } };
  await writeFile(join(directory, 'ca.pem'), 'CA');
  const cluster = {
    'certificate-authority': 'ca.pem',
    'tls-server-name': 'api.test',
    'insecure-skip-tls-verify': true,
    'proxy-url': 'http://proxy.test:3128',
    extensions: [
      { name: 'other', extension: { no: 1 } },
      { name: 'client.authentication.k8s.io/exec', extension },
    ],
  };
  expect(await execInfo({ provideClusterInfo: true, interactiveMode: 'Never' }, cluster)).toEqual({
    ...plain,
    spec: {
      interactive: false,
      cluster: {
        server: 'https://k.test:6443',
        'tls-server-name': 'api.test',
        'insecure-skip-tls-verify': true,
        'certificate-authority-data': Buffer.from('CA').toString('base64'),
        'proxy-url': 'http://proxy.test:3128',
        config: extension,
      },
    },
  });
});

const EXPIRED = '2020-01-01T00:00:00Z';

test.each<[what: string, script: string, said: string]>([
  [
    'fails',
    "echo first >&2; printf '\\033[31mnot logged in\\033[0m\\n' >&2; exit 3",
    'failed with exit code 3: not logged in',
  ],
  ['fails without a word', 'exit 1', 'failed with exit code 1'],
  ['is killed', 'kill -9 $$', 'was ended by SIGKILL'],
  ['answers with something else', 'echo token', 'did not answer with JSON'],
  [
    'answers in another version',
    answering({ token: 't' }, 'client.authentication.k8s.io/v1beta1'),
    `did not answer with an ExecCredential of ${V1}, as the kubeconfig requires`,
  ],
  [
    'answers without a status',
    `echo '{"kind":"ExecCredential","apiVersion":"${V1}"}'`,
    'answered without a status',
  ],
  ['answers with nothing', answering({}), 'answered with neither a token nor a certificate'],
  [
    'answers with half a certificate',
    answering({ clientCertificateData: 'C' }),
    'answered with only one of clientCertificateData and clientKeyData',
  ],
  [
    'answers with what has expired',
    answering({ token: 't', expirationTimestamp: EXPIRED }),
    'answered with credentials that expired at 2020-01-01T00:00:00.000Z: log in again, or check the clock of this machine',
  ],
  [
    'answers with a bad time',
    answering({ token: 't', expirationTimestamp: 'soon' }),
    'answered with an expirationTimestamp that is not an RFC 3339 time',
  ],
  [
    'writes without end',
    'while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done | cat',
    'wrote more than 1048576 bytes',
  ],
])('one that %s is one line', async (_, script, said) => {
  const { credentials } = await userWith(script);
  const plugin = join(directory, 'plugin');
  await expect(credentials.headers()).rejects.toThrow(
    new Error(`cannot get the credentials of user "u": exec plugin "${plugin}" ${said}`),
  );
});

test('one that is not there is one line, with the hint of the kubeconfig', async () => {
  const installHint = 'Get it with:\n\n  brew install it\n';
  const { credentials } = await userWith('', { command: 'no-such-plugin', installHint });
  await expect(credentials.headers()).rejects.toThrow(
    new Error(
      'cannot get the credentials of user "u": exec plugin "no-such-plugin" was not found: install it or correct PATH (Get it with: brew install it)',
    ),
  );
});

test('one that does not end is ended', async () => {
  const plugin = {
    command: '/bin/sh',
    args: ['-c', 'exec sleep 1000'],
    env: {},
    apiVersion: V1,
    installHint: '',
    cluster: null,
  };
  await expect(execAuthenticator(plugin, 300).applyAuthentication({ name: 'u' }, {})).rejects.toThrow(
    'exec plugin "/bin/sh" did not end in time',
  );
});
