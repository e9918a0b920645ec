import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node';

/** A kube-apiserver with its etcd, on the loopback. */
export interface ControlPlane extends AsyncDisposable {
  /** The file, for a user who may do everything. */
  readonly kubeconfig: string;
}

/** Starts both from `binaries`, with their files and logs in `folder`, and waits until the API server answers. */
export async function startControlPlane(binaries: string, folder: string): Promise<ControlPlane> {
  await mkdir(folder, { recursive: true });
  const [clientPort, peerPort, apiPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const etcd = await start(folder, join(binaries, 'etcd'), [
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=http://127.0.0.1:${clientPort}`,
    `--advertise-client-urls=http://127.0.0.1:${clientPort}`,
    `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${peerPort}`,
    `--initial-cluster=default=http://127.0.0.1:${peerPort}`,
    // Nothing outlives the run.
    '--unsafe-no-fsync',
  ]);

  const token = randomBytes(16).toString('hex');
  const tokens = join(folder, 'tokens.csv');
  await writeFile(tokens, `${token},admin,admin,system:masters\n`, { mode: 0o600 });
  const accounts = join(folder, 'service-accounts.key');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await writeFile(accounts, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const certificates = join(folder, 'certificates');
  const api = await start(folder, join(binaries, 'kube-apiserver'), [
    `--etcd-servers=http://127.0.0.1:${clientPort}`,
    '--bind-address=127.0.0.1',
    // The endpoint of the Service "kubernetes", which may not be a loopback address.
    '--advertise-address=10.244.0.1',
    `--secure-port=${apiPort}`,
    `--cert-dir=${certificates}`,
    `--token-auth-file=${tokens}`,
    '--authorization-mode=RBAC',
    `--service-account-key-file=${accounts}`,
    `--service-account-signing-key-file=${accounts}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    '--service-cluster-ip-range=10.96.0.0/16',
    // No controller makes the account that it would ask of every Pod.
    '--disable-admission-plugins=ServiceAccount',
    '--kubelet-preferred-address-types=InternalIP',
  ]);
  const kubeconfig = join(folder, 'kubeconfig');
  await until(api, async () => {
    const authority = await readFile(join(certificates, 'apiserver.crt'), 'base64').catch(() => '');
    if (authority === '') return false;
    await writeFile(kubeconfig, kubeconfigOf(`https://127.0.0.1:${apiPort}`, authority, token), {
      mode: 0o600,
    });
    return true;
  });
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const client = config.makeApiClient(CoreV1Api);
  await until(api, () =>
    client.readNamespace({ name: 'default' }).then(
      () => true,
      () => false,
    ),
  );
  return {
    kubeconfig,
    async [Symbol.asyncDispose]() {
      await stop(api);
      await stop(etcd);
    },
  };
}

function kubeconfigOf(server: string, authority: string, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'local', cluster: { server, 'certificate-authority-data': authority } }],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'local', context: { cluster: 'local', user: 'admin' } }],
    'current-context': 'local',
  });
}

async function start(folder: string, file: string, args: readonly string[]): Promise<ChildProcess> {
  const log = openSync(join(folder, `${file.slice(file.lastIndexOf('/') + 1)}.log`), 'w');
  const child = spawn(file, args, { stdio: ['ignore', log, log] });
  await once(child, 'spawn');
  closeSync(log);
  return child;
}

/** Ends a process: asked first, killed after five seconds. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await gone;
  clearTimeout(timer);
}

/** Asks until it is so; throws when the process has ended or after a minute. */
async function until(api: ChildProcess, isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await isSo()) return;
    if (api.exitCode !== null) break;
    await sleep(100);
  }
  throw new Error('kube-apiserver does not answer: see kube-apiserver.log');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('the kernel gave no port');
  return address.port;
}
