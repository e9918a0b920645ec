/**
 * A small cluster for one command: a real kube-apiserver and etcd, and a node whose Pods are processes in network
 * namespaces. All of it runs in a network namespace of its own, which no packet leaves, and ends with the command.
 *
 *     npm run cluster -- npx vitest run test/e2e/cluster.test.ts
 *
 * The command finds the kubeconfig in KUBECONFIG and PORTICO_TEST_KUBECONFIG, and `kubectl` on its path. The first run
 * builds Kubernetes, which takes about twenty minutes on two cores.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildBinaries, whatIsMissing } from './binaries.ts';
import { startControlPlane } from './control-plane.ts';
import { ClusterNode } from './node.ts';
import { NODE_ADDRESS, makeNetwork } from './pod.ts';

const WITHIN = 'PORTICO_CLUSTER_BINARIES';

const [command, ...args] = process.argv.slice(2);
if (command === undefined) {
  process.stderr.write('usage: npm run cluster -- COMMAND [ARGUMENT...]\n');
  process.exit(2);
}
const binaries = process.env[WITHIN];
process.exitCode = await (binaries === undefined
  ? enterNamespace(process.argv.slice(1))
  : serve(binaries, command, args));

/** Runs this file again in a network namespace of its own; gives its exit code. */
async function enterNamespace(argv: readonly string[]): Promise<number> {
  const missing = whatIsMissing();
  if (missing !== null) {
    process.stdout.write(`skipped: ${missing}\n`);
    return 0;
  }
  const env = { ...process.env, [WITHIN]: buildBinaries() };
  return run('unshare', ['--net', '--map-root-user', '--kill-child=SIGTERM', process.execPath, ...argv], env);
}

/** A cluster for as long as the command runs; gives its exit code. */
async function serve(cache: string, file: string, rest: readonly string[]): Promise<number> {
  makeNetwork();
  const folder = await mkdtemp(join(tmpdir(), 'portico-cluster-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const { kubeconfig } = stack.use(await startControlPlane(cache, folder));
  stack.use(await ClusterNode.start(kubeconfig, join(cache, 'echo-basic'), folder));
  const { [WITHIN]: _, ...env } = process.env;
  // Awaited here: the cluster goes when this function is left.
  return await run(file, rest, {
    ...env,
    PATH: `${cache}:${process.env['PATH']}`,
    KUBECONFIG: kubeconfig,
    PORTICO_TEST_KUBECONFIG: kubeconfig,
    PORTICO_TEST_UPSTREAM_ADDRESS: NODE_ADDRESS,
  });
}

/** Signals go to the command, and what is here ends after it. */
async function run(file: string, rest: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(file, rest, { env, stdio: 'inherit' });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, pass);
  const [code] = (await once(child, 'close')) as [number | null];
  for (const signal of signals) process.off(signal, pass);
  return code ?? 1;
}
