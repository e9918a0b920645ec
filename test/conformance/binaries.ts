import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const MODULE = import.meta.dirname;

/** Of Kubernetes in go.mod: kubectl compares it with that of the API server. */
const VERSION = '-X k8s.io/component-base/version.gitVersion=v1.36.3';

const PROGRAMS = {
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
  etcd: 'go.etcd.io/etcd/server/v3',
  'echo-basic': 'sigs.k8s.io/gateway-api/conformance/echo-basic',
};

/**
 * The folder with the programs that go.mod names: built once for each content of go.sum, and kept in the user's cache.
 * Throws when one cannot be built.
 */
export function buildBinaries(): string {
  const version = createHash('sha256')
    .update(readFileSync(join(MODULE, 'go.sum')))
    .digest('hex')
    .slice(0, 12);
  const cache = join(
    process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
    'portico',
    'conformance',
    version,
  );
  mkdirSync(cache, { recursive: true });
  for (const [program, path] of Object.entries(PROGRAMS)) {
    build(join(cache, program), path);
  }
  return cache;
}

function build(file: string, path: string): void {
  if (existsSync(file)) return;
  process.stdout.write(`building ${file}\n`);
  const unfinished = `${file}.new`;
  const { status } = spawnSync('go', ['build', '-trimpath', '-ldflags', VERSION, '-o', unfinished, path], {
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
