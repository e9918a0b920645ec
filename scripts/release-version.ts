/** Where the version of Portico is written beside package.json, which is where it is decided. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './bundle.ts';

const VERSION = String.raw`\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?`;
const pattern = (before: string, after = ''): RegExp =>
  new RegExp(`(${before})(${VERSION})(?=${after})`, 'gm');
const IMAGE = pattern('portico-dev/portico:');
const BUILT_IMAGE = pattern('registry.example.com/portico:');

/** What stands before each version. Every pattern is in its file at least once. */
const PLACES: Readonly<Record<string, readonly RegExp[]>> = {
  'package.json': [pattern('^  "version": "')],
  'src/version.ts': [pattern("VERSION = '")],
  'deploy/daemonset.yaml': [IMAGE],
  'deploy/Kustomization': [pattern('newTag: ')],
  'deploy/variants/cleanup.yaml': [IMAGE],
  'deploy/variants/deployment.yaml': [IMAGE],
  'deploy/variants/namespaced.yaml': [IMAGE],
  'deploy/variants/tcp-migrate-req.yaml': [IMAGE],
  'deploy/helm/portico/Chart.yaml': [pattern('^version: '), pattern('^appVersion: '), IMAGE],
  'deploy/helm/portico/values.yaml': [pattern('^  tag: '), pattern('digest: ', '@')],
  'deploy/kubectl/portico.yaml': [
    pattern('^  version: v'),
    pattern('/download/v'),
    pattern('kubectl-portico-v', String.raw`\.tar\.gz`),
  ],
  'README.md': [BUILT_IMAGE, pattern('portico-', String.raw`\.tgz`)],
  'docs/install.md': [BUILT_IMAGE, pattern('newTag: ')],
  'docs/ci.md': [pattern('rev: v')],
};

export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  return version;
}

/** Writes a version to every place; package-lock.json and what Helm renders follow by their own tools. */
export function writeVersion(version: string): void {
  for (const [file, patterns] of Object.entries(PLACES)) {
    const path = join(ROOT, file);
    let text = readFileSync(path, 'utf8');
    for (const each of patterns) text = text.replaceAll(each, `$1${version}`);
    writeFileSync(path, text);
  }
}

/** One line for each place that says something else than package.json, and for what cannot be found any more. */
export function versionFaults(version = packageVersion()): readonly string[] {
  return Object.entries(PLACES).flatMap(([file, patterns]) => {
    const text = readFileSync(join(ROOT, file), 'utf8');
    return patterns.flatMap((each) => {
      const found = [...text.matchAll(each)].map(([, before = '', said = '']) => ({ before, said }));
      if (found.length === 0) return [`${file}: there is no version after ${each.source}`];
      const others = found.filter(({ said }) => said !== version);
      return others.map(
        ({ before, said }) => `${file}: says ${before.trim()}${said}, and package.json ${version}`,
      );
    });
  });
}

/** What is wrong with the changelog for a version that is released; null if nothing. */
export function changelogFault(changelog: string, version: string): string | null {
  const [, title = ''] = /^## (.*)$/m.exec(changelog) ?? [];
  if (/^(\S+), (\d{4}-\d{2}-\d{2})$/.exec(title)?.[1] === version) return null;
  return `CHANGELOG.md: the newest section is "${title}"; it must be "${version}, YYYY-MM-DD"`;
}
