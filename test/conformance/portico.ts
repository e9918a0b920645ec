import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stop } from './control-plane.ts';

const ROOT = join(import.meta.dirname, '../..');
const STATUS = 'http://127.0.0.1:10254';
const READY_WITHIN_MS = 30_000;

/** Portico as users start it: built from this checkout, with the rights of deploy/rbac.yaml and of the variants for ConfigMaps and Services. */
export interface Portico extends AsyncDisposable {
  /** Aborted when the process ends before it is asked to. */
  readonly died: AbortSignal;
}

/** Starts it with these flags, and waits until it is ready. Its log goes to `portico.log` in `folder`. */
export async function startPortico(
  binaries: string,
  folder: string,
  kubeconfig: string,
  flags: readonly string[],
): Promise<Portico> {
  execFileSync(process.execPath, [join(ROOT, 'scripts/build.ts'), join(folder, 'portico')]);
  const kubectl = (...args: string[]): string =>
    execFileSync(join(binaries, 'kubectl'), [`--kubeconfig=${kubeconfig}`, ...args], { encoding: 'utf8' });
  for (const file of ['00-namespace', 'rbac', 'variants/configmaps', 'variants/gateway-services'])
    kubectl('apply', '-f', join(ROOT, `deploy/${file}.yaml`));
  const token = kubectl('create', 'token', 'portico', '--namespace=portico-system', '--duration=2h').trim();
  const own = join(folder, 'portico.kubeconfig');
  writeFileSync(own, withToken(readFileSync(kubeconfig, 'utf8'), token), { mode: 0o600 });

  const log = openSync(join(folder, 'portico.log'), 'w');
  const args = [join(folder, 'portico/portico.js'), 'run', '--kubeconfig', own, ...flags];
  const child = spawn(process.execPath, args, { stdio: ['ignore', log, log] });
  closeSync(log);
  const died = new AbortController();
  const tellDeath = (): void => died.abort(new Error('Portico has ended: see portico.log'));
  child.once('exit', tellDeath);
  await untilReady(child);
  return {
    died: died.signal,
    async [Symbol.asyncDispose]() {
      child.off('exit', tellDeath);
      await stop(child);
    },
  };
}

/** The same cluster, for a user with this token. */
function withToken(kubeconfig: string, token: string): string {
  const config = JSON.parse(kubeconfig) as { users: { user: unknown }[] };
  for (const each of config.users) each.user = { token };
  return JSON.stringify(config);
}

async function untilReady(child: ChildProcess): Promise<void> {
  for (let waited = 0; waited < READY_WITHIN_MS; waited += 100) {
    if (child.exitCode !== null) throw new Error(`Portico ended with ${child.exitCode}: see portico.log`);
    const response = await fetch(`${STATUS}/readyz`).catch(() => null);
    if (response?.status === 200) return;
    await sleep(100);
  }
  await stop(child);
  throw new Error('Portico does not become ready: see portico.log');
}
