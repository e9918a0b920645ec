import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { krewManifest, pack } from '../../scripts/release.ts';
import { changelogFault, versionFaults } from '../../scripts/release-version.ts';
import { bundledPackages, onlyComponents, onlyPackages } from '../../scripts/sbom.ts';
import { ROOT } from './manifests.ts';

test('everything that says the version says that of package.json', () => {
  expect(versionFaults()).toEqual([]);
  // Every place is looked at, and told with its file.
  const others = versionFaults('9.9.9');
  expect(others).toContain(
    "src/version.ts: says VERSION = '0.1.0, and package.json 9.9.9".replace('0.1.0', ownVersion()),
  );
  expect(others.length).toBeGreaterThan(20);
});

function ownVersion(): string {
  return (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
}

test('a version is released with a section of the changelog that has a date', () => {
  expect(changelogFault('# Changelog\n\n## 0.2.0, 2026-12-01\n\n## 0.1.0, 2026-11-01\n', '0.2.0')).toBeNull();
  for (const title of ['0.2.0, unreleased', '0.2.0', '0.1.0, 2026-12-01'])
    expect(changelogFault(`# Changelog\n\n## ${title}\n`, '0.2.0')).toContain(`"${title}"`);
});

test('the manifest for krew gets the checksum of the archive', () => {
  const manifest = readFileSync(join(ROOT, 'deploy/kubectl/portico.yaml'), 'utf8');
  const written = krewManifest(manifest, 'ab'.repeat(32));
  expect(written).toMatch(/^apiVersion: krew/);
  expect(written).toContain(`sha256: '${'ab'.repeat(32)}'`);
  expect(written).not.toMatch(/0{64}/);
});

test('an archive is the same bytes, whenever it is packed, and by any user', () => {
  const folder = mkdtempSync(join(tmpdir(), 'portico-pack-'));
  try {
    const packed = ['first', 'second'].map((name, index) => {
      const from = join(folder, name);
      mkdirSync(join(from, 'inner'), { recursive: true });
      for (const file of index === 0 ? ['b', 'a'] : ['a', 'b'])
        writeFileSync(join(from, 'inner', file), file, { mode: index === 0 ? 0o600 : 0o664 });
      utimesSync(join(from, 'inner/a'), 1_000 + index, 1_000 + index);
      pack(from, ['inner'], join(folder, `${name}.tar.gz`), '1700000000');
      return createHash('sha256')
        .update(readFileSync(join(folder, `${name}.tar.gz`)))
        .digest('hex');
    });
    expect(packed[0]).toBe(packed[1]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('an SBOM has the packages of the bundle, and what depends on what among them', () => {
  const dist = mkdtempSync(join(tmpdir(), 'portico-dist-'));
  try {
    const texts = ['@scope/in 1.0.0\n\nMIT\n', 'other 2.0.0\n\nISC\n'];
    writeFileSync(join(dist, 'THIRD-PARTY-LICENSES.txt'), texts.join(`\n${'-'.repeat(80)}\n\n`));
    const packages = bundledPackages(dist);
    expect([...packages]).toEqual(['@scope/in 1.0.0', 'other 2.0.0']);
    const named = (name: string, version: string) => ({ name, version, 'bom-ref': `${name}@${version}` });
    const cyclonedx = onlyComponents(
      {
        metadata: { component: named('folder', '0.1.0') },
        components: [named('@scope/in', '1.0.0'), named('other', '3.0.0'), named('vitest', '1.0.0')],
        dependencies: [
          { ref: 'folder@0.1.0', dependsOn: ['@scope/in@1.0.0', 'vitest@1.0.0'] },
          { ref: 'vitest@1.0.0' },
        ],
      },
      packages,
    );
    expect(cyclonedx.metadata.component.name).toBe('portico');
    expect(cyclonedx.components.map(({ name }) => name)).toEqual(['@scope/in']);
    expect(cyclonedx.dependencies).toEqual([{ ref: 'folder@0.1.0', dependsOn: ['@scope/in@1.0.0'] }]);
    const spdx = onlyPackages(
      {
        name: 'folder',
        packages: ['folder 0.1.0', 'other 2.0.0', 'vitest 1.0.0'].map((each) => {
          const [name = '', versionInfo = ''] = each.split(' ');
          return { name, versionInfo, SPDXID: `SPDXRef-${name}` };
        }),
        relationships: ['folder', 'other', 'vitest'].map((name) => ({
          ...{ spdxElementId: 'SPDXRef-DOCUMENT', relatedSpdxElement: `SPDXRef-${name}` },
        })),
      },
      packages,
    );
    expect(spdx.packages.map(({ name }) => name)).toEqual(['portico', 'other']);
    expect(spdx.relationships).toHaveLength(2);
  } finally {
    rmSync(dist, { recursive: true });
  }
});
