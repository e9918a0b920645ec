/**
 * `npm run sbom -- [FOLDER]` writes portico.cdx.json (CycloneDX) and portico.spdx.json (SPDX): what npm knows of the packages whose code
 * is in the bundle, and of no others. Most dependencies are for tests, and the page is bundled although nothing else needs preact.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './bundle.ts';

const FILES = { cyclonedx: 'portico.cdx.json', spdx: 'portico.spdx.json' } as const;

interface CycloneDx {
  metadata: { component: { name: string; 'bom-ref': string } };
  components: { name: string; version: string; 'bom-ref': string }[];
  dependencies: { ref: string; dependsOn?: string[] }[];
}
interface Spdx {
  name: string;
  packages: { name: string; versionInfo: string; SPDXID: string }[];
  relationships: { spdxElementId: string; relatedSpdxElement: string }[];
}

/** `name version` of every package in a bundle, by the licences beside it. */
export function bundledPackages(dist: string): ReadonlySet<string> {
  const [first = '', ...others] = readFileSync(join(dist, 'THIRD-PARTY-LICENSES.txt'), 'utf8').split(
    /^-{80}\n\n/m,
  );
  return new Set([first, ...others].map((text) => text.slice(0, text.indexOf('\n'))));
}

export function onlyComponents(sbom: CycloneDx, packages: ReadonlySet<string>): CycloneDx {
  const components = sbom.components.filter(({ name, version }) => packages.has(`${name} ${version}`));
  const own = { ...sbom.metadata.component, name: 'portico' };
  const refs = new Set([own['bom-ref'], ...components.map((component) => component['bom-ref'])]);
  const dependencies = sbom.dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((other) => refs.has(other)) }));
  return { ...sbom, metadata: { ...sbom.metadata, component: own }, components, dependencies };
}

export function onlyPackages(sbom: Spdx, packages: ReadonlySet<string>): Spdx {
  // The first is Portico itself.
  const [own, ...others] = sbom.packages;
  const kept = others.filter(({ name, versionInfo }) => packages.has(`${name} ${versionInfo}`));
  const all = own === undefined ? kept : [{ ...own, name: 'portico' }, ...kept];
  const ids = new Set(['SPDXRef-DOCUMENT', ...all.map(({ SPDXID }) => SPDXID)]);
  const relationships = sbom.relationships.filter(
    ({ spdxElementId, relatedSpdxElement }) => ids.has(spdxElementId) && ids.has(relatedSpdxElement),
  );
  return { ...sbom, packages: all, relationships };
}

/** Writes both into a folder; gives their names. */
export function writeSboms(folder: string, dist: string): readonly string[] {
  const packages = bundledPackages(dist);
  const ask = (format: keyof typeof FILES): unknown => {
    const args = ['sbom', '--sbom-format', format, '--package-lock-only'];
    return JSON.parse(
      execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 }),
    );
  };
  const write = (name: string, sbom: object): void =>
    writeFileSync(join(folder, name), `${JSON.stringify(sbom, null, 2)}\n`);
  write(FILES.cyclonedx, onlyComponents(ask('cyclonedx') as CycloneDx, packages));
  write(FILES.spdx, onlyPackages(ask('spdx') as Spdx, packages));
  return Object.values(FILES);
}

if (import.meta.main) {
  const dist = mkdtempSync(join(tmpdir(), 'portico-sbom-'));
  try {
    execFileSync(process.execPath, [join(ROOT, 'scripts/build.ts'), dist], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const folder = process.argv[2] ?? ROOT;
    for (const name of writeSboms(folder, dist)) console.log(join(folder, name));
  } finally {
    rmSync(dist, { recursive: true });
  }
}
