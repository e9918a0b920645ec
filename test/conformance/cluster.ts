/**
 * A small cluster for one command: a real kube-apiserver and etcd, and a node whose Pods are processes in network
 * namespaces. All of it runs in a network namespace of its own, which no packet leaves, and ends with the command.
 *
 *     npm run cluster -- npx vitest run test/e2e/cluster.test.ts
 *
 * The command finds the kubeconfig in KUBECONFIG and PORTICO_TEST_KUBECONFIG, and `kubectl` on its path. The first run
 * builds Kubernetes, which takes about twenty minutes on two cores.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startControlPlane } from './control-plane.ts';
import { ClusterNode } from './node.ts';
import { NODE_ADDRESS, makeNetwork } from './pod.ts';
import { binariesOfSandbox, enterSandbox, runCommand } from './sandbox.ts';

const [command, ...args] = process.argv.slice(2);
if (command === undefined) {
  process.stderr.write('usage: npm run cluster -- COMMAND [ARGUMENT...]\n');
  process.exit(2);
}
const binaries = binariesOfSandbox();
process.exitCode = await (binaries === null ? enterSandbox(0) : serve(binaries, command, args));

/** A cluster for as long as the command runs; gives its exit code. */
async function serve(folderOfBinaries: string, file: string, rest: readonly string[]): Promise<number> {
  makeNetwork();
  const folder = await mkdtemp(join(tmpdir(), 'portico-cluster-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const { kubeconfig } = stack.use(await startControlPlane(folderOfBinaries, folder));
  stack.use(await ClusterNode.start(kubeconfig, folderOfBinaries, folder));
  // Awaited here: the cluster goes when this function is left.
  return await runCommand(file, rest, {
    ...process.env,
    PATH: `${folderOfBinaries}:${process.env['PATH']}`,
    KUBECONFIG: kubeconfig,
    PORTICO_TEST_KUBECONFIG: kubeconfig,
    PORTICO_TEST_UPSTREAM_ADDRESS: NODE_ADDRESS,
  });
}
