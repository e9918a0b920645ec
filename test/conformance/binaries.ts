import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const MODULE = import.meta.dirname;

/** Of Kubernetes in go.mod: kubectl compares it with that of the API server. */
const VERSION = '-X k8s.io/component-base/version.gitVersion=v1.36.3';

/** What a cluster is made of, by the package that is built. */
const PROGRAMS = {
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
  etcd: 'go.etcd.io/etcd/server/v3',
  'echo-basic': 'sigs.k8s.io/gateway-api/conformance/echo-basic',
  dns: './dns',
};

/** The file of the conformance suite in the folder of the binaries: a test of this module as a program. */
export const SUITE = 'conformance.test';

/** The folder of the binaries, which are built once for each content of go.sum and kept in the user's cache. */
export function binariesFolder(): string {
  const version = createHash('sha256')
    .update(readFileSync(join(MODULE, 'go.sum')))
    .digest('hex')
    .slice(0, 12);
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(cache, 'portico', 'conformance', version);
}

/** Builds the programs of a cluster where they are missing, and gives their folder. Throws when one cannot be built. */
export function buildBinaries(): string {
  const folder = binariesFolder();
  mkdirSync(folder, { recursive: true });
  for (const [program, path] of Object.entries(PROGRAMS))
    build(folder, program, ['build', '-ldflags', VERSION], path);
  return folder;
}

/** Builds the conformance suite where it is missing. Throws when it cannot be built. */
export function buildSuite(): void {
  build(binariesFolder(), SUITE, ['test', '-c'], '.');
}

/** The folder of the module of Gateway API that go.mod names: its CRDs are under `config/crd`. */
export function gatewayApiFolder(): string {
  const { stdout, status } = spawnSync('go', ['list', '-m', '-f', '{{.Dir}}', 'sigs.k8s.io/gateway-api'], {
    cwd: MODULE,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error('go does not find the module sigs.k8s.io/gateway-api');
  return stdout.trim();
}

function build(folder: string, program: string, command: readonly string[], path: string): void {
  const file = join(folder, program);
  if (existsSync(file)) return;
  process.stdout.write(`building ${file}\n`);
  const unfinished = `${file}.new`;
  const { status } = spawnSync('go', [...command, '-trimpath', '-o', unfinished, path], {
    cwd: MODULE,
    stdio: 'inherit',
  });
  if (status !== 0) {
    rmSync(unfinished, { force: true });
    throw new Error(`go could not build ${file}`);
  }
  renameSync(unfinished, file);
}

/** What this machine lacks to run a cluster, in words for its user; null when it has everything. */
export function whatIsMissing(): string | null {
  if (process.platform !== 'linux') return 'a cluster needs Linux: its Pods are network namespaces';
  const go = spawnSync('go', ['version'], { encoding: 'utf8' });
  if (go.status !== 0)
    return 'a cluster needs Go 1.26 or newer to build the API server (https://go.dev/doc/install)';
  for (const program of ['ip', 'unshare', 'nsenter']) {
    if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0) {
      return `a cluster needs the command ${program} (Debian: iproute2, util-linux)`;
    }
  }
  return null;
}
