/**
 * `node scripts/kubernetes-versions.ts` writes test/deploy/kubernetes-versions.json: for each version of Kubernetes that is supported, which
 * fields and kinds of the newest one it does not have, of the groups that our manifests use. Read from the types of k8s.io/api, which
 * Go fetches. Tests hold the manifests and the chart to every version.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatted } from './formatted.ts';
import { ROOT } from './bundle.ts';

export const KUBERNETES_VERSIONS = join(ROOT, 'test/deploy/kubernetes-versions.json');
const OLDEST_MINOR = 30;
const NEWEST_MINOR = 36;
const PACKAGES = [
  'apps/v1',
  'autoscaling/v2',
  'coordination/v1',
  'core/v1',
  'discovery/v1',
  'events/v1',
  'networking/v1',
  'policy/v1',
  'rbac/v1',
];

/** `Type.field` of every struct, and `Type` for the struct itself. */
function namesOf(folder: string): Set<string> {
  const names = new Set<string>();
  for (const path of PACKAGES) {
    const files = readdirSync(join(folder, path)).filter((name) => /^types.*\.go$/.test(name));
    for (const file of files) {
      const text = readFileSync(join(folder, path, file), 'utf8');
      for (const [, type = '', body = ''] of text.matchAll(/^type (\w+) struct \{\n([^]*?)^\}/gm)) {
        names.add(type);
        for (const [, field = ''] of body.matchAll(/`json:"(\w+)/g)) names.add(`${type}.${field}`);
      }
    }
  }
  return names;
}

async function write(): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'portico-kubernetes-'));
  const go = (...args: string[]): string =>
    execFileSync('go', args, { cwd: work, encoding: 'utf8', env: { ...process.env, GOFLAGS: '-mod=mod' } });
  try {
    writeFileSync(join(work, 'go.mod'), 'module x\n\ngo 1.24\n');
    const all = go('list', '-m', '-versions', 'k8s.io/api').split(/\s+/);
    const versions = Array.from({ length: NEWEST_MINOR - OLDEST_MINOR + 1 }, (_, index) => {
      const minor = OLDEST_MINOR + index;
      const patches = all.filter((version) => new RegExp(`^v0\\.${minor}\\.\\d+$`).test(version));
      return { minor: `1.${minor}`, version: patches.at(-1) ?? '' };
    });
    const names = versions.map(({ version }) => {
      const { Dir } = JSON.parse(go('mod', 'download', '-json', `k8s.io/api@${version}`)) as { Dir: string };
      return namesOf(Dir);
    });
    const newest = [...(names.at(-1) ?? [])].toSorted();
    const missing = versions.map(({ minor }, index) => [
      minor,
      newest.filter((name) => !names[index]?.has(name)),
    ]);
    const text = JSON.stringify(Object.fromEntries(missing));
    writeFileSync(KUBERNETES_VERSIONS, await formatted(KUBERNETES_VERSIONS, text));
  } finally {
    rmSync(work, { recursive: true });
  }
}

if (import.meta.main) await write();
